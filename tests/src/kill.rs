//! Kill -9 at random points: every acknowledged order completes exactly once.
//!
//! Rounds: 100 of the broker and 100 of a worker in an ordinary run;
//! `KEYWAY_KILL_ROUNDS` of each for more (`cargo xtask kill`).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyway_model::Digest;
use serde_json::{Value, json};

use crate::harness::{INTAKE, PATIENCE, Stage, order, raw, silent_intake, split};

#[expect(
    clippy::disallowed_methods,
    reason = "the number of rounds is the runner's"
)]
fn rounds() -> u32 {
    std::env::var("KEYWAY_KILL_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100)
}

/// A pause that differs from round to round and is the same in every run.
fn pause(round: u32) -> Duration {
    let digest = Digest::of(&round.to_be_bytes());
    Duration::from_micros(u64::from(digest.as_bytes()[0]) * 400)
}

/// Waits without sleeping blindly: until `after` has passed or `stop` is set.
fn wait(after: Duration) {
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    assert!(receiver.recv_timeout(after).is_err(), "nobody sends");
}

#[test]
fn kill_rounds_of_the_broker_lose_no_acknowledged_order_and_double_none() {
    let mut stage = Stage::with_shop();
    let hook = stage.apply("intake", &silent_intake()).unwrap();
    let path = split(&hook).1;
    let next = Arc::new(AtomicU32::new(1));
    let acknowledged = Arc::new(Mutex::new(HashSet::new()));
    let acknowledged_numbers = Arc::new(Mutex::new(Vec::new()));
    for round in 0..rounds() {
        let address = split(&format!("{}/", stage.ready["webhook"].as_str().unwrap())).0;
        let stop = Arc::new(AtomicBool::new(false));
        let sender = {
            let (next, stop, acknowledged, numbers, path) = (
                Arc::clone(&next),
                Arc::clone(&stop),
                Arc::clone(&acknowledged),
                Arc::clone(&acknowledged_numbers),
                path.clone(),
            );
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let body = order(number).to_string();
                    let Ok((202, answer)) = raw(address, "POST", &path, &[], body.as_bytes())
                    else {
                        break;
                    };
                    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
                    numbers.lock().unwrap().push(number);
                    acknowledged
                        .lock()
                        .unwrap()
                        .insert(answer["job"].as_str().unwrap().to_owned());
                }
            })
        };
        wait(pause(round));
        stage.serve.as_mut().unwrap().kill();
        stop.store(true, Ordering::SeqCst);
        sender.join().unwrap();
        stage.start();
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(
        !acknowledged.is_empty(),
        "nothing was acknowledged in any round"
    );
    for job in &acknowledged {
        let mut seen = serde_json::Value::Null;
        let deadline = std::time::Instant::now() + PATIENCE;
        while seen["state"] != "succeeded" {
            assert!(
                std::time::Instant::now() < deadline,
                "it does not end: {seen}"
            );
            seen = stage.json(&format!("job show {job}"));
            let wrong = ["failed", "review"].contains(&seen["state"].as_str().unwrap());
            assert!(!wrong, "{seen}");
        }
    }
    // One order at the upstream for each that was acknowledged, and none that was not posted.
    let references = references(&stage);
    let unique: HashSet<&String> = references.iter().collect();
    assert_eq!(unique.len(), references.len(), "an order was made twice");
    for number in acknowledged_numbers.lock().unwrap().iter() {
        assert!(
            unique.contains(&format!("SO-{number:06}")),
            "order {number} was lost"
        );
    }
    assert!(references.len() < next.load(Ordering::SeqCst) as usize);
    no_recorded_step_was_sent_again(&stage);
}

/// The references of every order at the upstream.
fn references(stage: &Stage) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let authorization = format!("Bearer {}", stage.upstream.token);
        let path = format!("/orders?limit=500&after={after}");
        let headers = [("authorization", authorization.as_str())];
        let (_, page) = raw(stage.upstream.address(), "GET", &path, &headers, b"").unwrap();
        let page: Value = serde_json::from_slice(&page).unwrap();
        let orders = page["orders"].as_array().unwrap();
        if orders.is_empty() {
            return all;
        }
        let reference = |order: &Value| order["reference"].as_str().unwrap().to_owned();
        all.extend(orders.iter().map(reference));
        after = page["next"].as_str().unwrap().to_owned();
    }
}

/// An outcome and the journal's line of its step become durable together: after an outcome that is
/// known, nothing of that job leaves any more.
fn no_recorded_step_was_sent_again(stage: &Stage) {
    let export = stage.ok("audit export");
    let mut job_of: HashMap<String, String> = HashMap::new();
    let mut done: HashSet<String> = HashSet::new();
    let mut sent = 0;
    for line in export.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let record = &line["record"];
        let Some(id) = record["id"].as_str() else {
            continue;
        };
        if record["operation"] == "http.send" {
            let job = record["actor"]["job"].as_str().unwrap().to_owned();
            assert!(
                !done.contains(&job),
                "a recorded step was sent again: {line}"
            );
            job_of.insert(id.to_owned(), job);
            sent += 1;
        } else if record["outcome"] == "done"
            && let Some(job) = job_of.get(id)
        {
            done.insert(job.clone());
        }
    }
    assert!(sent > 0 && !done.is_empty(), "the export was read");
}

