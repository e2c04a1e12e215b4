//! Scratch files as real guests use and abuse them, through worker and broker.

mod disk;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Stage, artifact, raw, split, text};

const CANARY: &str = "a row of a tenant that nobody else may read";

const USE_SCRATCH: &str = r#"recipe: files
trigger: { webhook: {} }
steps:
  - id: use
    action: hostile.scratch
    connection: target
    input: "${ trigger.body }"
  - respond: { status: 200, body: "${ steps.use }" }
"#;

/// A deployment whose guest does to its files what it is told. Where it is told
/// to wait, it waits for [`Bench::waits`].
struct Bench {
    stage: Stage,
    hook: String,
    upstream: TcpListener,
}

/// A guest in the middle of its call.
struct Waiting(TcpStream);

impl Bench {
    fn new(limits: &str) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        upstream.set_nonblocking(true).unwrap();
        let port = upstream.local_addr().unwrap().port();
        let stage = Stage::configured(&format!(
            "[[egress.allow]]\nhost = \"localhost\"\nport = {port}\ncleartext = true\n\n[limits]\n{limits}"
        ));
        stage.ok("workspace create acme");
        stage.install("hostile.wasm", "hostile");
        stage.ok(&format!(
            "connection create target --connector hostile --parameter host=localhost --parameter port={port} --parameter scheme=http --credential-file token.txt"
        ));
        let hook = stage.apply("files", USE_SCRATCH).unwrap();
        Self {
            stage,
            hook,
            upstream,
        }
    }

    /// Does the steps in one call; what each of them gave.
    fn call(&self, steps: &Value) -> Vec<String> {
        let (status, reply) = self.stage.post(&self.hook, &json!({ "steps": steps }));
        assert_eq!(status, 200, "{reply} {}", self.stage.last_job());
        let seen = reply["seen"].as_array().unwrap();
        seen.iter()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect()
    }

    /// Starts the steps in one call; the reply's status and body.
    fn begin(&self, steps: &Value) -> std::thread::JoinHandle<String> {
        let (address, path) = split(&self.hook);
        let body = json!({ "steps": steps }).to_string();
        std::thread::spawn(
            move || match raw(address, "POST", &path, &[], body.as_bytes()) {
                Ok((status, body)) => format!("{status} {}", String::from_utf8_lossy(&body)),
                Err(error) => error.to_string(),
            },
        )
    }

    /// Waits until a guest waits.
    fn waits(&self) -> Waiting {
        let accept = |_: &Stage| self.upstream.accept().ok();
        let (mut stream, _) = self.stage.until("a guest that waits", accept);
        stream.set_nonblocking(false).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        Waiting(stream)
    }

    /// The directories of calls.
    fn dirs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.stage.data().join("scratch")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn root_key(&self) -> Vec<u8> {
        std::fs::read(self.stage.data().join("root.key")).unwrap()
    }

    fn no_dirs(&self) {
        self.stage.until("the end of all scratch files", |_| {
            self.dirs().is_empty().then_some(())
        });
    }
}

impl Waiting {
    fn release(mut self) {
        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        self.0.write_all(reply).unwrap();
    }
}

/// The first file of a call.
fn file_in(dir: &Path) -> PathBuf {
    dir.join(format!("{:016x}", 0))
}

fn filled() -> Vec<Value> {
    vec![
        json!({ "do": "open", "name": "rows" }),
        json!({ "do": "write", "name": "rows", "text": CANARY }),
    ]
}

fn filled_and(more: &[Value]) -> Value {
    [filled(), more.to_vec()].concat().into()
}

