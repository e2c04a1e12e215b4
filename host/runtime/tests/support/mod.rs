//! A broker for tests: it loads one guest, starts calls, and answers what the
//! test wants. It speaks the ipc protocol and nothing else.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use keyway_ipc::{
    CallId, CallOutcome, Entrance, HostCall, HostReply, Invoke, Link, LogLevel, RequestId,
    ToBroker, ToWorker, Usage, in_process,
};
use keyway_model::Digest;
use keyway_model::limit::{CallLimits, Quotas};
use keyway_runtime::{PoolSize, Worker, compile, seal, serve_lane};
use parking_lot::Mutex;

/// The bytes of a guest in `tests/guests`.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests");
    let file = folder.join(format!("target/wasm32-wasip2/release/guest_{name}.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; build the guests: cd tests/guests && cargo build --release",
            file.display()
        )
    })
}

/// The compiled code of a guest; compiled once for each test binary.
pub(crate) fn code(name: &str) -> Vec<u8> {
    static CODE: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut code = CODE.lock();
    code.entry(name.to_owned())
        .or_insert_with(|| compile(&guest(name)).unwrap().code)
        .clone()
}

/// Room for a few calls.
pub(crate) fn pool() -> PoolSize {
    PoolSize {
        instances_max: 4,
        ..PoolSize::default()
    }
}

/// A small worker.
pub(crate) fn worker() -> Arc<Worker> {
    let worker = Worker::new(&pool()).unwrap();
    worker.start_clock().unwrap();
    worker
}

/// Limits under which honest guests live and hostile ones end soon.
pub(crate) fn limits() -> CallLimits {
    CallLimits {
        wall_ms_max: 20_000,
        cpu_ms_max: 10_000,
        ..CallLimits::default()
    }
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) outcome: CallOutcome,
    pub(crate) usage: Usage,
    pub(crate) lines: Vec<(LogLevel, String)>,
}

pub(crate) struct Broker {
    pub(crate) link: Link<ToWorker, ToBroker>,
    pub(crate) artifact: Digest,
    next: u64,
    /// Whose calls the next ones are.
    pub(crate) group: u64,
    pub(crate) limits: CallLimits,
    pub(crate) memory_bytes_per_workspace_max: u64,
    pub(crate) reserved_headers: Vec<String>,
    pub(crate) parameters: Option<Vec<(String, String)>>,
}

impl Broker {
    /// A worker on an in-process link, with `name` loaded.
    pub(crate) async fn with(name: &str) -> Self {
        let (ours, theirs) = in_process();
        tokio::spawn(serve_lane(worker(), theirs));
        Self::over(ours, name).await
    }

    /// The same with room for so many calls.
    pub(crate) async fn of_size(name: &str, instances_max: u32) -> Self {
        let size = PoolSize {
            instances_max,
            ..PoolSize::default()
        };
        Self::of_pool(name, &size).await
    }

    /// The same with such a pool.
    pub(crate) async fn of_pool(name: &str, size: &PoolSize) -> Self {
        let (ours, theirs) = in_process();
        let worker = Worker::new(size).unwrap();
        worker.start_clock().unwrap();
        tokio::spawn(serve_lane(worker, theirs));
        Self::over(ours, name).await
    }

    /// The same over a link that already has a worker at its other end.
    pub(crate) async fn over(link: Link<ToWorker, ToBroker>, name: &str) -> Self {
        let component = guest(name);
        let mut broker = Self {
            link,
            artifact: Digest::of(&component),
            next: 0,
            group: 0,
            limits: limits(),
            memory_bytes_per_workspace_max: Quotas::default().memory_bytes_per_workspace_max,
            reserved_headers: Vec::new(),
            parameters: None,
        };
        assert!(matches!(broker.receive().await, ToBroker::Ready { .. }));
        let failed = broker.load(&code(name)).await;
        assert_eq!(failed, None);
        broker
    }

    /// Loads compiled code; gives back why it failed.
    pub(crate) async fn load(&mut self, code: &[u8]) -> Option<String> {
        let load = ToWorker::Load {
            artifact: self.artifact,
            length: code.len() as u64,
        };
        self.link
            .sender
            .send_with(load, seal(code).unwrap())
            .await
            .unwrap();
        match self.receive().await {
            ToBroker::Loaded { failed, .. } => failed,
            other => panic!("expected Loaded, not {other:?}"),
        }
    }

    pub(crate) async fn send(&self, message: ToWorker) {
        self.link.sender.send(message).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> ToBroker {
        self.link
            .receiver
            .receive()
            .await
            .unwrap()
            .expect("the worker is there")
            .message
    }

    /// Starts a call.
    pub(crate) async fn start(&mut self, entrance: Entrance) -> CallId {
        self.next += 1;
        let call = CallId(self.next);
        self.send(ToWorker::Invoke(Box::new(Invoke {
            call,
            group: self.group,
            artifact: self.artifact,
            entrance,
            limits: self.limits,
            memory_bytes_per_workspace_max: self.memory_bytes_per_workspace_max,
            reserved_headers: self.reserved_headers.clone(),
            parameters: self.parameters.clone(),
        })))
        .await;
        call
    }

    /// Starts an action.
    pub(crate) async fn start_action(&mut self, name: &str, input: &str) -> CallId {
        let (name, input) = (name.to_owned(), input.to_owned());
        self.start(Entrance::Action { name, input }).await
    }

    /// The next host call that is not a log line.
    pub(crate) async fn host_call(&mut self) -> (RequestId, HostCall) {
        loop {
            match self.receive().await {
                ToBroker::Host {
                    host_call: HostCall::Log(_),
                    ..
                } => {}
                ToBroker::Host {
                    request, host_call, ..
                } => return (request, host_call),
                other => panic!("expected a host call, not {other:?}"),
            }
        }
    }

    pub(crate) async fn reply(&self, call: CallId, request: RequestId, reply: HostReply) {
        self.send(ToWorker::Reply {
            call,
            request,
            reply,
        })
        .await;
    }

    /// Waits for the end of a call and answers every host call with `answer`.
    pub(crate) async fn finish_with(&mut self, answer: impl Fn(HostCall) -> HostReply) -> Done {
        let mut lines = Vec::new();
        loop {
            match self.receive().await {
                ToBroker::Host {
                    host_call: HostCall::Log(more),
                    ..
                } => {
                    lines.extend(more.into_iter().map(|line| (line.level, line.message)));
                }
                ToBroker::Host {
                    call,
                    request,
                    host_call,
                } => {
                    self.reply(call, request, answer(host_call)).await;
                }
                ToBroker::Done { outcome, usage, .. } => {
                    return Done {
                        outcome,
                        usage,
                        lines,
                    };
                }
                ToBroker::Credit { .. } | ToBroker::Forget { .. } => {}
                other => panic!("expected the end of the call, not {other:?}"),
            }
        }
    }

    /// Waits for the end of a call that asks for nothing but log lines.
    pub(crate) async fn finish(&mut self) -> Done {
        self.finish_with(|host_call| panic!("nobody answers {host_call:?}"))
            .await
    }

    /// Runs an action that asks for nothing but log lines.
    pub(crate) async fn act(&mut self, name: &str, input: &str) -> Done {
        self.start_action(name, input).await;
        self.finish().await
    }
}

/// What a call that went well answers.
pub(crate) fn value(text: &str) -> CallOutcome {
    CallOutcome::Value(text.to_owned())
}
