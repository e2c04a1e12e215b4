//! What code could do that got out of the sandbox: nothing. A native program
//! takes a worker's place and tries; and a kernel that lacks a layer is told
//! apart from one that has it.

mod attempts;
mod every_call;
mod second_line;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use serde_json::json;

pub(crate) use attempts::intruder;

use crate::harness::{INTAKE, PATIENCE, Process, Stage, order, program, ready};
use crate::processes::children;

/// The lines of `/readyz` on the socket.
pub(crate) fn readyz(stage: &Stage) -> String {
    crate::client::over_socket(&stage.data().join("api.sock"), "GET", "/readyz", b"").1
}

/// What a process is numbered by in a line of its status.
fn ids<'s>(status: &'s str, field: &str) -> BTreeSet<&'s str> {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.unwrap().split_whitespace().collect()
}

/// Who owns what the kernel tells of a process's memory: root, if the process is not
/// dumpable, and else the process's own user.
fn owner_of_what_it_is(pid: u32) -> u32 {
    let environ = std::fs::metadata(format!("/proc/{pid}/environ"));
    environ.unwrap().uid()
}

#[test]
fn every_layer_holds_around_the_workers_that_run_guests() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    let before = children(stage.serve.as_ref().unwrap().pid());
    for number in 0..20 {
        assert_eq!(stage.post(&hook, &order(number)).0, 200);
    }
    let said = readyz(&stage);
    let engine = crate::tidy::locked_version("wasmtime");
    let first = format!("ready\nengine: wasmtime {engine}\n");
    assert!(said.starts_with(&first), "{said}");
    for layer in [
        "descriptors",
        "no-new-privileges",
        "not-dumpable",
        "parent-death",
        "landlock",
        "limits",
        "write-xor-execute",
        "system-call-filter",
    ] {
        assert!(said.contains(&format!("worker {layer}: held\n")), "{said}");
    }
    // The engine resets its slots by scanning the page map, or does not start;
    // it did so twenty times inside the filter, and the same workers are there.
    assert!(said.contains("worker instance-reset: quick\n"), "{said}");
    let workers = children(stage.serve.as_ref().unwrap().pid());
    assert_eq!(workers, before);
    let (mut has_code, mut users) = (false, BTreeSet::new());
    for pid in workers {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"] {
            assert!(status.contains(line), "{line}: {status}");
        }
        if rustix::process::geteuid().is_root() {
            let own = ids(&status, "Uid:");
            assert_eq!(own.len(), 1, "{own:?}");
            let user: u32 = own.first().unwrap().parse().unwrap();
            assert!((61_184..65_520).contains(&user), "{user}");
            assert!(users.insert(user), "two workers have one user: {user}");
            assert_eq!(ids(&status, "Gid:"), own);
            assert_eq!(ids(&status, "Groups:"), BTreeSet::new());
        }
        assert_eq!(owner_of_what_it_is(pid), 0, "others may look into {pid}");
        // Nothing is both written and run.
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        assert!(!maps.contains("rwx"), "{maps}");
        has_code |= maps.contains("memfd:keyway-code");
    }
    assert!(has_code, "code runs in the broker's sealed file");
}

/// Policy and `nice` of each thread of a process by that name, of which there is one for
/// each lane.
fn ranks(pid: u32, name: &str) -> Vec<(String, String)> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    // The compiler may be a child still, and end meanwhile.
    let stats = threads.into_iter().flatten().filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
        let (comm, rest) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = rest.split(' ').collect();
        // The third field of the file is the first of these.
        let [nice, policy] = [19, 41].map(|number| fields[number - 3].to_owned());
        Some((comm.to_owned(), (policy, nice)))
    });
    let named = stats.filter(|(comm, _)| comm.contains(&format!("({name}")));
    named.map(|(_, rank)| rank).collect()
}