#[test]
fn a_guest_reads_what_it_wrote_and_its_next_call_finds_nothing() {
    let bench = Bench::new("");
    let seen = bench.call(&filled_and(&[
        json!({ "do": "write", "name": "rows", "offset": 2, "text": "ROW" }),
        json!({ "do": "read", "name": "rows", "offset": 0, "length": 5 }),
        json!({ "do": "read", "name": "rows", "offset": 99, "length": 5 }),
        json!({ "do": "write", "name": "rows", "offset": 99, "text": "x" }),
        json!({ "do": "read", "name": "other", "length": 5 }),
        json!({ "do": "open", "name": "pages/1.json" }),
        json!({ "do": "list" }),
        json!({ "do": "remove", "name": "rows" }),
        json!({ "do": "read", "name": "rows", "length": 5 }),
        json!({ "do": "list" }),
    ]));
    let length = CANARY.len();
    let expected = [
        "Ok(0)",
        "Ok(())",
        "Ok(())",
        "Ok(\"a ROW\")",
        "Err(BehindEnd)",
        "Err(BehindEnd)",
        "Err(NotFound)",
        "Ok(0)",
        &format!("Ok([(\"pages/1.json\", 0), (\"rows\", {length})])"),
        "Ok(())",
        "Err(NotFound)",
        "Ok([(\"pages/1.json\", 0)])",
    ];
    assert_eq!(seen, expected);
    let again =
        bench.call(&json!([{ "do": "list" }, { "do": "read", "name": "rows", "length": 5 }]));
    assert_eq!(again, ["Ok([])", "Err(NotFound)"]);
    assert!(bench.dirs().is_empty());
}

#[test]
fn records_of_scratch_files_tell_how_many_bytes_and_neither_name_nor_content() {
    let bench = Bench::new("");
    bench.call(&filled_and(&[
        json!({ "do": "read", "name": "rows", "length": 5, "times": 3 }),
        json!({ "do": "remove", "name": "rows" }),
    ]));
    let tally = bench.stage.until("the record of the invocation", |stage| {
        let records = stage.audit();
        records.into_iter().find(|line| line["kind"] == "tally")
    });
    assert_eq!(tally["record"]["scratch_reads"], 3, "{tally}");
    let records = bench.stage.audit();
    let intents = records.iter().filter(|line| {
        line["record"]["target"]["type"] == "scratch" && line["record"]["decision"] == "allowed"
    });
    let told: Vec<(&str, u64)> = intents
        .map(|intent| {
            let id = &intent["record"]["id"];
            let outcome = records
                .iter()
                .find(|line| line["kind"] == "outcome" && line["record"]["id"] == *id);
            let outcome = &outcome.unwrap()["record"];
            assert_eq!(outcome["outcome"], "done", "{outcome}");
            let operation = intent["record"]["operation"].as_str().unwrap();
            (operation, outcome["bytes_out"].as_u64().unwrap())
        })
        .collect();
    let length = CANARY.len() as u64;
    assert_eq!(
        told,
        [
            ("scratch.open", 0),
            ("scratch.write", length),
            ("scratch.remove", 0)
        ]
    );
    let export = bench.stage.ok("audit export");
    for word in ["rows", CANARY] {
        assert!(!export.contains(word), "{word}");
    }
}

#[test]
fn every_trick_with_a_name_is_refused_to_a_guest_before_anything_happens() {
    let bench = Bench::new("");
    let seen_before = bench.stage.audit().len();
    let (long, deep) = ("n".repeat(256), ["d"; 9].join("/"));
    let names = [
        "",
        ".",
        "..",
        "../root.key",
        "../../root.key",
        "a/../../root.key",
        "a/./b",
        "a/",
        "/",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "//a",
        "a//b",
        ".hidden",
        "a.",
        "...",
        "a\0",
        "\0",
        "a\0/../b",
        "a\nb",
        "\u{1b}[2J",
        "a\u{7f}",
        "..\\root.key",
        "\\\\server\\a",
        "C:\\a",
        "C:a",
        "file:///etc/passwd",
        "%2e%2e/root.key",
        "~/a",
        "$HOME",
        "a b",
        "*",
        "\u{ff0e}\u{ff0e}/root.key",
        "\u{2024}\u{2024}",
        "a\u{2215}b",
        "a\u{2044}b",
        "a\u{202e}b",
        "\u{e9}",
        "e\u{301}",
        "a\u{200b}",
        "CON",
        "con.txt",
        "NUL",
        "a/aux",
        "COM1",
        "LPT9.log",
        &long,
        &deep,
    ];
    let steps: Vec<Value> = names
        .iter()
        .flat_map(|name| {
            ["open", "read", "fill", "remove"].map(|what| json!({ "do": what, "name": name }))
        })
        .collect();
    let seen = bench.call(&steps.clone().into());
    for (step, seen) in steps.iter().zip(&seen) {
        assert!(seen.contains("BadName("), "{step}: {seen}");
    }
    assert_eq!(seen.len(), names.len() * 4);
    assert!(bench.dirs().is_empty());
    let records = bench.stage.audit().split_off(seen_before);
    let is_scratch = |line: &Value| line["record"]["target"]["type"] == "scratch";
    assert!(!records.iter().any(is_scratch), "{records:?}");
}

