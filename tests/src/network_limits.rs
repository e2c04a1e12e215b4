//! Promise P7 on the way out: each limit of the network holds from the next
//! call on, and people read its name and value.
//!
//! [`CASES`] and [`ELSEWHERE`] are held against the limits there are. Each
//! case is a real request to a server that behaves as badly as it takes.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keyway_model::limit::NetworkLimits;
use serde_json::json;

use crate::harness::{CALL_IMPORT, Stage, text};
use crate::limits::quotas::post_aside;
use crate::limits::{names, tells};
use crate::listener::{Listener, reply};
use crate::requirements::fault_of;

/// What is asked for.
#[derive(Clone, Copy)]
enum Call {
    /// One request over the connection of this name.
    Check(&'static str),
    /// One request, to the order system in this mode.
    InMode(&'static str),
    /// One request and then another.
    Twice(&'static str),
    /// One guest's requests to a server that closes after each.
    Flood,
    /// A request while another is under way.
    WhileAnother,
}

/// One limit, a low value for it, what else is lowered, and what goes beyond.
struct Case {
    limit: &'static str,
    value: u64,
    besides: &'static str,
    call: Call,
}

const fn case(limit: &'static str, value: u64, call: Call) -> Case {
    Case {
        limit,
        value,
        besides: "",
        call,
    }
}

const CASES: [Case; 13] = [
    Case {
        besides: "connect_ms_max=200",
        ..case("connections_per_connector_max", 1, Call::WhileAnother)
    },
    case("connects_per_second_max", 1, Call::Flood),
    case("lookups_per_second_max", 1, Call::Flood),
    case("bytes_in_per_minute_max", 1, Call::Twice("kept")),
    case("bytes_out_per_minute_max", 1, Call::Twice("kept")),
    case("resolve_ms_max", 300, Call::Check("nameless")),
    case("connect_ms_max", 300, Call::Check("deaf")),
    case("tls_ms_max", 300, Call::Check("silent")),
    case("response_head_ms_max", 300, Call::InMode("hang")),
    case("response_idle_ms_max", 20, Call::InMode("slow")),
    case("exchange_ms_max", 300, Call::InMode("hang")),
    case("response_interims_max", 2, Call::Check("interim")),
    case("response_expansion_max", 10, Call::Check("packed")),
];

/// What holds for all workspaces together, or is beyond it without an error, and
/// the test of each.
const ELSEWHERE: [(&str, &str); 5] = [
    (
        "addresses_max",
        "host/egress/tests/egress/quotas.rs::what_one_exchange_is_held_to_holds_in_place_of_what_everything_is",
    ),
    (
        "upstream_connections_max",
        "tests/src/network_limits.rs::connections_of_all_workspaces_together_are_counted",
    ),
    (
        "upstream_places_max",
        "tests/src/network_limits.rs::what_is_kept_unused_is_what_the_platform_says",
    ),
    (
        "idle_connections_max",
        "host/egress/tests/egress/quotas.rs::new_connections_in_a_second_are_counted",
    ),
    (
        "idle_connection_ms_max",
        "tests/src/network_limits.rs::what_is_kept_unused_is_what_the_platform_says",
    ),
];

/// Answers every request with these bytes, and keeps the connection.
struct Keeping {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Keeping {
    fn answering(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::Relaxed);
                let (mut stream, answer) = (stream.unwrap(), answer.clone());
                std::thread::spawn(move || {
                    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
                    while let Ok(read @ 1..) = stream.read(&mut buffer) {
                        asked.extend_from_slice(&buffer[..read]);
                        if asked.ends_with(b"\r\n\r\n") {
                            asked.clear();
                            // A client that has gone needs no answer.
                            drop(stream.write_all(&answer));
                        }
                    }
                });
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A hundred thousand letters in gzip (RFC 1952), with 2,000 bytes of nothing in
/// its header: forty-seven bytes for each that is sent.
fn packed() -> Vec<u8> {
    let nothing = [7; 2_000];
    let mut letters = hex::decode("edc13101000000c2a0aceb5fc21a1e4001").unwrap();
    letters.resize(113, 0);
    letters.extend([0xaf, 0x06]);
    let header = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 2, 3];
    let (check, length) = (467_860_103_u32, 100_000_u32);
    [
        &header[..],
        &2_000_u16.to_le_bytes(),
        &nothing,
        &letters,
        &check.to_le_bytes(),
        &length.to_le_bytes(),
    ]
    .concat()
}

/// Listens, and has room for nobody: who connects waits.
struct Deaf {
    listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

#[expect(clippy::disallowed_methods, reason = "a client of the tests")]
fn deaf() -> Deaf {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let soon = Duration::from_millis(200);
    let waiting = std::iter::from_fn(|| TcpStream::connect_timeout(&address, soon).ok());
    Deaf {
        _waiting: waiting.take(1_000).collect(),
        listener,
    }
}

/// A deployment with a connection to each server.
struct Subject {
    stage: Stage,
    hook: String,
    closing: u16,
    _servers: (Vec<Keeping>, Deaf, TcpListener, UdpSocket, Listener),
}

impl Subject {
    #[expect(clippy::disallowed_methods, reason = "a name server of the tests")]
    fn new() -> Self {
        let kept = Keeping::answering(answer("", b"{}"));
        let hint = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(4);
        let interim = Keeping::answering([hint, answer("", b"{}")].concat());
        let packed = Keeping::answering(answer("content-encoding: gzip\r\n", &packed()));
        let closing = Listener::answering(|_| reply("200 OK", "", "{}"));
        let (deaf, silent) = (deaf(), TcpListener::bind("127.0.0.1:0").unwrap());
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ports = [
            ("kept", kept.port),
            ("interim", interim.port),
            ("packed", packed.port),
            ("closing", closing.port),
            ("deaf", deaf.listener.local_addr().unwrap().port()),
            ("silent", silent.local_addr().unwrap().port()),
        ];
        let allow = |host: &str, port: u16| {
            format!("[[egress.allow]]\nhost = \"{host}\"\nport = {port}\ncleartext = true\n\n")
        };
        // `localhost` may have another address, where nobody listens.
        let host_of = |name| match name {
            "deaf" => "127.0.0.1",
            _ => "localhost",
        };
        let mut config: String = ports
            .map(|(name, port)| allow(host_of(name), port))
            .concat();
        config += &allow("nameless.example", 80);
        let asked = nobody.local_addr().unwrap();
        config += &format!("[egress]\nname_servers = [\"{asked}\"]\n\n");
        let stage = Stage::configured(&format!("{config}[limits]\nwall_ms_max = 3_000\n"));
        stage.shop();
        let connect = |name: &str, connector: &str, place: &str| {
            stage.ok(&format!(
                "connection create {name} --connector {connector} {place} --credential-file token.txt"
            ));
        };
        let at = |scheme, host, port: u16| {
            format!("--parameter host={host} --parameter port={port} --parameter scheme={scheme}")
        };
        for (name, port) in ports {
            let scheme = if name == "silent" { "https" } else { "http" };
            connect(name, "orders", &at(scheme, host_of(name), port));
        }
        connect("nameless", "orders", &at("http", "nameless.example", 80));
        stage.install("hostile.wasm", "hostile");
        connect("target", "hostile", &at("http", "localhost", closing.port));
        let hook = stage.apply("call", CALL_IMPORT).unwrap();
        Self {
            closing: closing.port,
            stage,
            hook,
            _servers: (vec![kept, interim, packed], deaf, silent, nobody, closing),
        }
    }

    fn set(&self, what: &str) {
        self.stage.ok(&format!("workspace limits set acme {what}"));
    }

    fn check(&self, connection: &str) -> String {
        text(
            &self
                .stage
                .run(&format!("connection check {connection} --json")),
        )
    }

    /// Makes the call; answers with all that people can read of it.
    fn call(&self, call: Call) -> String {
        let stage = &self.stage;
        match call {
            Call::Check(connection) => self.check(connection),
            Call::Twice(connection) => [self.check(connection), self.check(connection)].concat(),
            Call::InMode(mode) => {
                stage.upstream.mode(mode);
                let told = self.check("shop");
                stage.upstream.mode("up");
                told
            }
            Call::Flood => {
                let url = format!("http://localhost:{}/anything", self.closing);
                let input = json!({ "function": "wasi:http/outgoing-handler#handle", "times": 5, "argument": url });
                stage.post(&self.hook, &input);
                stage.last_job().to_string()
            }
            Call::WhileAnother => while_another_hangs(stage, "shop", || self.check("shop")),
        }
    }
}

/// Does something while a request over `connection` hangs at the order system.
fn while_another_hangs(stage: &Stage, connection: &str, then: impl FnOnce() -> String) -> String {
    let recipe = format!(
        "recipe: hang\ntrigger: {{ webhook: {{}} }}\nsteps:\n  - id: find\n    action: orders.find\n    connection: {connection}\n    input: {{ id: \"ORD-1\" }}\n"
    );
    let hook = stage.apply("hang", &recipe).unwrap();
    stage.upstream.mode("hang");
    let requests = || stage.upstream.effects()["requests"].as_u64();
    let before = requests();
    let hanging = post_aside(stage, &hook, &json!({}));
    stage.until("the first request", |_| (requests() > before).then_some(()));
    let told = then();
    hanging.join().unwrap();
    stage.upstream.mode("up");
    told
}

#[test]
fn every_limit_of_the_network_has_a_case_or_a_test_of_its_own() {
    let cases = CASES.iter().map(|case| case.limit.to_owned());
    let others = ELSEWHERE.iter().map(|(limit, _)| (*limit).to_owned());
    let all: BTreeSet<String> = cases.chain(others).collect();
    assert_eq!(all, names(&json!(NetworkLimits::default())));
    assert_eq!(all.len(), CASES.len() + ELSEWHERE.len());
    let faults = ELSEWHERE.iter().filter_map(|(_, test)| fault_of(test));
    assert_eq!(faults.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn every_limit_of_the_network_holds_from_the_next_call_on_and_is_told_by_name_and_value() {
    let subject = Subject::new();
    for Case {
        limit,
        value,
        besides,
        call,
    } in &CASES
    {
        let before = subject.call(*call);
        assert!(
            !tells(&before, limit, *value),
            "before it is lowered: {before}"
        );
        subject.set(&format!("{limit}={value} {besides}"));
        let told = subject.call(*call);
        assert!(tells(&told, limit, *value), "{limit}: {told}");
        subject.set(&format!("{limit}=default connect_ms_max=default"));
    }
}

#[test]
fn connections_of_all_workspaces_together_are_counted() {
    let stage = Stage::configured(
        "[limits]\nupstream_connections_max = 1\nconnect_ms_max = 200\nwall_ms_max = 4_000\n",
    );
    stage.shop();
    let told = while_another_hangs(&stage, "shop", || {
        text(&stage.run("connection check shop --json"))
    });
    assert!(tells(&told, "upstream_connections_max", 1), "{told}");
}

#[test]
fn what_is_kept_unused_is_what_the_platform_says() {
    let opened = |limit: &str| {
        let server = Keeping::answering(answer("", b"{}"));
        let stage = Stage::configured(&format!(
            "[[egress.allow]]\nhost = \"localhost\"\nport = {}\ncleartext = true\n\n[limits]\n{limit}\n",
            server.port
        ));
        stage.shop();
        for name in ["one", "other"] {
            stage.ok(&format!(
                "connection create {name} --connector orders --parameter host=localhost --parameter port={} --parameter scheme=http --credential-file token.txt",
                server.port
            ));
        }
        for name in ["one", "other", "one", "other"] {
            stage.run(&format!("connection check {name}"));
        }
        server.connections()
    };
    assert_eq!(opened(""), 2);
    assert_eq!(opened("upstream_places_max = 1"), 4);
    assert_eq!(opened("idle_connection_ms_max = 1"), 4);
}

#[test]
fn what_holds_for_all_workspaces_together_is_the_platforms_alone() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    let said = stage.refused("workspace limits set acme upstream_connections_max=1");
    assert!(said.contains("`upstream_connections_max`"), "{said}");
    assert!(said.contains("[limits] of keyway.toml"), "{said}");
    let artifact = crate::harness::with_manifest("hostile.wasm", |manifest| {
        format!("{manifest}\n[limits]\nidle_connections_max = 3\n")
    });
    let file = stage.write("asking.wasm", artifact);
    let said = stage.refused(&format!("connector install {}", file.display()));
    assert!(
        said.contains("`idle_connections_max` is not a connector's to ask for"),
        "{said}"
    );
}