#[test]
fn what_computes_for_long_stands_back_for_lanes_and_these_for_the_broker() {
    let stage = Stage::with_shop();
    let mut workers = children(stage.serve.as_ref().unwrap().pid());
    workers.retain(|pid| !ranks(*pid, "keyway-lane-").is_empty());
    assert!(!workers.is_empty());
    for pid in workers {
        let lanes = ranks(pid, "keyway-lane-");
        // `SCHED_OTHER` is 0 and `SCHED_IDLE` 5.
        for (name, policy, nice) in [
            ("keyway-lane-", "0", 10),
            ("keyway-long-", "5", 10),
            ("keyway-late-", "0", 15),
        ] {
            let own = rustix::process::getpriority_process(None).unwrap();
            let nice = (own + nice).min(19).to_string();
            let expected = vec![(policy.to_owned(), nice); lanes.len()];
            assert_eq!(ranks(pid, name), expected, "{name}");
        }
    }
}

const ECHO: &str = r#"recipe: echo
trigger: { webhook: {} }
steps:
  - id: call
    action: http.send
    connection: api
    input: "${ trigger.body }"
  - respond: { status: 200, body: "${ steps.call }" }
"#;

#[test]
fn messages_longer_than_a_socket_holds_leave_a_confined_worker() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.install("http.wasm", "http");
    stage.connect("api", "http");
    let hook = stage.apply("echo", ECHO).unwrap();
    let workers = children(stage.serve.as_ref().unwrap().pid());
    let text = "0123456789abcdef".repeat(28_000);
    let body = json!({ "text": text, "content_type": "text/plain" });
    let input = json!({ "method": "POST", "path": "/echo", "body": body });
    for _ in 0..5 {
        let (status, answer) = stage.post(&hook, &input);
        assert_eq!(status, 200, "{}", stage.last_job()["failure"]);
        assert_eq!(answer["body"]["json"]["body"], text);
    }
    // A worker that had been ended would have been replaced, and the call repeated.
    assert_eq!(children(stage.serve.as_ref().unwrap().pid()), workers);
}

/// A deployment on a kernel that seems to lack a layer.
pub(crate) fn without(
    layer: &str,
    config: &str,
) -> (Stage, Result<(Process, serde_json::Value), String>) {
    let mut stage = Stage::configured(config);
    drop(stage.serve.take());
    let mut command = Command::new(intruder());
    command
        .current_dir(stage.dir.path())
        .args(["without", layer])
        .arg(program())
        .args(["serve", "--config", "keyway.toml"]);
    let started = ready(&mut command);
    (stage, started)
}

#[test]
fn without_a_layer_of_confinement_nothing_is_served_and_the_layer_is_named() {
    for (layer, name) in [
        ("descriptors", "descriptors"),
        ("user-and-capabilities", "user"),
        ("no-new-privileges", "no-new-privileges"),
        ("not-dumpable", "not-dumpable"),
        ("parent-death", "parent-death"),
        ("landlock", "landlock"),
        ("limits", "limits"),
        ("filter", "system-call-filter"),
    ] {
        if name == "user" && !rustix::process::geteuid().is_root() {
            continue;
        }
        let (_stage, started) = without(layer, "");
        let Err(said) = started else {
            panic!("it serves without {layer}")
        };
        let named = format!("cannot be confined: {name}: ");
        assert!(said.contains(&named), "{said}");
        assert!(said.contains("dangerous_weaker_worker"), "{said}");
    }
}

#[test]
fn without_the_switch_for_written_memory_the_filter_covers_it_and_readyz_says_so() {
    let (mut stage, started) = without("write-xor-execute", "");
    let (serve, ready) = started.unwrap();
    stage.serve = Some(serve);
    stage.ready = ready;
    let said = readyz(&stage);
    let covered = "worker write-xor-execute: covered: ";
    assert!(said.contains(covered), "{said}");
    assert_eq!(stage.json("alarm list"), json!([]));
}

