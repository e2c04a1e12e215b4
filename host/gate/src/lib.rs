//! THE GATE: the one crossing between guests and callers on one side and the
//! network, the vault and the store on the other.
//!
//! [`Invocation`] is the path of every host call, `control` that of every API
//! call. Both are the same chain: decide, record, do, close.
//!
//! Knows no wasmtime and no HTTP server; never sends without an entry, and
//! never shows a guest more than [`keyway_ipc::Refusal`] says.

use std::net::SocketAddr;
use std::sync::Arc;

use keyway_authz::Policy;
use keyway_egress::Egress;
use keyway_fair::Admission;
use keyway_model::Scope;
use keyway_model::limit::{LimitSet, Limits, effective};
use keyway_model::time::Clock;
use keyway_store::{Store, Unit};

mod active;
mod admission;
mod alarm;
mod approvals;
mod body;
mod control;
mod credential;
mod deliver;
mod flow;
#[doc(hidden)]
pub mod fuzz;
mod grant;
mod headers;
mod http;
mod identities;
mod input;
mod invocation;
mod inward;
mod lane;
mod logic;
mod mask;
mod masked;
mod over;
mod pace;
mod presence;
mod redirect;
mod registry;
mod reply;
pub mod resource;
mod schema;
mod scratch;
mod seen;
mod shelf;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod stage;
mod state;
mod throttle;
mod tls;
mod transfer;
mod turns;

pub use active::Active;
pub use admission::LineOf;
pub use alarm::{AlarmKind, AlarmRecord};
pub use control::{Call, ControlError};
pub use credential::{secret_part, unless_maskable};
pub use grant::{Basis, Ceiling, NoGrant, Purpose};
pub use input::Unfit;
pub use invocation::{Ended, Invocation};
pub use lane::{Assigned, Held, Lane, LaneSetup, OnLoss, Readiness, WorkerGone};
pub use logic::{LogicInput, TooLong, run_logic};
pub use mask::{MASKED, Mask, MaskStream};
pub use presence::{Presence, Waiting};
pub use registry::{Connector, LeftOut, NotRunning, Registry, View};
pub use schema::{SchemaError, Schemas, check_against};
pub use seen::{LogLine, Seen, SeenBodies, SeenDenial, SeenRequest};
pub use shelf::{Gone, Room, Shelf};
pub use tls::{TlsRecord, bundled};

/// What every invocation needs.
#[derive(Debug)]
pub struct Gate {
    /// The only way out.
    pub(crate) egress: Egress,
    /// Everything durable.
    pub(crate) store: Store,
    /// The roles.
    pub(crate) policy: Arc<dyn Policy>,
    /// What is installed, approved, connected and applied.
    pub(crate) registry: Arc<Registry>,
    /// What nobody can go beyond.
    pub(crate) ceiling: Ceiling,
    /// The time.
    pub(crate) clock: Clock,
    /// What is searched for in replies.
    pub(crate) masks: mask::Masks,
    /// Wide windows for bodies that flow.
    pub(crate) wide_windows: flow::WideWindows,
    /// What connections say about TLS, as it was read.
    pub(crate) identities: identities::Identities,
    /// What each connector and each workspace may ask for.
    pub(crate) throttles: throttle::Throttles,
    /// Places for guest calls.
    pub(crate) calls: Admission<LineOf>,
    /// Places for what is active.
    pub(crate) actives: Arc<active::Actives>,
}

impl Gate {
    /// A gate over these parts.
    pub fn new(
        egress: Egress,
        store: Store,
        policy: Arc<dyn Policy>,
        registry: Arc<Registry>,
        ceiling: Ceiling,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self {
            egress,
            store,
            policy,
            registry,
            clock,
            masks: mask::Masks::default(),
            wide_windows: flow::WideWindows::default(),
            identities: identities::Identities::default(),
            throttles: throttle::Throttles::on(ceiling.limits.default.quotas),
            calls: Admission::of(ceiling.guest_calls),
            actives: active::Actives::on(
                std::thread::available_parallelism().map_or(1, usize::from),
            ),
            ceiling,
        })
    }

    /// Opens an invocation: computes its grant and its limits from what holds
    /// now.
    ///
    /// # Errors
    ///
    /// [`NoGrant`], in words for whoever set the recipe or connection up.
    pub fn open(
        self: &Arc<Self>,
        basis: Basis,
        unit: Unit,
        idempotency: Option<(String, String)>,
    ) -> Result<Invocation, NoGrant> {
        let view = self.registry.view(basis.scope);
        let grant = grant::compute(
            &basis,
            &view,
            &*self.policy,
            &self.ceiling,
            self.clock.now(),
        )?;
        let limits = self.limits(basis.scope, &basis.connector.manifest.limits);
        Ok(Invocation::new(
            Arc::clone(self),
            basis,
            grant,
            unit,
            limits,
            idempotency,
        ))
    }

    /// What holds in `scope` for whoever asks for `asked`.
    pub fn limits(&self, scope: Scope, asked: &LimitSet) -> Limits {
        let view = self.registry.view(scope);
        effective(&self.ceiling.limits, &view.limits().set, asked)
    }

    /// What no tenant and no manifest can go beyond.
    pub const fn ceiling(&self) -> &Ceiling {
        &self.ceiling
    }

    /// What is installed, approved, connected and applied.
    pub const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// From now on, nothing that a guest asks for reaches this listener, which is
    /// the deployment's own.
    pub fn never_reach(&self, listener: SocketAddr) {
        self.egress.never_reach(listener);
    }

    /// The roles.
    pub fn policy(&self) -> &Arc<dyn Policy> {
        &self.policy
    }

    /// Everything durable.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The time.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }
}
