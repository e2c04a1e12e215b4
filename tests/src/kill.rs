//! Kill -9 at random points: every acknowledged order completes exactly once.
//!
//! Rounds: 20 in an ordinary run, `KEYWAY_KILL_ROUNDS` for more.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyway_model::Digest;

use crate::harness::{INTAKE, PATIENCE, Stage, order, raw, silent_intake, split};

#[expect(
    clippy::disallowed_methods,
    reason = "the number of rounds is the runner's"
)]
fn rounds() -> u32 {
    std::env::var("KEYWAY_KILL_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20)
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
    for round in 0..rounds() {
        let address = split(&format!("{}/", stage.ready["webhook"].as_str().unwrap())).0;
        let stop = Arc::new(AtomicBool::new(false));
        let sender = {
            let (next, stop, acknowledged, path) = (
                Arc::clone(&next),
                Arc::clone(&stop),
                Arc::clone(&acknowledged),
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
        stage.until("an acknowledged job", |stage| {
            (stage.json(&format!("job show {job}"))["state"] == "succeeded").then_some(())
        });
    }
    let effects = stage.upstream.effects();
    let keys = effects["by_key"].as_object().unwrap();
    assert!(
        keys.len() >= acknowledged.len(),
        "{} keys for {} jobs",
        keys.len(),
        acknowledged.len()
    );
    assert_eq!(
        effects["effects"].as_u64().unwrap() as usize,
        keys.len(),
        "one effect for each key"
    );
}

#[test]
fn kill_rounds_of_the_worker_cost_no_order() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    for round in 0..10 {
        let pid = worker_of(&stage);
        let killer = std::thread::spawn(move || {
            wait(pause(round));
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)
        });
        let (status, answer) = stage.post(&hook, &order(round));
        assert_eq!(status, 200, "{answer}");
        assert!(killer.join().is_ok());
    }
    assert_eq!(stage.upstream.effects()["effects"], 10);
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