#[test]
fn kill_rounds_of_the_worker_cost_no_order() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    for round in 0..rounds() {
        let pid = worker_of(&stage);
        let killer = std::thread::spawn(move || {
            // Most jobs take longer than that, so most kills fall into one.
            wait(pause(round) / 5);
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)
        });
        let (status, answer) = stage.post(&hook, &order(round));
        assert_eq!(status, 200, "{answer}");
        assert!(killer.join().is_ok());
    }
    let effects = stage.upstream.effects();
    assert_eq!(effects["effects"], rounds());
    assert_eq!(
        effects["by_key"].as_object().unwrap().len(),
        rounds() as usize
    );
}

/// Posts in the background: whoever is killed answers nobody.
fn post_and_forget(hook: &str, body: &Value) -> std::thread::JoinHandle<()> {
    let ((address, path), body) = (split(hook), body.to_string());
    std::thread::spawn(move || drop(raw(address, "POST", &path, &[], body.as_bytes())))
}

/// Waits until the upstream has taken so many requests to a path.
fn until_taken(stage: &Stage, path: &str, requests: u64) {
    stage.until("the request at the upstream", |stage| {
        (stage.upstream.effects()["by_path"][path] == requests).then_some(())
    });
}

/// What is killed while the upstream has done its work and not answered.
#[derive(Clone, Copy)]
enum Victim {
    Broker,
    Worker,
}

/// Kills between the effect and its row in the journal; the upstream answers from then on.
fn kill_between_send_and_journal(stage: &mut Stage, victim: Victim) {
    stage.upstream.mode("up");
    match victim {
        Victim::Broker => {
            stage.serve.as_mut().unwrap().kill();
            stage.start();
        }
        Victim::Worker => {
            let signal = rustix::process::Signal::KILL;
            rustix::process::kill_process(worker_of(stage), signal).unwrap();
        }
    }
}

#[test]
fn a_keyed_action_that_is_killed_between_send_and_journal_has_one_effect() {
    for victim in [Victim::Broker, Victim::Worker] {
        let mut stage = Stage::empty();
        stage.shop();
        let hook = stage.apply("intake", INTAKE).unwrap();
        stage.upstream.mode("silent");
        let caller = post_and_forget(&hook, &order(1));
        until_taken(&stage, "/orders", 1);
        kill_between_send_and_journal(&mut stage, victim);
        stage.until("the job", |stage| {
            (stage.last_job()["state"] == "succeeded").then_some(())
        });
        let effects = stage.upstream.effects();
        assert_eq!(effects["effects"], 1, "{effects}");
        assert_eq!(
            effects["repeats"], 1,
            "sent again, under the same key: {effects}"
        );
        caller.join().unwrap();
    }
}

const ONCE: &str = r#"recipe: once
trigger: { webhook: {} }
steps:
  - id: before
    transform: { url: "${ trigger.body.url }" }
  - id: send
    action: hostile.import
    connection: target
    input: { function: "wasi:http/outgoing-handler#handle", argument: "${ steps.before.url }" }
  - respond: { status: 200, body: "${ steps.send }" }
"#;

#[test]
fn a_once_action_that_is_killed_between_send_and_journal_is_never_sent_twice() {
    for victim in [Victim::Broker, Victim::Worker] {
        let mut stage = Stage::empty();
        stage.ok("workspace create acme");
        stage.install("hostile.wasm", "hostile");
        stage.connect("target", "hostile");
        let hook = stage.apply("once", ONCE).unwrap();
        stage.upstream.mode("silent");
        let url = format!("http://localhost:{}/anything", stage.upstream.port);
        let caller = post_and_forget(&hook, &json!({ "url": url }));
        until_taken(&stage, "/anything", 1);
        kill_between_send_and_journal(&mut stage, victim);
        let job = stage.until("the job", |stage| {
            let job = stage.last_job();
            (job["state"] == "review").then_some(job)
        });
        assert_eq!(job["steps"][0]["key"], "before", "{job}");
        // Another restart sends nothing either.
        stage.serve.as_mut().unwrap().kill();
        stage.start();
        assert_eq!(stage.last_job()["state"], "review");
        assert_eq!(stage.upstream.effects()["by_path"]["/anything"], 1);
        let audit = stage.audit();
        let intent = audit
            .iter()
            .find(|line| line["record"]["operation"] == "http.send")
            .unwrap();
        let outcome = audit.iter().find(|line| {
            line["kind"] == "outcome" && line["record"]["id"] == intent["record"]["id"]
        });
        let outcome = outcome.unwrap_or_else(|| panic!("the intent stays open: {intent}"));
        assert_eq!(outcome["record"]["outcome"], "unknown", "{outcome}");
        caller.join().unwrap();
    }
}

/// A worker that runs now: a child of the deployment.
fn worker_of(stage: &Stage) -> rustix::process::Pid {
    let broker = stage.serve.as_ref().unwrap().pid();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let children = std::fs::read_to_string(format!("/proc/{broker}/task/{broker}/children"))
            .unwrap_or_default();
        let pid = children
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            return pid;
        }
        assert!(std::time::Instant::now() < deadline, "there is no worker");
    }
}
