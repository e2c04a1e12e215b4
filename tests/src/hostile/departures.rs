//! Row 16: ten thousand callers that go away while a guest runs for them.
//!
//! Each caller asks to check a connection of its own, whose upstream is this
//! test. Once the guest has asked the upstream what to do, it is in the middle
//! of something that never ends; then its caller hangs up. That a call has
//! ended is seen where it reaches: its request to the upstream breaks off.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use keyway_model::manifest::section;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use serde_json::Value;

use super::arena::allowed;
use crate::harness::{Stage, root, split};
use crate::processes::{children, open_files, resident_mib};

/// Callers that go away, over all.
const DEPARTURES: u32 = 10_000;

/// Callers at once.
const CALLERS: usize = 32;

/// What the process of a worker, and that of the broker, may keep over all.
const GROWTH_MIB_MAX: u64 = 24;

/// A request that goes on for longer than this was not broken off.
const SOON: Duration = Duration::from_secs(60);

/// What a guest is in the middle of when its caller goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// It waits for the head of a reply.
    Waiting,
    /// It reads a body that does not go on.
    Reading,
    /// It sends a body without an end.
    Sending,
    Spinning,
    Sleeping,
    /// It changes its state again and again.
    State,
    /// It writes a scratch file again and again.
    Scratch,
}

impl Busy {
    pub(crate) const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Spinning,
        Self::Reading,
        Self::Sleeping,
        Self::State,
        Self::Sending,
        Self::Scratch,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "departs-from-waiting",
            Self::Reading => "departs-from-reading",
            Self::Sending => "departs-from-sending",
            Self::Spinning => "departs-from-spinning",
            Self::Sleeping => "departs-from-sleeping",
            Self::State => "departs-from-state",
            Self::Scratch => "departs-from-scratch",
        }
    }

    /// What the upstream answers to the guest's question.
    const fn answer(self) -> &'static str {
        match self {
            Self::Waiting => "",
            Self::Reading => "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
            Self::Spinning => "HTTP/1.1 201 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Self::Sleeping => "HTTP/1.1 202 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Self::State => "HTTP/1.1 203 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Self::Scratch => "HTTP/1.1 205 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Self::Sending => "HTTP/1.1 206 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        }
    }
}

/// A caller with its upstream.
pub(crate) struct Caller {
    api: SocketAddr,
    head: String,
    upstream: TcpListener,
}

impl Caller {
    /// Asks for a check, and waits until the guest has asked the upstream.
    #[expect(clippy::disallowed_methods, reason = "the tests are the callers")]
    fn begin(&self) -> (TcpStream, TcpStream) {
        let mut caller = TcpStream::connect(self.api).unwrap();
        caller.write_all(self.head.as_bytes()).unwrap();
        let asked = self.asked(&mut caller);
        (caller, asked)
    }

    /// The guest's next request, once its head is there.
    fn asked(&self, caller: &mut TcpStream) -> TcpStream {
        let Ok((mut stream, _)) = again(|| self.upstream.accept()) else {
            caller
                .set_read_timeout(Some(Duration::from_secs(1)))
                .unwrap();
            let mut said = String::new();
            let _until_it_is_silent = caller.read_to_string(&mut said);
            panic!("no guest asks; its caller was told: {said}");
        };
        stream.set_read_timeout(Some(SOON)).unwrap();
        let (mut head, mut buffer) = (Vec::new(), [0; 2_048]);
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = again(|| stream.read(&mut buffer)).unwrap();
            assert!(read > 0, "a request without a head");
            head.extend_from_slice(&buffer[..read]);
        }
        stream
    }

    /// Asks, and goes away in the middle.
    pub(crate) fn depart(&self, busy: Busy) {
        let (caller, request) = self.middle(busy);
        caller.shutdown(Shutdown::Both).unwrap();
        drop(caller);
        ended(request, busy);
    }

    /// Asks, and stays until the call's time is over in the middle: it is told which limit.
    pub(crate) fn stay(&self, busy: Busy, limit: &str) {
        let (mut caller, request) = self.middle(busy);
        caller.set_read_timeout(Some(SOON)).unwrap();
        let (mut answer, mut piece) = (String::new(), [0; 4_096]);
        while !answer.contains(limit) {
            match again(|| caller.read(&mut piece)) {
                Ok(read) if read > 0 => answer += &String::from_utf8_lossy(&piece[..read]),
                end => panic!("{busy:?} is not told of {limit}: {end:?} after {answer}"),
            }
        }
        ended(request, busy);
    }

    /// Asks; a caller and a request of the guest that is in the middle of something.
    fn middle(&self, busy: Busy) -> (TcpStream, TcpStream) {
        let (mut caller, mut request) = self.begin();
        request.write_all(busy.answer().as_bytes()).unwrap();
        if busy == Busy::Sending {
            request = self.asked(&mut caller);
            let mut body = [0; 16 << 10];
            let read = again(|| request.read(&mut body)).unwrap();
            assert!(read > 0, "the body has begun");
        }
        (caller, request)
    }
}