#[test]
fn weaker_workers_run_only_where_the_configuration_says_so_and_everybody_sees_it() {
    let config = "[workers]\ndangerous_weaker_worker = true\n";
    let (mut stage, started) = without("landlock", config);
    let (serve, ready) = started.unwrap();
    stage.serve = Some(serve);
    stage.ready = ready;
    stage.shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 200);

    let said = readyz(&stage);
    assert!(said.contains("weaker workers: landlock\n"), "{said}");
    assert!(said.contains("worker landlock: MISSING"), "{said}");
    let (address, _) = crate::harness::split(&format!("{}/", stage.ready["api"].as_str().unwrap()));
    let (_, said) = crate::harness::raw(address, "GET", "/readyz", &[], b"").unwrap();
    assert_eq!(said, b"ready\nweaker workers: landlock\n");
    let alarms = stage.json("alarm list");
    assert_eq!(alarms[0]["kind"], "weaker-workers", "{alarms}");
    assert!(alarms[0]["text"].as_str().unwrap().contains("landlock"));
    // What a kernel lacks is one layer; the others hold.
    for layer in ["system-call-filter", "write-xor-execute", "limits"] {
        let line = format!("worker {layer}: held\n");
        assert!(readyz(&stage).contains(&line), "{layer}");
    }
    let id = alarms[0]["id"].as_str().unwrap();
    let records = crate::platform_log::records(&mut stage);
    assert_eq!(crate::platform_log::done(&records, "alarm:raise"), [id]);
}

#[test]
fn a_root_that_can_become_nobody_else_keeps_no_capability() {
    let (mut stage, started) = without("user", "");
    let (serve, ready) = started.unwrap();
    stage.serve = Some(serve);
    stage.ready = ready;
    stage.shop();
    let said = readyz(&stage);
    assert!(said.contains("worker user: covered: "), "{said}");
    for pid in children(stage.serve.as_ref().unwrap().pid()) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for set in ["CapInh", "CapPrm", "CapEff"] {
            let none = format!("{set}:\t0000000000000000");
            assert!(status.contains(&none), "{status}");
        }
    }
}

#[test]
fn where_every_layer_holds_the_switch_changes_nothing_and_raises_no_alarm() {
    let stage = Stage::configured("[workers]\ndangerous_weaker_worker = true\n");
    assert_eq!(stage.json("alarm list"), json!([]));
    assert!(!readyz(&stage).contains("weaker"));
}

#[test]
fn what_takes_the_compiler_too_much_memory_is_refused_by_the_name_of_the_limit() {
    let mut stage = Stage::empty();
    stage.serve.as_mut().unwrap().kill();
    // The first thing to be compiled is the host's own component.
    std::fs::remove_dir_all(stage.data().join("cache")).unwrap();
    let config = std::fs::read_to_string(stage.dir.path().join("keyway.toml")).unwrap();
    let limited = format!("{config}\n[workers]\ncompile_memory_bytes_max = 1000000\n");
    stage.write("keyway.toml", limited);
    let Err(said) = stage.try_start() else {
        panic!("it was compiled in a megabyte")
    };
    assert!(
        said.contains("compile_memory_bytes_max = 1000000"),
        "{said}"
    );
    stage.write("keyway.toml", config);
    assert!(stage.try_start().is_ok());
}

#[test]
fn a_worker_is_replaced_and_the_next_job_runs_in_another() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
    let broker = stage.serve.as_ref().unwrap().pid();
    let before = children(broker);
    for pid in &before {
        crate::processes::signal(*pid, rustix::process::Signal::ABORT);
    }
    assert_eq!(stage.post(&hook, &order(2)).0, 200);
    let deadline = std::time::Instant::now() + PATIENCE;
    let after = loop {
        let now = children(broker);
        // A suspect has one of its own beside theirs for a while.
        if now.len() >= before.len() && now.iter().all(|pid| !before.contains(pid)) {
            break now;
        }
        assert!(std::time::Instant::now() < deadline, "{before:?} {now:?}");
    };
    assert!(after.len() <= before.len() + 1, "{before:?} {after:?}");
}

#[test]
fn the_documentation_lists_the_system_calls_there_are() {
    assert_eq!(
        documented("allowed"),
        keyway_confine::allowed_system_calls()
    );
    assert_eq!(
        documented("refused"),
        keyway_confine::refused_system_calls()
    );
}

/// A list of system calls of `docs/confinement.md`, by its mark.
fn documented(mark: &str) -> Vec<String> {
    let text = std::fs::read_to_string(crate::harness::root().join("docs/confinement.md")).unwrap();
    let (_, rest) = text.split_once(&format!("<!-- {mark} -->")).unwrap();
    let (list, _) = rest.trim_start().split_once("\n\n").unwrap();
    list.split(',').map(|name| name.trim().to_owned()).collect()
}
