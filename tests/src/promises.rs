//! What holds whatever goes wrong: nothing without its record, and what must
//! happen within a time.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use keyway_model::limit::{CallLimits, GUEST_CALLS_PER_WORKER_MAX};
use serde_json::{Value, json};

use crate::harness::{INTAKE, Stage, http, order, program, ready, silent_intake, split};
use crate::platform_log;
use crate::quarantine::{LOOP, goes_on_for_long};

/// A revocation reaches running jobs within this time.
const REVOKED_WITHIN: Duration = Duration::from_secs(1);

/// After a restart, jobs go on within this time of the line that says ready.
const RESUMED_WITHIN: Duration = Duration::from_secs(5);

/// Makes the log refuse every record, as a disk or a defect could, and leaves
/// all other tables as they are.
fn refuse_records(stage: &Stage) {
    on_the_database(
        stage,
        "CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'refused by a test'); END",
    );
}

fn take_records(stage: &Stage) {
    on_the_database(stage, "DROP TRIGGER refuse");
}

fn on_the_database(stage: &Stage, sql: &str) {
    let database = rusqlite::Connection::open(stage.data().join("keyway.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database.execute_batch(sql).unwrap();
}

#[test]
fn nothing_runs_while_the_log_refuses_records() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
    let records = stage.audit().len();
    refuse_records(&stage);

    // A guest's call: nothing leaves, and the sender keeps its event.
    let (status, answer) = stage.post(&hook, &order(2));
    assert_eq!(status, 503, "{answer}");
    assert_eq!(stage.upstream.effects()["by_path"]["/orders"], 1);
    // A person's call: refused, and nothing is changed. One that only reads, too.
    let said = stage.refused("workspace create rival");
    assert!(!said.contains("Created"), "{said}");
    let said = stage.refused("connection list");
    assert!(!said.contains("shop"), "{said}");

    take_records(&stage);
    assert_eq!(stage.post(&hook, &order(2)).0, 200);
    assert_eq!(stage.upstream.effects()["by_path"]["/orders"], 2);
    let workspaces = stage.ok("workspace list");
    assert!(!workspaces.contains("rival"), "{workspaces}");
    let jobs = stage.json("job list");
    assert_eq!(jobs.as_array().unwrap().len(), 2, "{jobs}");
    assert!(stage.audit().len() > records);
    // What was refused left no gap.
    stage.ok("audit export --out audit.jsonl --key-out key.txt");
    let verified = stage.ok("audit verify audit.jsonl --key key.txt");
    assert!(verified.contains("The log holds"), "{verified}");
}

fn microseconds(time: &Value) -> i64 {
    let time: Timestamp = time.as_str().unwrap().parse().unwrap();
    time.as_microsecond()
}

/// A job that makes one request after another, for longer than any test waits.
const LONG: &str = r#"recipe: long
trigger: { webhook: {} }
steps:
  - id: each
    foreach: "${ trigger.body.items }"
    as: item
    steps:
      - id: send
        action: hostile.attempt
        connection: target
        input: { what: reflect_credential }
"#;

#[test]
fn a_revocation_reaches_a_running_job_within_a_second() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.install("hostile.wasm", "hostile");
    stage.connect("target", "hostile");
    let hook = stage.apply("long", LONG).unwrap();
    let items: Vec<u32> = (0..9_000).collect();
    assert_eq!(stage.post(&hook, &json!({ "items": items })).0, 202);
    let sent = |stage: &Stage| {
        stage.upstream.effects()["by_path"]["/anything"]
            .as_u64()
            .unwrap_or(0)
    };
    stage.until("its first requests", |stage| {
        (sent(stage) >= 3).then_some(())
    });

    let digest = stage.json("connector show hostile")["digest"].clone();
    stage.ok(&format!("connector revoke {}", digest.as_str().unwrap()));
    let so_far = sent(&stage);
    let job = stage.until("the end of the job", |stage| {
        let job = stage.json("job list --limit 1")[0].clone();
        assert_ne!(
            job["state"], "succeeded",
            "it was over before it was revoked"
        );
        (job["state"] == "failed").then_some(job)
    });
    // One that was under way may have ended.
    assert!(sent(&stage) <= so_far + 1);
    // By the broker's own clock: the commands that ask take their time, too.
    let audit = stage.audit();
    let revoked = audit
        .iter()
        .find(|line| line["record"]["operation"] == "connector:revoke")
        .unwrap_or_else(|| panic!("no record of the revocation"));
    let took = microseconds(&job["updated_at"]) - microseconds(&revoked["record"]["time"]);
    assert!(took < REVOKED_WITHIN.as_micros() as i64, "{took} µs");
    let why = stage.json(&format!("job show {}", job["id"].as_str().unwrap()))["failure"].clone();
    let why = why.as_str().unwrap();
    assert!(why.contains("approve"), "{why}");
}