/// Tries again what the machine broke off, and nobody else.
fn again<T>(mut call: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Waits until the other side has ended a connection.
fn ended(mut connection: TcpStream, busy: Busy) {
    let (mut rest, until) = ([0; 16 << 10], Instant::now() + SOON);
    loop {
        match again(|| connection.read(&mut rest)) {
            Ok(0) => return,
            Ok(_) => assert!(Instant::now() < until, "{busy:?} goes on"),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("{busy:?} goes on: {error}"),
        }
    }
}

fn artifact() -> Vec<u8> {
    let built = root().join("tests/guests/target/wasm32-wasip2/release/guest_waiter.wasm");
    let component = std::fs::read(&built)
        .unwrap_or_else(|_| panic!("{} is not built: run `cargo xtask test`", built.display()));
    let manifest = r#"[connector]
name = "waiter"
version = "0.1.0"
title = "Never ends by itself"
capabilities = ["http", "log", "state", "scratch", "connection"]

[parameters.host]
kind = "host"
title = "Host"

[parameters.port]
kind = "port"
title = "Port"

[destinations.api]
schemes = ["http"]
host = "{host}"
port = "{port}"
role = "api"

[auth]
scheme = "bearer"
destinations = ["api"]

[check]
uses = [{ destination = "api", methods = ["GET", "POST"], paths = ["/next"] }]
"#;
    section::append(&component, manifest).unwrap()
}

/// The upstreams of callers, which a deployment lets guests reach.
#[derive(Default)]
pub(crate) struct Upstreams(Vec<TcpListener>);

impl Upstreams {
    pub(crate) fn bind(number: usize) -> Self {
        let listeners = (0..number).map(|_| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            set_socket_timeout(&listener, Timeout::Recv, Some(SOON)).unwrap();
            listener
        });
        Self(listeners.collect())
    }

    /// The configuration that lets guests reach them.
    pub(crate) fn allowed(&self) -> String {
        let ports = self.0.iter().map(|it| it.local_addr().unwrap().port());
        ports.map(allowed).collect()
    }

    /// For each upstream a caller, with a connection to it in `workspace`.
    pub(crate) fn callers(&self, stage: &Stage, workspace: &str) -> Vec<Caller> {
        let ok = |line: &str| stage.ok(&format!("--workspace {workspace} {line}"));
        let json = |line: &str| stage.json(&format!("--workspace {workspace} {line}"));
        let file = stage.write("waiter.wasm", artifact());
        ok(&format!("connector install {}", file.display()));
        let digest = json("connector show waiter")["digest"].clone();
        let digest = digest.as_str().unwrap();
        ok(&format!(
            "connector approve waiter --digest {digest} --why tested"
        ));
        let token = json("token create --role admin --label callers --all-environments");
        let token = token["secret"].as_str().unwrap();
        let api = split(&format!("{}/", stage.ready["api"].as_str().unwrap())).0;
        let callers = self.0.iter().enumerate().map(|(number, upstream)| {
            let port = upstream.local_addr().unwrap().port();
            ok(&format!(
                "connection create c{number} --connector waiter --parameter host=localhost --parameter port={port} --credential-file token.txt"
            ));
            let head = format!(
                "POST /api/v1/workspaces/{workspace}/development/connections/c{number}/check HTTP/1.1\r\nhost: {api}\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n"
            );
            let upstream = upstream.try_clone().unwrap();
            Caller { api, head, upstream }
        });
        callers.collect()
    }
}