#[test]
fn every_limit_of_scratch_files_is_told_to_the_guest_with_its_value() {
    let bench = Bench::new(
        "scratch_bytes_max = 100000\nscratch_file_bytes_max = 60000\nscratch_files_max = 2\n",
    );
    let open = |name: &str| json!({ "do": "open", "name": name });
    let fill = |name: &str, length: u32| json!({ "do": "fill", "name": name, "length": length });
    let seen = bench.call(&json!([
        open("a"),
        open("b"),
        open("c"),
        fill("a", 60_001),
        fill("a", 60_000),
        fill("b", 40_001),
        fill("a", (1 << 20) + 1),
        { "do": "read", "name": "a", "length": (1 << 20) + 1 },
        { "do": "read", "name": "a", "length": 1 << 20, "offset": 60_000 },
    ]));
    for (seen, limit) in seen.iter().zip([
        None,
        None,
        Some("scratch_files_max (2)"),
        Some("scratch_file_bytes_max (60000)"),
        None,
        Some("scratch_bytes_max (100000)"),
        Some("SCRATCH_CHUNK_BYTES_MAX (1048576)"),
        Some("SCRATCH_CHUNK_BYTES_MAX (1048576)"),
        None,
    ]) {
        match limit {
            None => assert!(seen.starts_with("Ok("), "{seen}"),
            Some(limit) => assert!(seen.contains(limit), "{limit}: {seen}"),
        }
    }
    let refused = bench.stage.audit().into_iter().filter(|line| {
        let detail = line["record"]["detail"].as_str().unwrap_or("");
        line["record"]["outcome"] == "refused" && detail.starts_with("scratch_")
    });
    assert_eq!(
        refused.count(),
        3,
        "each refused change has an outcome that says why; a piece that is too large does not leave the worker"
    );
}

#[test]
fn an_author_tries_scratch_files_out_on_a_machine_without_a_deployment() {
    let dir = tempfile::tempdir().unwrap();
    let input =
        json!({ "steps": filled_and(&[json!({ "do": "read", "name": "rows", "length": 99 })]) });
    std::fs::write(dir.path().join("input.json"), input.to_string()).unwrap();
    crate::harness::secret(&dir.path().join("token.txt"), "a-test-token");
    let output = std::process::Command::new(crate::harness::program())
        .current_dir(dir.path())
        .args(["connector", "call"])
        .arg(artifact("hostile.wasm"))
        .args([
            "scratch",
            "--input",
            "input.json",
            "--parameter",
            "host=localhost",
        ])
        .args(["--credential-file", "token.txt"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains(CANARY), "{}", text(&output));
}

#[test]
fn a_reviewer_sees_that_a_connector_wants_scratch_files() {
    let inspect = |name: &str| {
        let output = std::process::Command::new(crate::harness::program())
            .args(["connector", "inspect"])
            .arg(artifact(name))
            .output()
            .unwrap();
        let page = text(&output);
        page.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let page = inspect("hostile.wasm");
    assert!(
        page.contains("may use: http, log, state, connection, scratch"),
        "{page}"
    );
    assert!(page.contains("no file but its own scratch files"), "{page}");
    let page = inspect("orders.wasm");
    assert!(page.contains("no file, no environment"), "{page}");
}