#[test]
fn an_accepted_job_goes_on_within_five_seconds_of_a_restart() {
    let mut stage = Stage::with_shop();
    let hook = stage.apply("intake", &silent_intake()).unwrap();
    stage.upstream.mode("silent");
    assert_eq!(stage.post(&hook, &order(1)).0, 202);
    stage.until("its request", |stage| {
        (stage.upstream.effects()["by_path"]["/orders"] == 1).then_some(())
    });
    stage.serve.as_mut().unwrap().kill();
    stage.upstream.mode("up");
    stage.start();
    let ready = Instant::now();
    stage.until("the job", |stage| {
        (stage.json("job list --limit 1")[0]["state"] == "succeeded").then_some(())
    });
    let took = ready.elapsed();
    assert!(took < RESUMED_WITHIN, "{took:?}");
}

#[test]
fn guests_run_side_by_side_in_a_deployment_that_nobody_configured() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", &silent_intake()).unwrap();
    stage.upstream.mode("silent");
    for number in 0..8 {
        assert_eq!(stage.post(&hook, &order(number)).0, 202);
    }
    // None of them is answered, so each waits in its guest.
    stage.until("eight requests at once", |stage| {
        (stage.upstream.effects()["by_path"]["/orders"] == 8).then_some(())
    });
}

#[test]
fn what_the_data_directory_holds_is_for_its_owner_alone() {
    let stage = Stage::new("");
    stage.shop();
    for (name, mode) in [
        ("root.key", 0o600),
        ("api.sock", 0o600),
        ("keyway.db", 0o600),
    ] {
        let found = std::fs::metadata(stage.data().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(found & 0o777, mode, "{name}: {found:o}");
    }
    let found = std::fs::metadata(stage.data())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(found & 0o777, 0o700, "{found:o}");
}

#[test]
fn compiled_code_that_was_tampered_with_is_not_run() {
    let mut stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
    stage.serve.as_mut().unwrap().kill();
    let mut tampered = Vec::new();
    for file in std::fs::read_dir(stage.data().join("cache")).unwrap() {
        let path = file.unwrap().path();
        let mut code = std::fs::read(&path).unwrap();
        let middle = code.len() / 2;
        code[middle] ^= 1;
        std::fs::write(&path, &code).unwrap();
        tampered.push((path, code));
    }
    assert!(tampered.len() >= 2, "the expressions and a connector");
    stage.start();
    let shown = stage.json("recipe show intake");
    let hook = shown["webhook_url"].as_str().unwrap();
    assert_eq!(stage.post(hook, &order(2)).0, 200);
    // Compiled anew from the artifact, whose digest was checked.
    for (path, code) in tampered {
        assert!(std::fs::read(&path).unwrap() != code, "{}", path.display());
    }
    // And somebody is told: each by an alarm, and by its record.
    let connector = stage.json("connector show orders")["digest"].clone();
    let alarms = stage.until("the alarms", |stage| {
        let alarms = stage.json("alarm list").as_array().unwrap().clone();
        (alarms.len() == 2).then_some(alarms)
    });
    assert!(alarms.iter().all(|alarm| alarm["kind"] == "forged-code"));
    assert!(alarms.iter().any(|alarm| alarm["subject"] == connector));
    let records = platform_log::records(&mut stage);
    let ids = |alarms: &[Value]| -> BTreeSet<String> {
        let ids = alarms
            .iter()
            .map(|alarm| alarm["id"].as_str().unwrap().to_owned());
        ids.collect()
    };
    let raised = platform_log::done(&records, "alarm:raise");
    assert_eq!(raised.into_iter().collect::<BTreeSet<_>>(), ids(&alarms));
}

#[test]
fn a_credential_can_come_from_a_descriptor() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.install("orders.wasm", "orders");
    let line = format!(
        "{} connection create shop --connector orders --parameter host=localhost --parameter port={} \
         --parameter scheme=http --credential-fd 9 9< token.txt",
        program().display(),
        stage.upstream.port
    );
    let created = Command::new("bash")
        .args(["-c", &line])
        .current_dir(stage.dir.path())
        .output()
        .unwrap();
    assert!(
        created.status.success(),
        "{}",
        crate::harness::text(&created)
    );
    let checked: Value = stage.json("connection check shop");
    assert_eq!(checked["ok"], true, "{checked}");
}

/// A worker of a deployment.
fn worker(stage: &Stage) -> u32 {
    u32::try_from(stage.ready["workers"][0].as_u64().unwrap()).unwrap()
}

/// Writable memory that a worker may have, in bytes: half a GiB of its own, for each slot 4 MiB
/// and what a guest's memory may grow to, and less than 2 GiB that it has when it starts.
fn data_bytes_max() -> u64 {
    let slot = (4 << 20) + CallLimits::default().memory_bytes_max;
    (512 << 20) + u64::from(GUEST_CALLS_PER_WORKER_MAX) * slot + (2 << 30)
}

