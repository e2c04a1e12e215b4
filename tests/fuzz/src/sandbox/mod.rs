//! The real runtime on an in-process link, and a broker that answers what the
//! input says: the right kind of reply, another kind, streams, nothing.
//!
//! Every call must end, on a worker that then takes the next; nothing of the
//! host's may panic under it.

mod driver;
pub(crate) mod outline;
mod replies;
mod shape;
pub(crate) mod world;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keyway_ipc::{
    CallId, CallOutcome, Entrance, Invoke, Link, ToBroker, ToWorker, Trap, Usage, in_process,
};
use keyway_model::Digest;
use keyway_model::limit::{CallLimits, Quotas};
use keyway_runtime::{PoolSize, Worker, compile, seal, serve_lane};
use tokio::runtime::Runtime;

use crate::input::Input;
pub(crate) use driver::driver;
#[cfg(test)]
pub(crate) use driver::{HostFunction, driver_aloud};

/// No call takes longer; one that does is wedged.
const CALL_SECONDS_MAX: u64 = 20;

/// Panics anywhere in the process, those that were caught among them.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// One worker, and this side of its lane.
pub(crate) struct Sandbox {
    runtime: Runtime,
    link: Link<ToWorker, ToBroker>,
    calls: u64,
    loaded: HashMap<Digest, ()>,
}

thread_local! {
    static SANDBOX: RefCell<Option<Sandbox>> = const { RefCell::new(None) };
}

/// Runs `with` on the thread's sandbox, which is made when it is first needed.
pub(crate) fn with<T>(with: impl FnOnce(&mut Sandbox) -> T) -> T {
    SANDBOX.with_borrow_mut(|kept| {
        // After a panic the lane may be in the middle of a call.
        let mut sandbox = kept.take().unwrap_or_else(Sandbox::new);
        let done = with(&mut sandbox);
        *kept = Some(sandbox);
        done
    })
}

fn limits() -> CallLimits {
    CallLimits {
        memory_bytes_max: 4 << 20,
        table_elements_max: 1_000,
        handles_max: 64,
        host_calls_max: 200,
        host_call_bytes_max: 64 << 10,
        wall_ms_max: 30,
        cpu_ms_max: 20,
        log_lines_max: 20,
        request_body_bytes_max: 64 << 10,
        response_body_bytes_max: 64 << 10,
        ..CallLimits::default()
    }
}

