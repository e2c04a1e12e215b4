//! The path of every host call.
//!
//! One [`Invocation`] is one guest call's authority through the gate. It
//! starts the guest on a worker and serves what the guest asks for, until the
//! guest has ended: outward calls are decided, recorded, done and closed
//! ([`crate::http`], [`crate::state`], [`crate::scratch`]); inward calls are decided by the grant
//! that the invocation holds, limited, and counted in its one record
//! ([`crate::inward`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use keyway_authz::{Denial, Grant, Recorder, Sink, StateChange};
use keyway_egress::Bounds;
use keyway_fair::{Place, Wish};
use keyway_ipc::{CallOutcome, Entrance, HostCall, HostReply, Invoke, RequestId, Trap, Usage};
use keyway_model::Scope;
use keyway_model::limit::{CallLimits, Limits, Quotas};
use keyway_store::{Scratch, TenantStore, Unit};
use parking_lot::Mutex;

use crate::Gate;
use crate::active::Active;
use crate::admission::LineOf;
use crate::grant::{Basis, Lost, standing};
use crate::inward::ConnectionRead;
use crate::lane::{Charge, Event, Lane, Line, RunningCall, group_of};
use crate::mask::{Effort, Mask, Search};
use crate::masked;
use crate::over::{Over, Traffic, within};
use crate::presence::{Presence, while_wanted};
use crate::seen::{Seen, SeenDenial};
use crate::throttle::Meters;
use crate::transfer::{Transfer, forward};
use crate::turns::Turns;

/// One guest call's authority through the gate.
#[derive(Debug)]
pub struct Invocation {
    pub(crate) gate: Arc<Gate>,
    pub(crate) basis: Basis,
    pub(crate) grant: Grant,
    pub(crate) unit: Unit,
    pub(crate) recorder: Recorder,
    pub(crate) store: TenantStore,
    /// Made when the guest first asks for it.
    pub(crate) scratch: OnceLock<Scratch>,
    pub(crate) limits: CallLimits,
    /// The same, and those of the network, as the way out asks for them.
    pub(crate) bounds: Arc<Bounds>,
    quotas: Quotas,
    pub(crate) meters: Meters,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) idempotency: Option<(String, String)>,
    /// There from before the credential first leaves.
    pub(crate) mask: OnceLock<Arc<Mask>>,
    pub(crate) seen: Mutex<Seen>,
    pub(crate) sent: AtomicBool,
    /// The job's that it is of, or its own.
    pub(crate) active: Active,
    pub(crate) unsure: AtomicBool,
    /// Whether bodies are kept for people.
    pub(crate) bodies: Bodies,
    /// Of whoever waits for it.
    presence: Presence,
    host_calls: AtomicU32,
    /// Bytes of log lines, kept and dropped.
    pub(crate) log_bytes: AtomicU64,
    /// Of searching log lines.
    pub(crate) log_effort: Mutex<Effort>,
}

/// Whether what people are shown of a call has bodies in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    Hidden,
    Shown,
}

/// How a guest call ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What it gave.
    pub outcome: CallOutcome,
    /// What it consumed.
    pub usage: Usage,
    /// What a person may be shown of it.
    pub seen: Seen,
}

impl Invocation {
    pub(crate) fn new(
        gate: Arc<Gate>,
        basis: Basis,
        grant: Grant,
        unit: Unit,
        limits: Limits,
        idempotency: Option<(String, String)>,
    ) -> Self {
        let bounds = Arc::new(Bounds::of(&limits));
        let Limits { call, quotas, .. } = limits;
        let digest = basis.connector.record.digest;
        let meters = gate.throttles.of(basis.scope, digest, &quotas);
        let recorder = Recorder::new(Arc::new(unit.clone()), basis.scope, gate.clock.clone());
        let active = gate.active(basis.scope.tenant, LineOf::Connector(basis.scope, digest));
        let store = gate.store.tenant(basis.scope);
        Self {
            gate,
            basis,
            grant,
            unit,
            recorder,
            store,
            scratch: OnceLock::new(),
            limits: call,
            bounds,
            quotas,
            meters,
            traffic: Arc::default(),
            idempotency,
            mask: OnceLock::new(),
            seen: Mutex::default(),
            sent: AtomicBool::new(false),
            active,
            unsure: AtomicBool::new(false),
            bodies: Bodies::Hidden,
            presence: Presence::always(),
            host_calls: AtomicU32::new(0),
            log_bytes: AtomicU64::new(0),
            log_effort: Mutex::default(),
        }
    }

    /// The same, with the beginnings of bodies kept in [`Seen`], for an author
    /// who tries a connector out.
    #[must_use = "the invocation that shows bodies is the one that is returned"]
    pub fn with_bodies(self) -> Self {
        Self {
            bodies: Bodies::Shown,
            ..self
        }
    }

    /// The same, for a caller that may go away: then the guest is told to end.
    #[must_use = "the invocation that ends with its caller is the one that is returned"]
    pub fn for_caller(self, presence: Presence) -> Self {
        Self { presence, ..self }
    }

