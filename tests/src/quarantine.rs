//! What a component that ends workers comes to, and who has workers of its own.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{INTAKE, Stage, artifact, http, order, split};
use crate::platform_log;
use crate::processes::{children, signal};

pub(crate) const LOOP: &str = r#"recipe: loop
trigger: { webhook: {} }
steps:
  - id: try
    action: hostile.attempt
    connection: target
    input: "${ trigger.body }"
"#;

pub(crate) const PLAIN: &str = r#"recipe: plain
trigger: { webhook: {} }
steps:
  - respond: { status: 200, body: "${ trigger.body }" }
"#;

/// A deployment whose guests may compute for a minute, with a hostile one in it.
fn patient(workers: &str) -> Stage {
    let limits = "[limits]\ncpu_ms_max = 60000\nwall_ms_max = 60000\n";
    let stage = Stage::configured(&format!("{limits}\n[workers]\n{workers}"));
    stage.shop();
    stage.install("hostile.wasm", "hostile");
    stage.connect("target", "hostile");
    stage
}

/// Records in the log of the platform: of what belongs to no workspace.
pub(crate) fn platform_records(stage: &Stage) -> u64 {
    let database = rusqlite::Connection::open(stage.data().join("keyway.db")).unwrap();
    let sql = "SELECT count(*) FROM audit WHERE tenant NOT IN (SELECT tenant FROM workspace)";
    let count = database.query_row(sql, [], |row| row.get::<_, i64>(0));
    u64::try_from(count.unwrap()).unwrap()
}

/// A harmless job, once it has ended.
fn settled(stage: &Stage, hook: &str) -> Value {
    stage.post(hook, &json!({ "what": "read_environment" }));
    stage.until("the end of the job", |stage| {
        let job = stage.last_job();
        let is_over = ["failed", "succeeded"].contains(&job["state"].as_str().unwrap());
        is_over.then_some(job)
    })
}

/// A worker of which a thread of long or late calls could go on, whether or not it is
/// given a processor.
fn worker_with_a_long_call(stage: &Stage) -> u32 {
    let broker = stage.serve.as_ref().unwrap().pid();
    stage.until("a worker with a long call", |_| {
        let mut workers = children(broker).into_iter();
        workers.find(|pid| goes_on_for_long(*pid))
    })
}

pub(crate) fn goes_on_for_long(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let mut stats = threads.into_iter().flatten().filter_map(|thread| {
        let path = thread.ok()?.path().join("stat");
        std::fs::read_to_string(path).ok()
    });
    stats.any(|stat| {
        let is_beside = stat.contains("(keyway-long-") || stat.contains("(keyway-late-");
        is_beside && stat.contains(") R ")
    })
}

/// The newest alarm of a kind.
fn alarm_of(stage: &Stage, kind: &str) -> Option<Value> {
    let alarms = stage.json("alarm list");
    let mut alarms = alarms.as_array().unwrap().iter();
    alarms.find(|alarm| alarm["kind"] == kind).cloned()
}

/// The alarm of a quarantine, once workers with long calls were ended by `with`.
fn alarm_once_workers_end(stage: &Stage, hook: &str, with: Signal) -> Value {
    let (address, path) = split(hook);
    let broker = stage.serve.as_ref().unwrap().pid();
    let endless = json!({ "what": "endless_loop" });
    // Each job is tried on a few workers, and then there are more.
    let mut looks = 0_u32;
    stage.until("the alarm", |stage| {
        let alarm = alarm_of(stage, "component-quarantined");
        if alarm.is_none() {
            let computing = children(broker)
                .into_iter()
                .find(|pid| goes_on_for_long(*pid));
            match computing {
                Some(pid) => signal(pid, with),
                None if looks.is_multiple_of(20) => {
                    for _ in 0..3 {
                        assert_eq!(http(address, "POST", &path, Some(&endless)).0, 202);
                    }
                }
                None => {}
            }
            looks += 1;
        }
        alarm
    })
}

