//! A tenant with a flood does not slow another tenant's single job: jobs are queued
//! by the hundred, whose guests wait, loop, log, send requests, change state or read as
//! much as they may, and beside them one job after the other of the victim takes at most
//! twice as long as it did alone. The flood has the limits that everybody has who says
//! nothing.
//!
//! The victim's own baseline is measured in the same run, on the same
//! deployment. Medians of many jobs are compared, not single ones.

use std::time::{Duration, Instant};

use keyway_model::limit::CallLimits;
use serde_json::{Value, json};

use crate::harness::{INTAKE, Stage, Upstream, artifact, http, order, split};
use crate::hostile::allowed;
use crate::limits::{guest, tells};
use crate::platform_log::done;

/// Jobs of the flood, under those that one workspace may have.
const FLOOD: u32 = 500;

/// Who sends them.
const SENDERS: u32 = 4;

/// Jobs of the victim, alone and beside the flood.
const VICTIM_JOBS: u32 = 61;

/// What the victim's median may grow by.
const FACTOR_MAX: u32 = 2;

/// What is not the flood's doing: a median of few milliseconds moves by as much
/// when the machine does something else.
const NOISE: Duration = Duration::from_millis(5);

/// A deployment with a victim, `acme`, and a flooder, `rival`, whose recipe
/// calls `action` of a hostile connector.
struct Scene {
    stage: Stage,
    /// The flooder's own: how fast the victim's answers is not what is looked at.
    upstream: Upstream,
    victim: String,
    flood: String,
}

impl Scene {
    fn new(connector: &str, action: &str) -> Self {
        Self::configured(connector, action, "")
    }

    fn configured(connector: &str, action: &str, configuration: &str) -> Self {
        let mut stage = Stage::not_started();
        let upstream = stage.another_upstream();
        stage.configure_again(&format!("{}{configuration}", allowed(upstream.port)));
        stage.shop();
        let victim = stage.apply("intake", INTAKE).unwrap();
        stage.ok("workspace create rival");
        let rival = |line: &str| stage.ok(&format!("--workspace rival {line}"));
        let file = match connector {
            "hostile" => artifact("hostile.wasm"),
            guests => guest(&stage, guests, action),
        };
        rival(&format!("connector install {}", file.display()));
        let show = format!("--workspace rival connector show {connector}");
        let digest = stage.json(&show)["digest"].as_str().unwrap().to_owned();
        rival(&format!(
            "connector approve {connector} --digest {digest} --why tested"
        ));
        let to = match connector {
            "hostile" => format!(
                "--parameter host=localhost --parameter port={} --parameter scheme=http --credential-file token.txt",
                upstream.port
            ),
            _ => "--no-credential".to_owned(),
        };
        rival(&format!(
            "connection create target --connector {connector} {to}"
        ));
        let recipe = format!(
            "recipe: flood\ntrigger: {{ webhook: {{}} }}\nsteps:\n  - id: call\n    action: {connector}.{action}\n    connection: target\n    input: \"${{ trigger.body }}\"\n"
        );
        stage.write("flood.yaml", recipe);
        rival("recipe apply flood.yaml");
        let flood = stage.json("--workspace rival recipe show flood")["webhook_url"]
            .as_str()
            .unwrap()
            .to_owned();
        Self {
            stage,
            upstream,
            victim,
            flood,
        }
    }

    /// How long the victim's jobs take, sorted.
    fn victim_times(&self) -> Vec<Duration> {
        let mut times: Vec<Duration> = (0..VICTIM_JOBS)
            .map(|number| {
                let started = Instant::now();
                let (status, reply) = self.stage.post(&self.victim, &order(number));
                assert_eq!(status, 200, "{reply}");
                started.elapsed()
            })
            .collect();
        times.sort();
        times
    }

    /// Queues the flood; every event of it is accepted.
    fn flood(&self, input: &Value) {
        let (address, path) = split(&self.flood);
        std::thread::scope(|scope| {
            for _ in 0..SENDERS {
                scope.spawn(|| {
                    for _ in 0..FLOOD / SENDERS {
                        let (status, reply) = http(address, "POST", &path, Some(input));
                        assert_eq!(status, 202, "{reply}");
                    }
                });
            }
        });
    }

    /// How many of the flood's jobs have not ended.
    fn left(&self) -> usize {
        let running = ["queued", "running"].map(|state| {
            let jobs = self.stage.json(&format!(
                "--workspace rival job list --limit 1000 --state {state}"
            ));
            jobs.as_array().unwrap().len()
        });
        running.iter().sum()
    }

    /// Waits until the newest job of the flood that failed did so for a limit: that
    /// of its guest, or of the expressions before it, which take of the same memory.
    fn tells_flood(&self, limit: &str, value: u64) {
        self.stage.until("a job that ended for the limit", |stage| {
            let failed = stage.json("--workspace rival job list --limit 1 --state failed");
            let id = failed[0]["id"].as_str()?;
            let job = stage.json(&format!("--workspace rival job show {id}"));
            let failure = job["failure"].as_str()?;
            tells(failure, limit, value).then_some(())
        });
    }

    /// How many calls of this operation were allowed and done, by the newest thousand of
    /// the flooder's records.
    fn done_of_late(&self, operation: &str) -> usize {
        let audit = self.stage.json("--workspace rival audit list --limit 1000");
        let lines = audit.as_array().unwrap().iter();
        let records: Vec<Value> = lines.map(|line| line["record"].clone()).collect();
        done(&records, operation).len()
    }