    /// Of whoever waits for it.
    pub const fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Waits until this call may run: by turns with other tenants, and with
    /// other calls of its tenant and connector.
    pub async fn place(&self) -> Place<LineOf> {
        let (scope, quotas) = (self.basis.scope, &self.quotas);
        let wish = Wish {
            tenant: scope.tenant,
            tenant_max: quotas.guest_calls_per_workspace_max as usize,
            line: LineOf::Connector(scope, self.artifact()),
            line_max: quotas.guest_calls_per_connector_max as usize,
        };
        self.gate.calls.enter(wish).await
    }

    /// The same, as a part of what is active.
    #[must_use = "the invocation that is a part of it is the one that is returned"]
    pub fn part_of(self, active: &Active) -> Self {
        let active = active.clone();
        Self { active, ..self }
    }

    /// What it is a part of.
    pub const fn active(&self) -> &Active {
        &self.active
    }

    /// The same, recording into `sink` instead of the store: what it says is
    /// durable may be lost. For measuring what the gate costs without a disk;
    /// no deployment calls it, and a test holds that.
    #[doc(hidden)]
    #[must_use = "the invocation that records elsewhere is the one that is returned"]
    pub fn dangerous_recording_into(self, sink: Arc<dyn Sink>) -> Self {
        let recorder = Recorder::new(sink, self.basis.scope, self.gate.clock.clone());
        Self { recorder, ..self }
    }

    /// Runs the guest on `lane` and serves it until it has ended.
    pub async fn run(&self, lane: &Arc<Lane>, entrance: Entrance) -> Ended {
        let invoke = Invoke {
            call: keyway_ipc::CallId(0),
            group: group_of(self.basis.scope.tenant),
            artifact: self.basis.connector.record.digest,
            entrance,
            limits: self.limits,
            memory_bytes_per_workspace_max: self.quotas.memory_bytes_per_workspace_max,
            reserved_headers: self.reserved_headers(),
            parameters: self.parameters(),
        };
        let input_bytes = invoke.entrance.bytes() as u64;
        let input = within(
            "value_bytes_max",
            input_bytes,
            self.limits.value_bytes_max.into(),
        );
        let (outcome, usage) = match input {
            Ok(()) => self.run_on(lane, invoke).await,
            Err(over) => (CallOutcome::Trap(over.into()), Usage::default()),
        };
        self.end_scratch().await;
        self.record_tally(&usage, &outcome);
        Ended {
            outcome: self.masked(outcome),
            usage,
            seen: std::mem::take(&mut *self.seen.lock()),
        }
    }

    async fn run_on(&self, lane: &Arc<Lane>, invoke: Invoke) -> (CallOutcome, Usage) {
        let Ok(mut running) = lane.start(invoke).await else {
            return gone();
        };
        let wall_ms_max = self.limits.wall_ms_max;
        let turns = Turns::default();
        let served = turns.of(self.serve(&mut running, &turns));
        let waited = while_wanted(served, wall_ms_max, &self.presence).await;
        running.end(waited, wall_ms_max).await
    }

    /// Serves host calls until the guest has ended. What is still under way
    /// then is dropped, and its entries close as `unknown`.
    async fn serve(&self, running: &mut RunningCall, turns: &Turns) -> (CallOutcome, Usage) {
        let line = running.line();
        let mut under_way = FuturesUnordered::new();
        let mut transfers: HashMap<RequestId, Transfer> = HashMap::new();
        loop {
            let event = if under_way.is_empty() {
                running.next().await
            } else {
                tokio::select! {
                    biased;
                    Some(finished) = under_way.next() => { transfers.remove(&finished); continue }
                    event = running.next() => event,
                }
            };
            match event {
                None => return gone(),
                Some(Event::Done(outcome, usage)) => return (outcome, usage),
                Some(Event::Host(request, call)) => {
                    let counted = self.count_host_call(&call, under_way.len());
                    let charge = counted
                        .map_err(Trap::from)
                        .and_then(|()| running.charge(&call));
                    let asked = match charge {
                        Ok(charge) => (request, call, charge),
                        Err(trap) => {
                            line.reply(request, HostReply::Trap(trap)).await;
                            continue;
                        }
                    };
                    let outward = self.dispatch(&line, asked, &mut transfers).await;
                    under_way.extend(outward.map(|outward| turns.step(outward)));
                }
                Some(transfer) => {
                    if forward(&mut transfers, transfer).is_err() {
                        running.give_up("it sends more of a body than it was let");
                        return gone();
                    }
                }
            }
        }
    }