#[test]
fn a_worker_has_given_up_what_it_never_needs() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
    let read = |file: &str| std::fs::read(format!("/proc/{}/{file}", worker(&stage))).unwrap();
    let status = String::from_utf8(read("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert!(read("environ").is_empty());
    let limits = String::from_utf8(read("limits")).unwrap();
    for (limit, most) in [
        ("Max core file size", 0),
        ("Max file size", 0),
        // Thirty-two, and eight for each of its two lanes or more.
        ("Max open files", 32 + 8 * 64),
        ("Max locked memory", 0),
        ("Max processes", 0),
        ("Max pending signals", 0),
        ("Max msgqueue size", 0),
        // A day; at half of it another takes its place. One second more to end in.
        ("Max cpu time", 86_401),
        ("Max data size", data_bytes_max()),
    ] {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        let mut numbers = line[limit.len()..].split_whitespace().take(2);
        assert!(
            numbers.all(|number| number.parse::<u64>().is_ok_and(|number| number <= most)),
            "{line}"
        );
    }
    has_its_own_descriptors_alone(worker(&stage));
}

/// What the descriptors of a process name.
fn descriptors(pid: u32) -> Vec<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    // One that is closed meanwhile names nothing.
    let names = open.filter_map(|one| std::fs::read_link(one.unwrap().path()).ok());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// A worker with one lane has exactly these, also when it has run guests: nothing that has a
/// name but the empty device and the map of its own memory, and no memory file of code.
fn has_its_own_descriptors_alone(pid: u32) {
    let mut held: BTreeMap<String, u32> = BTreeMap::new();
    for name in descriptors(pid) {
        let kind = match name.split_once(":[") {
            Some((kind @ ("socket" | "pipe"), _)) => kind.to_owned(),
            Some(_) | None => name,
        };
        *held.entry(kind).or_default() += 1;
    }
    let own_memory = format!("/proc/{pid}/pagemap");
    let expected = [
        // Standard output.
        ("/dev/null", 1),
        (own_memory.as_str(), 1),
        // Standard error, and the lane's two.
        ("pipe", 3),
        // Standard input, over which the lane came; the lane's two, over which long pieces of
        // bodies and code come; and the runtime's pair for signals, one end of it twice.
        ("socket", 6),
        // The runtime's queue, once to wait and once to add to it, and what wakes it.
        ("anon_inode:[eventpoll]", 2),
        ("anon_inode:[eventfd]", 1),
    ];
    let expected = expected.map(|(kind, count)| (kind.to_owned(), count));
    assert_eq!(held, BTreeMap::from(expected));
}

#[test]
fn what_the_broker_was_started_with_is_open_in_no_worker() {
    let mut stage = Stage::configured("[workers]\nprocesses = 2\n");
    drop(stage.serve.take());
    let file = stage.write("held.txt", "held").canonicalize().unwrap();
    // The pipe of its standard output once more, and a file: a shell's own stay open when
    // it becomes another program, and so would they in what that starts.
    let line = "exec 8>&1 9<held.txt; exec \"$0\" serve --config keyway.toml";
    let mut command = Command::new("bash");
    command
        .current_dir(stage.dir.path())
        .args(["-c", line])
        .arg(program());
    let (serve, said) = ready(&mut command).unwrap();
    let broker = serve.pid();
    (stage.serve, stage.ready) = (Some(serve), said);

    let names = |descriptor: u32| std::fs::read_link(format!("/proc/{broker}/fd/{descriptor}"));
    let pipe = names(8).unwrap().to_string_lossy().into_owned();
    assert!(pipe.starts_with("pipe:["), "{pipe}");
    assert_eq!(names(9).unwrap(), file);
    let inherited = [pipe, file.to_string_lossy().into_owned()];
    let workers = stage.ready["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 2);
    for pid in workers {
        let pid = u32::try_from(pid.as_u64().unwrap()).unwrap();
        let open = descriptors(pid);
        for name in &inherited {
            assert!(!open.contains(name), "{name} in {open:?}");
        }
        has_its_own_descriptors_alone(pid);
    }
}

#[test]
fn a_worker_does_not_outlive_its_broker() {
    let mut stage = Stage::configured(
        "[limits]\ncpu_ms_max = 600000\nwall_ms_max = 600000\n[workers]\nprocesses = 1\n",
    );
    stage.shop();
    stage.install("hostile.wasm", "hostile");
    stage.connect("target", "hostile");
    let hook = stage.apply("loop", LOOP).unwrap();
    let (address, path) = split(&hook);
    let endless = json!({ "what": "endless_loop" });
    assert_eq!(http(address, "POST", &path, Some(&endless)).0, 202);
    let pid = worker(&stage);
    // It computes, and would for ten minutes.
    stage.until("a guest that computes", |_| {
        goes_on_for_long(pid).then_some(())
    });
    stage.serve.as_mut().unwrap().kill();
    stage.until("the end of the worker", |_| {
        // A process that nobody has waited for yet has ended, too.
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let ended = state.rsplit(')').next().unwrap_or_default();
        (state.is_empty() || ended.trim_start().starts_with('Z')).then_some(())
    });
}