/// A deployment with a place for the guest of each caller, and not one more. Of
/// calls there may be some more: those that are ending.
fn room_for(callers: usize) -> (Stage, Vec<Caller>) {
    let upstreams = Upstreams::bind(callers);
    let stage = Stage::configured(&format!(
        "[limits]\napi_calls_per_second_max = 100_000\napi_calls_per_second_per_workspace_max = 100_000\napi_calls_at_once_max = {0}\napi_calls_at_once_per_workspace_max = {0}\nguest_calls_per_connector_max = {callers}\nhost_calls_max = 1_000_000\nwall_ms_max = 600_000\n{1}",
        callers * 8,
        upstreams.allowed()
    ));
    stage.ok("workspace create acme");
    let callers = upstreams.callers(&stage, "acme");
    (stage, callers)
}

/// So many departures, by all callers at once.
fn depart(callers: &[Caller], departures: u32) {
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for caller in callers {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= departures {
                        return;
                    }
                    caller.depart(Busy::ALL[number as usize % Busy::ALL.len()]);
                }
            });
        }
    });
}

/// What a deployment's processes hold: the broker first.
fn held(stage: &Stage) -> Vec<(u32, u64, usize)> {
    let broker = stage.serve.as_ref().unwrap().pid();
    let processes = std::iter::once(broker).chain(children(broker));
    processes
        .map(|pid| (pid, resident_mib(pid), open_files(pid)))
        .collect()
}

/// Each caller's check, all of them under way together, and each answered.
fn all_at_once(callers: &[Caller]) {
    let begun: Vec<_> = callers.iter().map(Caller::begin).collect();
    for (mut caller, mut request) in begun {
        let checked = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        request.write_all(checked.as_bytes()).unwrap();
        caller.set_read_timeout(Some(SOON)).unwrap();
        let mut answer = [0; 1_024];
        let read = again(|| caller.read(&mut answer)).unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "figures, for whoever wants to see them"
)]
fn ten_thousand_callers_go_away_and_nothing_of_their_calls_stays() {
    let (stage, callers) = room_for(CALLERS);
    depart(&callers, 400);
    all_at_once(&callers);
    let before = held(&stage);
    let began = Instant::now();
    depart(&callers, DEPARTURES);
    println!("{DEPARTURES} departures in {:?}", began.elapsed());
    // As many as there are places: one that is not free would keep a call waiting.
    all_at_once(&callers);
    let after = held(&stage);
    for ((pid, mib, files), (same, mib_then, files_then)) in before.iter().zip(&after) {
        assert_eq!(pid, same, "no worker ended");
        assert!(
            *mib_then <= mib + GROWTH_MIB_MAX,
            "process {pid}: {mib} MiB before, {mib_then} MiB after"
        );
        assert!(
            *files_then <= files + 4,
            "process {pid}: {files} open files before, {files_then} after"
        );
    }
    println!("{before:?} {after:?}");
    let scratch = std::fs::read_dir(stage.data().join("scratch")).unwrap();
    assert_eq!(scratch.count(), 0, "scratch files are left");
}

#[test]
fn the_record_of_a_call_whose_caller_went_away_says_so() {
    let (stage, callers) = room_for(1);
    for busy in Busy::ALL {
        let seen = stage.audit().len();
        callers[0].depart(busy);
        let records = stage.until("the end of the check", |stage| {
            let records = stage.audit().split_off(seen);
            let is_outcome = |line: &&Value| {
                let detail = line["record"]["detail"].as_str();
                detail == Some("cancelled: whoever asked went away")
            };
            let is_there = records.iter().any(|line| is_outcome(&line));
            is_there.then_some(records)
        });
        let tally = records.iter().find(|line| line["kind"] == "tally");
        let ended = &tally.unwrap_or_else(|| panic!("{busy:?}: {records:?}"))["record"]["ended"];
        assert_eq!(ended, "nobody waited for it any more", "{busy:?}");
    }
}