    /// Answers what is quickly answered at once; a request, and what waits for
    /// a disk, becomes a future.
    async fn dispatch<'a>(
        &'a self,
        line: &Line,
        (request, call, charge): (RequestId, HostCall, Charge),
        transfers: &mut HashMap<RequestId, Transfer>,
    ) -> Option<BoxFuture<'a, RequestId>> {
        let line = line.clone();
        match call {
            HostCall::Log(lines) => self.log(lines),
            HostCall::Parameter => {
                return self
                    .connection(line, request, ConnectionRead::Parameter)
                    .await;
            }
            HostCall::Scopes => {
                return self.connection(line, request, ConnectionRead::Scopes).await;
            }
            HostCall::StateGet { key } if self.meters.read_now() => {
                let reply = self.state_get(&key).await;
                line.reply(request, reply).await;
            }
            HostCall::StateGet { key } => {
                return Some(Box::pin(async move {
                    let _charge = charge;
                    let reply = self.state_get_in_turn(&key).await;
                    line.reply(request, reply).await;
                    request
                }));
            }
            HostCall::StateSet { key, value } => {
                let change = StateChange::Set(value);
                return Some(self.state(line, (request, charge), key, change));
            }
            HostCall::StateDelete { key } => {
                return Some(self.state(line, (request, charge), key, StateChange::Delete));
            }
            HostCall::Scratch(call) => {
                return Some(Box::pin(async move {
                    let _charge = charge;
                    let reply = self.scratch_call(call).await;
                    line.reply(request, reply).await;
                    request
                }));
            }
            HostCall::Http(http) => {
                let (transfer, ends) = Transfer::new();
                transfers.insert(request, transfer);
                return Some(Box::pin(async move {
                    let _charge = charge;
                    self.http(&line, request, http, ends).await;
                    request
                }));
            }
        }
        None
    }

    /// The component that this invocation is for.
    pub fn artifact(&self) -> keyway_model::Digest {
        self.basis.connector.record.digest
    }

    /// Whose call it is.
    pub fn scope(&self) -> Scope {
        self.basis.scope
    }

    /// Whether no request of this invocation has been let out.
    pub fn nothing_sent(&self) -> bool {
        !self.sent.load(Ordering::Acquire)
    }

    /// Whether nobody knows if what was let out had its effect.
    pub fn is_unsure(&self) -> bool {
        self.unsure.load(Ordering::Acquire)
    }

    /// Whether approval and the owner's rights still hold.
    pub(crate) fn standing(&self) -> Result<(), Lost> {
        let view = self.gate.registry.view(self.basis.scope);
        standing(
            &self.basis,
            &view,
            &*self.gate.policy,
            self.gate.clock.now(),
        )
    }

    /// Records a denial durably and keeps it for people.
    pub(crate) async fn deny(&self, asked: String, denial: Denial) {
        let seen = SeenDenial {
            asked,
            reason: denial.reason(),
            remedy: denial.remedy().to_owned(),
        };
        self.seen.lock().denied(seen);
        if let Err(error) = denial.record(&self.recorder).await {
            tracing::error!(%error, "a denial could not be recorded");
        }
    }

    fn reserved_headers(&self) -> Vec<String> {
        let slot = self
            .basis
            .connector
            .manifest
            .auth
            .slot
            .as_ref()
            .and_then(|slot| slot.header());
        let key = self.idempotency.as_ref().map(|(header, _)| header.as_str());
        slot.into_iter()
            .chain(key)
            .map(str::to_ascii_lowercase)
            .collect()
    }

    /// Counts one host call, or one for each log line, beside those that are under way.
    fn count_host_call(&self, call: &HostCall, under_way: usize) -> Result<(), Over> {
        let more = match call {
            HostCall::Log(lines) => u32::try_from(lines.len()).unwrap_or(u32::MAX).max(1),
            HostCall::Http(_)
            | HostCall::Parameter
            | HostCall::Scopes
            | HostCall::StateGet { .. }
            | HostCall::StateSet { .. }
            | HostCall::StateDelete { .. }
            | HostCall::Scratch(_) => 1,
        };
        // All are counted by the one task that serves the call.
        let calls = self.host_calls.load(Ordering::Relaxed).saturating_add(more);
        self.host_calls.store(calls, Ordering::Relaxed);
        let (calls_max, in_flight_max) = (
            self.limits.host_calls_max,
            self.limits.host_calls_in_flight_max,
        );
        within("host_calls_max", calls.into(), calls_max.into())?;
        let in_flight = under_way as u64 + 1;
        within("host_calls_in_flight_max", in_flight, in_flight_max.into())
    }

    /// Searches what the guest gives for the secrets of this call.
    fn masked(&self, outcome: CallOutcome) -> CallOutcome {
        match self.mask.get() {
            Some(mask) => masked::outcome(outcome, &mut Search::of(mask)),
            None => outcome,
        }
    }
}

fn gone() -> (CallOutcome, Usage) {
    (CallOutcome::Trap(Trap::WorkerGone), Usage::default())
}

impl Ended {
    /// A call that could not be started.
    pub fn without_running(trap: Trap) -> Self {
        Self {
            outcome: CallOutcome::Trap(trap),
            usage: Usage::default(),
            seen: Seen::default(),
        }
    }
}