#[test]
fn a_forbidden_system_call_in_a_shared_worker_names_all_who_were_there_and_is_held_against_none() {
    let mut stage = patient("processes = 1\n");
    let hook = stage.apply("loop", LOOP).unwrap();
    let intake = stage.apply("intake", INTAKE).unwrap();
    // One has been there and is gone, and one is there.
    assert_eq!(stage.post(&intake, &order(1)).0, 200);
    assert_eq!(stage.post(&hook, &json!({ "what": "endless_loop" })).0, 202);
    let shared = worker_with_a_long_call(&stage);
    assert_eq!(stage.ready["workers"], json!([shared]));
    signal(shared, Signal::SYS);
    let alarm = stage.until("the alarm", |stage| {
        alarm_of(stage, "forbidden-system-call")
    });
    let shown = |name: &str| stage.json(&format!("connector show {name}"));
    let digest = |name: &str| shown(name)["digest"].as_str().unwrap().to_owned();
    let mut both = ["hostile", "orders"].map(digest);
    both.sort();
    let both = both.join(", ");
    assert_eq!(alarm["subject"], both);
    let what = alarm["text"].as_str().unwrap();
    for part in ["signal 31", both.as_str(), "docs/confinement.md"] {
        assert!(what.contains(part), "{part}: {what}");
    }
    // Neither is in quarantine, and each is in a worker of its own by and by.
    for name in ["hostile", "orders"] {
        assert_eq!(shown(name)["state"], "approved", "{name}");
    }
    assert_eq!(stage.post(&intake, &order(2)).0, 200);
    let broker = stage.serve.as_ref().unwrap().pid();
    stage.until("workers of their own", |_| {
        (children(broker).len() >= 3).then_some(())
    });
    assert_eq!(stage.json("alarm list").as_array().unwrap().len(), 1);
    let id = alarm["id"].as_str().unwrap();
    let records = platform_log::records(&mut stage);
    assert_eq!(platform_log::done(&records, "alarm:raise"), [id]);
}

#[test]
fn a_component_whose_worker_makes_a_forbidden_system_call_is_quarantined() {
    let stage = patient("");
    let hook = stage.apply("loop", LOOP).unwrap();
    // So the kernel ends one that does what its filter forbids.
    let alarm = alarm_once_workers_end(&stage, &hook, Signal::SYS);
    assert_eq!(alarm["kind"], "component-quarantined", "{alarm}");
    let why = alarm["text"].as_str().unwrap();
    assert!(why.contains("system call"), "{why}");
    let digest = stage.json("connector show hostile")["digest"].clone();
    assert_eq!(alarm["subject"], digest);
    let job = settled(&stage, &hook);
    let failure = job["failure"].as_str().unwrap();
    assert!(failure.contains("quarantine"), "{job}");
}

#[test]
fn a_component_that_ends_its_workers_again_and_again_is_quarantined_until_someone_has_looked() {
    let mut stage = patient("");
    let hook = stage.apply("loop", LOOP).unwrap();
    let intake = stage.apply("intake", INTAKE).unwrap();
    let alarm = alarm_once_workers_end(&stage, &hook, Signal::ABORT);
    assert_eq!(alarm["kind"], "component-quarantined", "{alarm}");
    let why = alarm["text"].as_str().unwrap();
    assert!(
        why.contains("signal 6") && why.contains("`COMPONENT_CRASHES_MAX` = 2"),
        "{why}"
    );
    let digest = stage.json("connector show hostile")["digest"].clone();
    assert_eq!(alarm["subject"], digest);

    // It runs no more, and says why; others do.
    let job = settled(&stage, &hook);
    assert_eq!(job["state"], "failed", "{job}");
    let failure = job["failure"].as_str().unwrap();
    assert!(
        failure.contains("quarantine") && failure.contains("alarm ack"),
        "{failure}"
    );
    let state = |stage: &Stage| stage.json("connector show hostile")["state"].clone();
    assert_eq!(state(&stage), "quarantined");
    assert_eq!(stage.post(&intake, &order(1)).0, 200);

    // Also after a restart.
    stage.serve.as_mut().unwrap().kill();
    stage.start();
    let shown = stage.json("recipe show loop");
    let hook = shown["webhook_url"].as_str().unwrap().to_owned();
    assert_eq!(settled(&stage, &hook)["state"], "failed");

    // Until somebody has looked, which is recorded.
    let id = alarm["id"].as_str().unwrap();
    let records = platform_records(&stage);
    stage.ok(&format!("alarm ack {id}"));
    assert_eq!(platform_records(&stage), records + 2, "intent and outcome");
    assert_eq!(settled(&stage, &hook)["state"], "succeeded");
    assert_eq!(state(&stage), "approved");
    let again = stage.refused(&format!("alarm ack {id}"));
    assert!(again.contains("acknowledged already"), "{again}");

    // The platform's log says all of it.
    let records = platform_log::records(&mut stage);
    for operation in ["alarm:raise", "alarm:acknowledge"] {
        assert_eq!(platform_log::done(&records, operation), [id], "{operation}");
    }
}