    /// Ends the flood: what is queued of it ends at once, under the lowest limits.
    fn drain(&self) {
        self.stage
            .ok("workspace limits set rival cpu_ms_max=1 wall_ms_max=1");
        self.stage
            .until("the end of the flood", |_| (self.left() == 0).then_some(()));
    }

    /// Compares the victim's jobs beside the flood with those before it, and
    /// with those after it, if it can be ended: of the two the slower, since
    /// what else the machine does comes and goes.
    fn holds(&self, input: &Value, ends: Ends) {
        // The first job compiles and loads what the others find.
        self.stage.post(&self.victim, &order(999));
        let before = median(&self.victim_times());
        self.flood(input);
        let queued = self.left();
        let beside = median(&self.victim_times());
        let left = self.left();
        let after = match ends {
            Ends::WhenToldTo => {
                self.drain();
                median(&self.victim_times())
            }
            Ends::WithTheDeployment => before,
        };
        let told = format!(
            "beside a flood ({queued} jobs, then {left}) {beside:?}, before it {before:?}, after it {after:?}"
        );
        assert!(left > 100, "the flood was over too soon: {told}");
        assert!(beside <= before.max(after) * FACTOR_MAX + NOISE, "{told}");
    }

    /// The same beside guests that make one host call after the other, as many as one
    /// guest may make. They are recorded as `operation`: a flood of refusals is another.
    fn holds_beside_calls(&self, function: &str, argument: &str, operation: &str) {
        let times = CallLimits::default().host_calls_max;
        let input = json!({ "function": function, "times": times, "argument": argument });
        // Each guest takes until the end of its time on the wall, and so would the end of
        // the flood: those that wait for their place have their limits already.
        self.holds(&input, Ends::WithTheDeployment);
        let count = self.done_of_late(operation);
        assert!(count > 100, "of late {count} of {operation}");
    }
}

/// When a flood's guests end.
enum Ends {
    WhenToldTo,
    WithTheDeployment,
}

fn median(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() / 2]
}

#[test]
fn a_flood_of_guests_that_wait_does_not_slow_another_tenants_job() {
    // Longer than the test takes.
    let patient = "[limits]\nwall_ms_max = 600000\n";
    let scene = Scene::configured("greedy", "sleep", patient);
    scene.holds(&json!({}), Ends::WithTheDeployment);
}

#[test]
fn a_flood_of_guests_that_compute_does_not_slow_another_tenants_job() {
    let scene = Scene::new("hostile", "attempt");
    scene.holds(&json!({ "what": "endless_loop" }), Ends::WithTheDeployment);
}

#[test]
fn a_flood_of_host_calls_does_not_slow_another_tenants_job() {
    let scene = Scene::new("greedy", "host-call-flood");
    scene.holds(&json!({}), Ends::WhenToldTo);
}

#[test]
fn a_flood_of_requests_does_not_slow_another_tenants_job() {
    let scene = Scene::new("hostile", "import");
    let url = format!("http://localhost:{}/anything", scene.upstream.port);
    scene.holds_beside_calls("wasi:http/outgoing-handler#handle", &url, "http.send");
}

#[test]
fn a_flood_of_changes_of_state_does_not_slow_another_tenants_job() {
    let scene = Scene::new("hostile", "import");
    scene.holds_beside_calls("keyway:host/state#set", "a word", "state.set");
}

#[test]
fn a_flood_of_writes_to_scratch_files_does_not_slow_another_tenants_job() {
    let scene = Scene::new("hostile", "import");
    let long = "a word ".repeat(128);
    scene.holds_beside_calls("keyway:host/scratch#write", &long, "scratch.write");
}

#[test]
fn a_flood_of_reads_does_not_slow_another_tenants_job() {
    let scene = Scene::new("hostile", "import");
    let function = "keyway:host/state#get";
    let input = json!({ "function": function, "times": 100, "argument": "a word" });
    scene.holds(&input, Ends::WhenToldTo);
    // They are counted in the record that each call ends with.
    let audit = scene
        .stage
        .json("--workspace rival audit list --limit 1000");
    let reads = audit.as_array().unwrap().iter();
    let reads = reads.filter_map(|line| line["record"]["state_reads"].as_u64());
    let reads: u64 = reads.sum();
    assert!(reads > 2_000, "{reads}");
}

#[test]
fn a_flood_of_logs_does_not_slow_another_tenants_job() {
    let scene = Scene::new("greedy", "log-flood");
    // Its jobs are short: those of one flood end before the victim's.
    scene.flood(&json!({}));
    scene.holds(&json!({}), Ends::WhenToldTo);
}

#[test]
fn a_flood_of_guests_that_hold_memory_leaves_another_workspaces_jobs_as_much() {
    let little = "[limits]\nwall_ms_max = 600000\n[workers]\nprocesses = 1\nworker_memory_bytes_max = 33_554_432\n";
    let scene = Scene::configured("greedy", "sleep", little);
    scene.flood(&json!({}));
    // One workspace has half of it, and as much is left.
    scene.tells_flood("worker_memory_bytes_max", 33_554_432);
    scene.victim_times();
    // What its quota is lowered to holds for the next of its calls.
    scene
        .stage
        .ok("workspace limits set rival memory_bytes_per_workspace_max=8388608");
    scene.flood(&json!({}));
    scene.tells_flood("memory_bytes_per_workspace_max", 8_388_608);
    scene.victim_times();
}
