//! Import by import: each function that a guest can be linked with has a class,
//! an allowed call, a denied call, a limit and an audit record.
//!
//! [`CASES`] is held against the WIT and the table of imports: a new function
//! fails here until it has a case, and a case runs for real.

use std::collections::BTreeSet;

use keyway_model::manifest::Capability;
use keyway_model::manifest::imports::{ImportClass, table};
use serde_json::{Value, json};

use crate::harness::{CALL_IMPORT, Stage, artifact, root};
use crate::limits::tells;

/// What is expected of one function.
struct Case {
    /// As the table of imports names it.
    function: &'static str,
    class: ImportClass,
    capability: &'static str,
    /// What it is called with.
    argument: Argument,
    /// What the guest sees where it is granted, and where it is not.
    allowed: &'static str,
    denied: &'static str,
    /// Where its record tells of it: an operation, or a count of the invocation's record.
    record: &'static str,
    /// How many a second the broker serves of it.
    rate: &'static str,
}

#[derive(Clone, Copy)]
enum Argument {
    Text,
    UpstreamUrl,
}

const CASES: [Case; 12] = [
    Case {
        function: "wasi:http/outgoing-handler@0.2#handle",
        class: ImportClass::Outward,
        capability: "http",
        argument: Argument::UpstreamUrl,
        allowed: "status 200",
        denied: "is not granted",
        record: "http.send",
        rate: "http_calls_per_second_max",
    },
    Case {
        function: "keyway:host/state@0.1.0#set",
        class: ImportClass::Outward,
        capability: "state",
        argument: Argument::Text,
        allowed: "Ok(())",
        denied: "Err(Denied)",
        record: "state.set",
        rate: "state_writes_per_second_max",
    },
    Case {
        function: "keyway:host/state@0.1.0#get",
        class: ImportClass::Inward,
        capability: "state",
        argument: Argument::Text,
        allowed: "Ok(Some(\"a word\"))",
        denied: "Err(Denied)",
        record: "state_reads",
        rate: "state_reads_per_second_max",
    },
    Case {
        function: "keyway:host/state@0.1.0#delete",
        class: ImportClass::Outward,
        capability: "state",
        argument: Argument::Text,
        allowed: "Ok(())",
        denied: "Err(Denied)",
        record: "state.delete",
        rate: "state_writes_per_second_max",
    },
    Case {
        function: "keyway:host/scratch@0.1.0#open",
        class: ImportClass::Outward,
        capability: "scratch",
        argument: Argument::Text,
        allowed: "Ok(0)",
        denied: "Err(Denied)",
        record: "scratch.open",
        rate: "scratch_calls_per_second_max",
    },
    Case {
        function: "keyway:host/scratch@0.1.0#write",
        class: ImportClass::Outward,
        capability: "scratch",
        argument: Argument::Text,
        allowed: "Ok(())",
        denied: "Err(Denied)",
        record: "scratch.write",
        rate: "scratch_calls_per_second_max",
    },
    Case {
        function: "keyway:host/scratch@0.1.0#read",
        class: ImportClass::Inward,
        capability: "scratch",
        argument: Argument::Text,
        allowed: "Ok(Ok(\"a word\"))",
        denied: "Err(Denied)",
        record: "scratch_reads",
        rate: "scratch_calls_per_second_max",
    },
    Case {
        function: "keyway:host/scratch@0.1.0#list",
        class: ImportClass::Inward,
        capability: "scratch",
        argument: Argument::Text,
        allowed: "Ok([])",
        denied: "Err(Denied)",
        record: "scratch_reads",
        rate: "scratch_calls_per_second_max",
    },
    Case {
        function: "keyway:host/scratch@0.1.0#remove",
        class: ImportClass::Outward,
        capability: "scratch",
        argument: Argument::Text,
        allowed: "Ok(())",
        denied: "Err(Denied)",
        record: "scratch.remove",
        rate: "scratch_calls_per_second_max",
    },
    Case {
        function: "keyway:host/connection@0.1.0#parameter",
        class: ImportClass::Inward,
        capability: "connection",
        argument: Argument::Text,
        allowed: "Some(\"localhost\")",
        denied: "None",
        record: "connection_reads",
        rate: "connection_reads_per_second_max",
    },
    Case {
        function: "keyway:host/connection@0.1.0#scopes",
        class: ImportClass::Inward,
        capability: "connection",
        argument: Argument::Text,
        allowed: "[]",
        denied: "[]",
        record: "connection_reads",
        rate: "connection_reads_per_second_max",
    },
    Case {
        function: "keyway:host/log@0.1.0#write",
        class: ImportClass::Inward,
        capability: "log",
        argument: Argument::Text,
        allowed: "written",
        denied: "written",
        record: "log_lines",
        rate: "log_lines_per_second_max",
    },
];