#[test]
fn calls_that_begin_at_once_run_in_different_workers() {
    let stage = patient("processes = 3\nthreads = 2\n");
    let hook = stage.apply("loop", LOOP).unwrap();
    // No worker has its code yet, and it is brought while all three wait.
    for _ in 0..3 {
        assert_eq!(stage.post(&hook, &json!({ "what": "endless_loop" })).0, 202);
    }
    let workers = children(stage.serve.as_ref().unwrap().pid());
    stage.until("a call in each worker", |_| {
        let mut workers = workers.iter().copied();
        workers.all(goes_on_for_long).then_some(())
    });
}

#[test]
fn a_quarantine_ends_the_calls_of_the_component_wherever_they_run() {
    let stage = patient("processes = 3\n");
    let hook = stage.apply("loop", LOOP).unwrap();
    let broker = stage.serve.as_ref().unwrap().pid();
    let endless = json!({ "what": "endless_loop" });
    // One that is made again may be given to the worker of the other: then there are more,
    // until there is one in each of two.
    let (mut posted, mut looks) = (0, 0_u32);
    let mut two_compute = |stage: &Stage| {
        let computing: Vec<u32> = children(broker)
            .into_iter()
            .filter(|pid| goes_on_for_long(*pid))
            .collect();
        if computing.len() < 2 && looks.is_multiple_of(40) {
            assert_eq!(stage.post(&hook, &endless).0, 202);
            posted += 1;
        }
        looks += 1;
        (computing.len() >= 2).then_some(computing)
    };
    let computing = stage.until("two workers that compute", &mut two_compute);
    let elsewhere = *computing.last().unwrap();
    // Calls end their worker, and then those that they are given.
    stage.until("the alarm", |stage| {
        if stage.json("alarm list") != json!([]) {
            return Some(());
        }
        let computing = two_compute(stage).unwrap_or_default();
        if let Some(other) = computing.into_iter().find(|pid| *pid != elsewhere) {
            signal(other, Signal::ABORT);
        }
        None
    });
    let jobs = stage.until("the end of all", |stage| {
        let jobs = stage.json(&format!("job list --limit {posted}"));
        let ended = |job: &Value| job["state"] == "failed";
        jobs.as_array().unwrap().iter().all(ended).then_some(jobs)
    });
    let failures = jobs.as_array().unwrap().iter().map(|job| {
        let shown = stage.json(&format!("job show {}", job["id"].as_str().unwrap()));
        shown["failure"].as_str().unwrap().to_owned()
    });
    let failures: Vec<String> = failures.collect();
    let ended_elsewhere = failures
        .iter()
        .filter(|text| text.contains("in quarantine"));
    assert!(ended_elsewhere.count() >= 1, "{failures:?}");
    // The worker that it was in is no worse for it.
    assert!(children(broker).contains(&elsewhere));
}

/// A deployment with one worker, and its webhooks: that of honest work, whose calls have a
/// minute, and that of another workspace, whose calls have three seconds.
fn hurried() -> (Stage, [String; 2]) {
    let stage = Stage::configured(
        "[limits]\ncpu_ms_max = 60000\nwall_ms_max = 60000\n[workers]\nprocesses = 1\n",
    );
    stage.shop();
    let intake = stage.apply("intake", INTAKE).unwrap();
    stage.ok("workspace create rival");
    let rival = |line: &str| stage.ok(&format!("--workspace rival {line}"));
    rival("workspace limits set rival wall_ms_max=3000");
    let file = artifact("hostile.wasm");
    rival(&format!("connector install {}", file.display()));
    let shown = stage.json("--workspace rival connector show hostile");
    let digest = shown["digest"].as_str().unwrap();
    rival(&format!(
        "connector approve hostile --digest {digest} --why tested"
    ));
    rival(&format!(
        "connection create target --connector hostile --parameter host=localhost --parameter port={} --parameter scheme=http --credential-file token.txt",
        stage.upstream.port
    ));
    stage.write("loop.yaml", LOOP);
    rival("recipe apply loop.yaml");
    let shown = stage.json("--workspace rival recipe show loop");
    let hook = shown["webhook_url"].as_str().unwrap().to_owned();
    (stage, [intake, hook])
}