impl Sandbox {
    fn new() -> Self {
        static COUNT_PANICS: Once = Once::new();
        COUNT_PANICS.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                PANICS.fetch_add(1, Ordering::Relaxed);
                before(panic);
            }));
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let pool = PoolSize {
            instances_max: 2,
            ..PoolSize::default()
        };
        let (link, theirs) = in_process();
        let worker = Worker::new(&pool).unwrap();
        worker.start_clock().unwrap();
        runtime.spawn(serve_lane(worker, theirs));
        let mut sandbox = Self {
            runtime,
            link,
            calls: 0,
            loaded: HashMap::new(),
        };
        assert!(matches!(sandbox.receive(), ToBroker::Ready { .. }));
        sandbox
    }

    fn receive(&mut self) -> ToBroker {
        let receiving = self.link.receiver.receive();
        let within = Duration::from_secs(CALL_SECONDS_MAX);
        let received = self
            .runtime
            .block_on(async { tokio::time::timeout(within, receiving).await });
        let received = received.expect("the call ends at its limits");
        received
            .expect("the lane is open")
            .expect("the worker is there")
            .message
    }

    fn send(&self, message: ToWorker) {
        let sent = self.runtime.block_on(self.link.sender.send(message));
        sent.expect("the worker is there");
    }

    /// Compiles and loads a component; `None` if it is refused, which is an answer.
    pub(crate) fn load(&mut self, component: &[u8]) -> Option<Digest> {
        let artifact = Digest::of(component);
        if self.loaded.contains_key(&artifact) {
            return Some(artifact);
        }
        let compiled = compile(component).ok()?;
        let load = ToWorker::Load {
            artifact,
            length: compiled.code.len() as u64,
        };
        let sealed = seal(&compiled.code).unwrap();
        self.runtime
            .block_on(self.link.sender.send_with(load, sealed))
            .unwrap();
        match self.receive() {
            ToBroker::Loaded { failed: None, .. } => {
                self.loaded.insert(artifact, ());
                Some(artifact)
            }
            ToBroker::Loaded { .. } => None,
            other => panic!("expected Loaded, not {other:?}"),
        }
    }

    /// Forgets a component.
    pub(crate) fn unload(&mut self, artifact: Digest) {
        self.loaded.remove(&artifact);
        self.send(ToWorker::Unload { artifact });
    }

    /// Calls a component and answers what it asks for out of `answers`; gives what
    /// it consumed, too.
    pub(crate) fn call(
        &mut self,
        artifact: Digest,
        entrance: Entrance,
        answers: &mut Input<'_>,
    ) -> (CallOutcome, Usage) {
        self.call_within(&limits(), artifact, entrance, answers, &mut |_| {})
    }

    /// Calls a component with time enough on any machine; `hear` is given what
    /// the worker says.
    #[cfg(test)]
    pub(crate) fn overhear(
        &mut self,
        artifact: Digest,
        entrance: Entrance,
        answers: &mut Input<'_>,
        hear: &mut dyn FnMut(&ToBroker),
    ) -> CallOutcome {
        let limits = CallLimits {
            wall_ms_max: 5_000,
            cpu_ms_max: 5_000,
            ..limits()
        };
        let (outcome, _) = self.call_within(&limits, artifact, entrance, answers, hear);
        outcome
    }

    fn call_within(
        &mut self,
        limits: &CallLimits,
        artifact: Digest,
        entrance: Entrance,
        answers: &mut Input<'_>,
        hear: &mut dyn FnMut(&ToBroker),
    ) -> (CallOutcome, Usage) {
        let panics = PANICS.load(Ordering::Relaxed);
        self.calls += 1;
        let call = CallId(self.calls);
        let parameters =
            (answers.below(2) == 0).then(|| vec![("shop".to_owned(), "acme".to_owned())]);
        self.send(ToWorker::Invoke(Box::new(Invoke {
            call,
            group: 0,
            artifact,
            entrance,
            limits: *limits,
            memory_bytes_per_workspace_max: Quotas::default().memory_bytes_per_workspace_max,
            reserved_headers: vec!["authorization".to_owned()],
            parameters,
        })));
        let (outcome, usage) = self.until_done(call, limits, answers, hear);
        let text = match &outcome {
            CallOutcome::Trap(Trap::Component(text) | Trap::Guest(text)) => text.as_str(),
            _ => "",
        };
        assert!(
            !text.contains("panicked"),
            "a function of the host panicked: {text}"
        );
        assert_eq!(
            PANICS.load(Ordering::Relaxed),
            panics,
            "something of the host's panicked"
        );
        (outcome, usage)
    }

    fn until_done(
        &mut self,
        call: CallId,
        limits: &CallLimits,
        answers: &mut Input<'_>,
        hear: &mut dyn FnMut(&ToBroker),
    ) -> (CallOutcome, Usage) {
        loop {
            let message = self.receive();
            hear(&message);
            match message {
                ToBroker::Host {
                    call: of,
                    request,
                    host_call,
                } => {
                    assert_eq!(of, call, "no other call runs");
                    for message in replies::to(call, request, &host_call, answers) {
                        self.send(message);
                    }
                }
                ToBroker::Done {
                    call: of,
                    outcome,
                    usage,
                } => {
                    // What an earlier call left behind would be of another number.
                    assert_eq!(of, call);
                    assert!(usage.host_calls <= limits.host_calls_max + 1, "{usage:?}");
                    assert!(usage.memory_bytes <= limits.memory_bytes_max, "{usage:?}");
                    return (outcome, usage);
                }
                ToBroker::Chunk { .. }
                | ToBroker::ChunkEnd { .. }
                | ToBroker::Credit { .. }
                | ToBroker::Forget { .. } => {}
                other @ (ToBroker::Ready { .. } | ToBroker::Loaded { .. }) => {
                    panic!("nobody asked for {other:?}")
                }
            }
        }
    }
}