/// A deployment whose recipe calls one function of the host.
struct Caller {
    stage: Stage,
    hook: String,
}

impl Caller {
    fn new(limits: &str) -> Self {
        let stage = Stage::configured(limits);
        stage.ok("workspace create acme");
        stage.install("hostile.wasm", "hostile");
        stage.connect("target", "hostile");
        let hook = stage.apply("call", CALL_IMPORT).unwrap();
        Self { stage, hook }
    }

    fn call(&self, case: &Case, times: u32) -> (u16, Value) {
        let (interface, function) = case.function.split_once('#').unwrap();
        let interface = interface.split('@').next().unwrap();
        let argument = match case.argument {
            Argument::Text => "a word".to_owned(),
            Argument::UpstreamUrl => {
                format!("http://localhost:{}/anything", self.stage.upstream.port)
            }
        };
        let input = json!({ "function": format!("{interface}#{function}"), "times": times, "argument": argument });
        self.stage.post(&self.hook, &input)
    }

    /// Approves everything that the manifest declares but for one capability.
    fn approve_all_but(&self, capability: &str) {
        let all = Capability::ALL.map(Capability::as_str);
        let rest: Vec<&str> = all.into_iter().filter(|it| *it != capability).collect();
        let digest = self.stage.json("connector show hostile")["digest"].clone();
        self.stage.ok(&format!(
            "connector approve hostile --digest {} --why narrowed --capabilities {}",
            digest.as_str().unwrap(),
            rest.join(",")
        ));
    }

    /// The audit records since `seen` records.
    fn records_since(&self, seen: usize) -> Vec<Value> {
        self.stage.audit().split_off(seen)
    }

    /// Whether a record since `seen` tells of the call, allowed or denied.
    fn is_recorded(&self, case: &Case, seen: usize, decision: &str) -> bool {
        self.stage.until("the record of the invocation", |_| {
            let records = self.records_since(seen);
            let is_told = records.iter().any(|line| {
                let record = &line["record"];
                match case.class {
                    ImportClass::Outward => {
                        record["operation"] == case.record && record["decision"] == decision
                    }
                    ImportClass::Inward | ImportClass::Local => {
                        let count = if decision == "denied" {
                            "denied"
                        } else {
                            case.record
                        };
                        line["kind"] == "tally" && record[count].as_u64() > Some(0)
                    }
                }
            });
            is_told.then_some(true)
        })
    }
}

/// The functions of the contract's host interfaces, as its WIT has them.
fn functions_of_the_wit() -> BTreeSet<String> {
    let wit = std::fs::read_to_string(root().join("wit/deps/keyway-host/host.wit")).unwrap();
    let mut interface = "";
    let mut found = BTreeSet::new();
    for line in wit.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("interface ") {
            interface = name.trim_end_matches(" {");
        } else if let Some((function, _)) = line.split_once(": func(") {
            // A name that is a word of WIT, too, is written with a sign before it.
            let function = function.trim_start_matches('%');
            found.insert(format!("keyway:host/{interface}@0.1.0#{function}"));
        }
    }
    // Of `wasi:http`, types are values; this one function sends.
    found.insert("wasi:http/outgoing-handler@0.2#handle".to_owned());
    found
}

#[test]
fn every_function_of_the_host_has_a_case_and_the_class_of_the_table() {
    let cases: BTreeSet<String> = CASES.iter().map(|case| case.function.to_owned()).collect();
    assert_eq!(cases, functions_of_the_wit());
    for line in table() {
        let covered = CASES.iter().filter(|case| {
            let (interface, function) = case.function.split_once('#').unwrap();
            interface == line.interface
                && line.function.as_deref().is_none_or(|name| name == function)
        });
        let covered: Vec<&Case> = covered.collect();
        assert_eq!(
            covered.is_empty(),
            line.class == ImportClass::Local,
            "{line:?} is mediated and has no case, or has one and is not"
        );
        for case in covered {
            assert_eq!(case.class, line.class, "{}", case.function);
            let capability = line.capability.map(|it| it.as_str());
            assert_eq!(capability, Some(case.capability), "{}", case.function);
        }
    }
}