/// What the log says of a job: what came of each of its requests, and why each of its calls
/// ended before it had its answer, if it did.
fn recorded(stage: &Stage, job: &str) -> [Vec<Value>; 2] {
    let audit = stage.audit();
    let is_of_job = |line: &&Value| line["record"]["actor"]["job"] == job;
    let requests = audit.iter().filter(is_of_job);
    let requests = requests.filter(|line| line["record"]["operation"] == "http.send");
    let outcomes = requests.map(|request| {
        let is_its = |line: &&Value| {
            line["kind"] == "outcome" && line["record"]["id"] == request["record"]["id"]
        };
        let outcome = audit.iter().find(is_its);
        outcome.map_or(Value::Null, |line| line["record"]["outcome"].clone())
    });
    let tallies = audit.iter().filter(is_of_job);
    let tallies = tallies.filter(|line| line["kind"] == "tally");
    let ends = tallies.map(|tally| tally["record"]["ended"].clone());
    [outcomes.collect(), ends.collect()]
}

/// The one job of honest work lost its worker once, sent its order again, and made one.
fn went_on_in_another_worker(stage: &Stage) {
    let effects = stage.upstream.effects();
    assert_eq!(effects["by_path"]["/orders"], 2, "{effects}");
    assert_eq!(effects["effects"], 1, "{effects}");
    assert_eq!(effects["repeats"], 1, "under the same key: {effects}");
    let jobs = stage.json("--workspace acme job list");
    assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs}");
    assert_eq!(jobs[0]["state"], "succeeded", "{jobs}");
    let id = jobs[0]["id"].as_str().unwrap();
    let job = stage.json(&format!("--workspace acme job show {id}"));
    let steps = job["steps"].as_array().unwrap().iter();
    let made = steps.filter(|step| step["key"] == "create");
    let made: Vec<&Value> = made.map(|step| &step["state"]).collect();
    assert_eq!(made, ["done"], "{job}");
    let [outcomes, ends] = recorded(stage, id);
    assert_eq!(outcomes, ["unknown", "done"]);
    assert_eq!(ends, [json!("its worker ended"), Value::Null]);
}

#[test]
fn a_call_that_outlasts_its_time_costs_its_worker_and_nobody_elses_calls() {
    let (stage, [intake, hook]) = hurried();
    // Somebody else's call is in the same worker: its order is made, and not answered.
    stage.upstream.mode("silent");
    let (address, path) = split(&intake);
    let other = std::thread::spawn(move || http(address, "POST", &path, Some(&order(1))));
    stage.until("the order", |stage| {
        (stage.upstream.effects()["by_path"]["/orders"] == 1).then_some(())
    });
    let (status, accepted) = stage.post(&hook, &json!({ "what": "endless_loop" }));
    assert_eq!(status, 202, "{accepted}");
    // A worker that stands still ends no call, whatever it is told.
    let wedged = worker_with_a_long_call(&stage);
    assert_eq!(stage.ready["workers"], json!([wedged]));
    signal(wedged, Signal::STOP);
    stage.upstream.mode("up");
    let broker = stage.serve.as_ref().unwrap().pid();
    stage.until("the end of the worker", |_| {
        (!children(broker).contains(&wedged)).then_some(())
    });
    let (status, answer) = other.join().unwrap();
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["total"], 10_600, "{answer}");
    went_on_in_another_worker(&stage);
    // The call that had no time left is over, and says why.
    let id = accepted["job"].as_str().unwrap();
    let job = stage.until("the end of the loop", |stage| {
        let job = stage.json(&format!("--workspace rival job show {id}"));
        (job["state"] == "failed").then_some(job)
    });
    let failure = job["failure"].as_str().unwrap();
    assert!(failure.contains("`wall_ms_max` (3000)"), "{failure}");
    assert_eq!(stage.post(&intake, &order(2)).0, 200);
    // It may have been the machine: no quarantine.
    assert_eq!(stage.json("alarm list"), json!([]));
}

#[test]
fn alarms_are_the_platforms_and_not_a_workspaces() {
    let stage = Stage::with_shop();
    let made = stage.json("token create --role admin --label mine --days 1");
    let token = format!("Bearer {}", made["secret"].as_str().unwrap());
    let (address, _) = split(&format!("{}/", stage.ready["api"].as_str().unwrap()));
    let id = "alm_00000000000000000000000000000000";
    for (method, path) in [
        ("GET", "/api/v1/alarms".to_owned()),
        ("POST", format!("/api/v1/alarms/{id}/acknowledge")),
    ] {
        let headers = [("authorization", token.as_str())];
        let (status, said) = crate::harness::raw(address, method, &path, &headers, b"").unwrap();
        assert_eq!(status, 403, "{path}: {}", String::from_utf8_lossy(&said));
    }
    assert!(stage.denial("role"));
    let absent = stage.refused(&format!("alarm ack {id}"));
    assert!(absent.contains("there is no alarm"), "{absent}");
}
