//! Promise P7, limit by limit: each limit of a guest call ends, refuses or cuts
//! what goes beyond it, and people read its name and value.
//!
//! [`CASES`] is held against the limits that a call has: a new one fails here
//! until it has a case. Each case runs for real, under a value that its
//! workspace has lowered just before.

mod api;
mod fixed;
pub(crate) mod quotas;

use std::collections::BTreeSet;
use std::path::PathBuf;

use keyway_model::limit::{ApiLimits, CallLimits, NetworkLimits, Quotas};
use keyway_model::manifest::section;
use serde_json::{Value, json};

use crate::harness::{CALL_IMPORT, INTAKE, Stage, order, root, with_manifest};

/// What is called.
#[derive(Clone, Copy)]
enum Call {
    /// The check of the connection `target`: one request, no expressions.
    Check,
    /// One of the attempts of the hostile connector.
    Attempt(&'static str),
    /// One function of the host, so often, with so many bytes.
    Import(&'static str, u32, usize),
    /// An order with a body.
    Order,
    /// What the tests' guest of this name does.
    Guest(&'static str),
}

/// One limit, a low value for it, and what goes beyond that.
struct Case {
    limit: &'static str,
    value: u64,
    call: Call,
}

const fn case(limit: &'static str, value: u64, call: Call) -> Case {
    Case { limit, value, call }
}

const LOG: &str = "keyway:host/log#write";
const SET: &str = "keyway:host/state#set";
const GET: &str = "keyway:host/state#get";
const OPEN: &str = "keyway:host/scratch#open";
const WRITE: &str = "keyway:host/scratch#write";
const SCOPES: &str = "keyway:host/connection#scopes";
const LIST: &str = "keyway:host/scratch#list";
const HTTP: &str = "wasi:http/outgoing-handler#handle";

const CASES: [Case; 27] = [
    case("memory_bytes_max", 65_536, Call::Check),
    case("table_elements_max", 1, Call::Check),
    case("handles_max", 2, Call::Check),
    case("host_calls_max", 2, Call::Check),
    case("host_calls_in_flight_max", 1, Call::Guest("courier")),
    case("host_call_bytes_max", 8, Call::Check),
    case("wall_ms_max", 700, Call::Attempt("endless_loop")),
    case("cpu_ms_max", 300, Call::Attempt("endless_loop")),
    case("value_bytes_max", 5, Call::Check),
    case("random_bytes_max", 64, Call::Guest("greedy")),
    case("log_lines_max", 5, Call::Import(LOG, 20, 6)),
    case("log_line_bytes_max", 3, Call::Import(LOG, 1, 6)),
    case("log_bytes_max", 20, Call::Import(LOG, 20, 6)),
    case("request_headers_max", 1, Call::Guest("courier")),
    case("request_header_bytes_max", 3, Call::Guest("courier")),
    case("request_body_bytes_max", 10, Call::Order),
    case("response_headers_max", 1, Call::Check),
    case("response_header_bytes_max", 3, Call::Check),
    case("response_body_bytes_max", 3, Call::Check),
    case("bytes_out_max", 10, Call::Order),
    case("bytes_in_max", 3, Call::Check),
    case("state_key_bytes_max", 3, Call::Import(SET, 1, 6)),
    case("state_value_bytes_max", 3, Call::Import(SET, 1, 6)),
    case("state_keys_max", 1, Call::Attempt("other_tenant_state")),
    case("scratch_bytes_max", 3, Call::Import(WRITE, 1, 6)),
    case("scratch_file_bytes_max", 3, Call::Import(WRITE, 1, 6)),
    case("scratch_files_max", 1, Call::Import(OPEN, 2, 6)),
];

/// A deployment with everything that the cases call.
struct Subject {
    stage: Stage,
    hooks: Vec<(&'static str, String)>,
}

impl Subject {
    fn new(config: &str) -> Self {
        let stage = Stage::configured(config);
        stage.shop();
        stage.install("hostile.wasm", "hostile");
        stage.connect("target", "hostile");
        for (name, actions) in [("courier", "two"), ("greedy", "random")] {
            stage.install_file(&guest(&stage, name, actions), name);
            stage.ok(&format!(
                "connection create {name} --connector {name} --no-credential"
            ));
        }
        let attempt = CALL_IMPORT
            .replace("recipe: call", "recipe: attempt")
            .replace("hostile.import", "hostile.attempt");
        let of_guest = |name: &str, action: &str| {
            CALL_IMPORT
                .replace("recipe: call", &format!("recipe: {name}"))
                .replace("hostile.import", &format!("{name}.{action}"))
                .replace("connection: target", &format!("connection: {name}"))
        };
        let recipes = [
            ("call", CALL_IMPORT.to_owned()),
            ("attempt", attempt),
            ("intake", INTAKE.to_owned()),
            ("courier", of_guest("courier", "two")),
            ("greedy", of_guest("greedy", "random")),
        ];
        let hooks = recipes
            .into_iter()
            .map(|(name, text)| (name, stage.apply(name, &text).unwrap()));
        let hooks = hooks.collect();
        Self { stage, hooks }
    }

    fn hook(&self, name: &str) -> &str {
        &self.hooks.iter().find(|hook| hook.0 == name).unwrap().1
    }

    fn set(&self, what: &str) {
        self.stage.ok(&format!("workspace limits set acme {what}"));
    }

    /// Makes the call; answers with all that people can read of it.
    fn call(&self, call: Call) -> String {
        let (hook, input) = match call {
            Call::Check => {
                let output = self.stage.run("connection check target --json");
                return crate::harness::text(&output);
            }
            Call::Attempt(what) => ("attempt", json!({ "what": what })),
            Call::Import(function, times, bytes) => (
                "call",
                json!({ "function": function, "times": times, "argument": "x".repeat(bytes) }),
            ),
            Call::Order => ("intake", order(1)),
            Call::Guest(name) => (name, json!({})),
        };
        let (_, reply) = self.stage.post(self.hook(hook), &input);
        format!("{reply} {}", self.stage.last_job())
    }
}

/// A guest of the tests, with a manifest that declares its one action.
pub(crate) fn guest(stage: &Stage, name: &str, action: &str) -> PathBuf {
    let file = match name {
        "courier" => "guest_http.wasm",
        _ => "guest_hostile.wasm",
    };
    let built = root()
        .join("tests/guests/target/wasm32-wasip2/release")
        .join(file);
    let component = std::fs::read(&built)
        .unwrap_or_else(|_| panic!("{} is not built: run `cargo xtask test`", built.display()));
    let manifest = format!(
        r#"[connector]
name = "{name}"
version = "0.1.0"
title = "A guest of the tests"
capabilities = ["http", "log", "state", "connection"]

[destinations.api]
schemes = ["https"]
host = "api.example.com"
role = "api"

[actions.{action}]
title = "What it does"
effect = "read"
uses = [{{ destination = "api", methods = ["GET"], paths = ["/first", "/second"] }}]
input = {{ type = "object" }}
"#
    );
    let artifact = section::append(&component, &manifest).unwrap();
    stage.write(&format!("{name}.wasm"), artifact)
}

/// The names of a struct's fields.
pub(crate) fn names(of: &Value) -> BTreeSet<String> {
    of.as_object().unwrap().keys().cloned().collect()
}

/// Whether `text` names the limit with its value, in one of the ways in which
/// errors do.
pub(crate) fn tells(text: &str, limit: &str, value: u64) -> bool {
    text.contains(&format!("`{limit}` ({value})")) || text.contains(&format!("{limit} ({value})"))
}

#[test]
fn every_limit_of_a_call_has_a_case() {
    let cases: BTreeSet<String> = CASES.iter().map(|case| case.limit.to_owned()).collect();
    assert_eq!(cases, names(&json!(CallLimits::default())));
    assert_eq!(cases.len(), CASES.len(), "a limit with two cases");
}

#[test]
fn every_limit_of_a_call_holds_from_the_next_call_on_and_is_told_by_name_and_value() {
    let subject = Subject::new("");
    // One key of state is there; a second one is over the lowered limit.
    subject.call(Call::Import(SET, 1, 6));
    for Case { limit, value, call } in &CASES {
        let ends_anyway =
            matches!(call, Call::Attempt("endless_loop")) || *limit == "random_bytes_max";
        if !ends_anyway {
            let before = subject.call(*call);
            assert!(!before.contains(limit), "before it is lowered: {before}");
        }
        subject.set(&format!("{limit}={value}"));
        let told = subject.call(*call);
        assert!(tells(&told, limit, *value), "{limit}: {told}");
        subject.set(&format!("{limit}=default"));
    }
}

/// The lines of `workspace limits show` by name.
fn shown(stage: &Stage, limit: &str) -> Value {
    let all = stage.json("workspace limits show acme");
    let all = all.as_array().unwrap();
    all.iter()
        .find(|line| line["name"] == limit)
        .unwrap()
        .clone()
}

#[test]
fn a_value_above_the_platforms_is_refused_with_both_and_a_wrong_name_with_all_names() {
    let stage = Stage::configured("[limits]\ncpu_ms_max = 2000\n\n[ceiling]\ncpu_ms_max = 3000\n");
    stage.ok("workspace create acme");
    let said = stage.refused("workspace limits set acme cpu_ms_max=3001");
    assert!(said.contains("`cpu_ms_max` = 3001"), "{said}");
    assert!(said.contains("the platform's 3000"), "{said}");
    let said = stage.refused("workspace limits set acme cpu=1");
    for name in names(&json!(CallLimits::default()))
        .iter()
        .chain(&names(&json!(Quotas::default())))
        .chain(&names(&json!(NetworkLimits::default())))
        .chain(&names(&json!(ApiLimits::default())))
    {
        assert!(said.contains(name), "{name}: {said}");
    }
    for wrong in ["cpu_ms_max=0", "cpu_ms_max=lots", "cpu_ms_max"] {
        stage.refused(&format!("workspace limits set acme {wrong}"));
    }
    assert_eq!(shown(&stage, "cpu_ms_max")["workspace"], Value::Null);
    let is_of_refused = |line: &Value| {
        let record = &line["record"];
        record["operation"] == "limits:set" && record["target"]["id"] == "cpu_ms_max=3001"
    };
    assert!(stage.audit().iter().any(is_of_refused));
}

#[test]
fn what_a_workspace_lowered_outlives_a_restart_and_is_of_one_environment() {
    let mut stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.ok("workspace limits set acme cpu_ms_max=1000 jobs_per_workspace_max=7");
    stage.ok("workspace limits set acme cpu_ms_max=900");
    stage.serve = None;
    stage.start();
    let cpu = shown(&stage, "cpu_ms_max");
    let numbers = ["platform", "ceiling", "workspace", "holds"].map(|key| cpu[key].as_u64());
    assert_eq!(numbers, [Some(5_000), Some(5_000), Some(900), Some(900)]);
    assert_eq!(shown(&stage, "jobs_per_workspace_max")["holds"], 7);
    let production = stage.json("--environment production workspace limits show acme");
    let lowered = production.as_array().unwrap().iter();
    assert_eq!(
        lowered.filter(|line| !line["workspace"].is_null()).count(),
        0
    );
    stage.ok("workspace limits set acme cpu_ms_max=default");
    assert_eq!(shown(&stage, "cpu_ms_max")["holds"], 5_000);
}

#[test]
fn a_manifest_asks_for_more_up_to_the_ceiling_and_for_less_and_its_page_says_so() {
    let stage = Stage::configured("[ceiling]\nmemory_bytes_max = 134_217_728\n");
    stage.ok("workspace create acme");
    let asking = |memory: u64| {
        let bytes = with_manifest("hostile.wasm", |manifest| {
            format!("{manifest}\n[limits]\nmemory_bytes_max = {memory}\nlog_lines_max = 3\n")
        });
        stage.write("asking.wasm", bytes)
    };
    let said = stage.refused(&format!("connector install {}", asking(1 << 28).display()));
    assert!(
        said.contains("`memory_bytes_max` = 268435456 is above the platform's 134217728"),
        "{said}"
    );
    let file = asking(1 << 27);
    let page = stage.ok(&format!("connector inspect {}", file.display()));
    assert!(
        page.contains("asks for memory_bytes_max: 134217728 bytes"),
        "{page}"
    );
    stage.install_file(&file, "hostile");
    stage.connect("target", "hostile");
    let attempt = CALL_IMPORT.replace("hostile.import", "hostile.attempt");
    let hook = stage.apply("call", &attempt).unwrap();
    let bomb = json!({ "what": "memory_bomb" });
    stage.post(&hook, &bomb);
    let told = stage.last_job().to_string();
    assert!(tells(&told, "memory_bytes_max", 1 << 27), "{told}");
    // What the workspace lowers holds against the manifest, too.
    stage.ok("workspace limits set acme memory_bytes_max=33554432");
    stage.post(&hook, &bomb);
    let told = stage.last_job().to_string();
    assert!(tells(&told, "memory_bytes_max", 1 << 25), "{told}");
}

#[test]
fn a_configuration_with_a_wrong_limit_does_not_start() {
    let stage = Stage::empty();
    for (lines, expected) in [
        ("[limits]\ncpu = 1\n", "there is no limit `cpu`"),
        ("[limits]\ncpu_ms_max = 0\n", "whole number from 1"),
        ("[ceiling]\ncpu_ms_max = 1\n", "is below its limit"),
        (
            "[ceiling]\njobs_per_workspace_max = 9000\n",
            "no manifest may ask for",
        ),
    ] {
        std::fs::write(stage.dir.path().join("keyway.toml"), lines).unwrap();
        let said = stage.try_start().err().unwrap();
        assert!(said.contains(expected), "{lines}: {said}");
    }
}