#[test]
fn every_function_of_the_host_is_served_where_granted_and_recorded() {
    let caller = Caller::new("");
    // In the order of the cases: what is set can be read.
    for case in &CASES {
        let seen = caller.stage.audit().len();
        let (status, reply) = caller.call(case, 1);
        assert_eq!(status, 200, "{}: {reply}", case.function);
        assert_eq!(reply["seen"], case.allowed, "{}", case.function);
        assert!(
            caller.is_recorded(case, seen, "allowed"),
            "{}",
            case.function
        );
    }
}

#[test]
fn every_function_of_the_host_is_refused_where_not_approved_and_the_denial_is_recorded() {
    let caller = Caller::new("");
    for case in &CASES {
        caller.approve_all_but(case.capability);
        let seen = caller.stage.audit().len();
        let (status, reply) = caller.call(case, 1);
        assert_eq!(status, 200, "{}: {reply}", case.function);
        let text = reply["seen"].as_str().unwrap();
        assert!(text.contains(case.denied), "{}: {text}", case.function);
        assert!(
            caller.is_recorded(case, seen, "denied"),
            "{}",
            case.function
        );
        let step = &caller.stage.last_job()["steps"][0]["seen"];
        let denial = &step["denials"][0];
        assert_eq!(denial["reason"], "capability", "{}: {step}", case.function);
        let remedy = denial["remedy"].as_str().unwrap();
        assert!(remedy.contains(case.capability), "{remedy}");
        assert_eq!(step["log"], json!([]), "{}: {step}", case.function);
    }
    assert_eq!(caller.stage.upstream.effects()["requests"], 0);
}

#[test]
fn every_function_of_the_host_counts_toward_a_limit_that_ends_the_call() {
    let caller = Caller::new("[limits]\nhost_calls_max = 20\n");
    for case in &CASES {
        let (status, reply) = caller.call(case, 50);
        assert_eq!(status, 502, "{}: {reply}", case.function);
        let job = caller.stage.last_job();
        let failure = job["failure"].as_str().unwrap();
        let named = failure.contains("`host_calls_max` (20)");
        assert!(named, "{}: {job}", case.function);
        // Requests had left when the call was cut off, and the action may not be repeated.
        let unsure = failure.contains("may or may not have had its effect");
        assert_eq!(unsure, case.record == "http.send", "{failure}");
    }
}

#[test]
fn every_function_that_the_broker_serves_has_a_rate_and_people_are_told_it_by_name() {
    let caller = Caller::new("");
    let flood = |case: &Case| {
        let limits = |value: &str, patience: &str| {
            let rate = case.rate;
            caller.stage.ok(&format!(
                "workspace limits set acme {rate}={value} throttle_ms_max={patience}"
            ));
        };
        limits("1", "10");
        caller.call(case, 3);
        let told = caller.stage.last_job().to_string();
        assert!(tells(&told, case.rate, 1), "{}: {told}", case.function);
        limits("default", "default");
    };
    // A parameter that is granted is told by the worker, for nothing.
    let (parameter, others): (Vec<&Case>, Vec<&Case>) = CASES
        .iter()
        .partition(|case| case.function.ends_with("#parameter"));
    others.into_iter().for_each(flood);
    caller.approve_all_but("connection");
    parameter.into_iter().for_each(flood);
}

#[test]
fn log_lines_over_the_limit_are_dropped_and_counted() {
    let caller = Caller::new("[limits]\nlog_lines_max = 20\n");
    let log = CASES
        .iter()
        .find(|case| case.record == "log_lines")
        .unwrap();
    let seen = caller.stage.audit().len();
    let (status, reply) = caller.call(log, 50);
    assert_eq!(status, 200, "{reply}");
    let tally = caller.stage.until("the record of the invocation", |_| {
        let records = caller.records_since(seen);
        records.into_iter().find(|line| line["kind"] == "tally")
    });
    assert_eq!(tally["record"]["log_lines"], 20, "{tally}");
    assert_eq!(tally["record"]["log_lines_dropped"], 30, "{tally}");
    let step = &caller.stage.last_job()["steps"][0]["seen"];
    assert_eq!(step["log"].as_array().unwrap().len(), 20, "{step}");
}

#[test]
fn a_capability_beyond_the_manifest_cannot_be_approved() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.ok(&format!(
        "connector install {}",
        artifact("orders.wasm").display()
    ));
    let digest = stage.json("connector show orders")["digest"].clone();
    let said = stage.refused(&format!(
        "connector approve orders --digest {} --why wide --capabilities http,state",
        digest.as_str().unwrap()
    ));
    assert!(said.contains("`state` is not declared"), "{said}");
}
