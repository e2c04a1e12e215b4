//! One deployment with two workspaces: `victim` does honest work, `attacker`
//! has whatever guest a case asks for, installed and approved like any other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use keyway_model::manifest::section;
use serde_json::{Value, json};

use super::departures::Upstreams;
use super::table::{Guest, actions};

use crate::fixtures::{INTAKE, artifact};
use crate::harness::{Stage, Upstream, http, root, split, text};
use crate::platform_log;
use crate::routes::Api;

/// Limits under which a hostile call ends soon and an honest one never does.
pub(crate) const CPU_MS_MAX: u64 = 500;
/// How long such a call waits at most.
pub(crate) const WALL: Duration = Duration::from_millis(2_500);
const LIMITS: &str =
    "[limits]\ncpu_ms_max = 500\nwall_ms_max = 2500\nhost_calls_max = 3000\nstate_keys_max = 20\n";

impl Guest {
    /// What it is called as a connector, and the action to call.
    pub(crate) const fn connector_and_action(self) -> (&'static str, &'static str) {
        match self {
            Self::Rust(action) => ("tests-hostile", action),
            Self::Text(name) => (name, "attempt"),
        }
    }

    /// Its artifact.
    pub(crate) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Rust(_) => {
                let file = "tests/guests/target/wasm32-wasip2/release/guest_hostile.wasm";
                let component = std::fs::read(root().join(file)).unwrap();
                section::append(&component, &manifest("tests-hostile", &actions())).unwrap()
            }
            Self::Text(name) => packed(name, &component(name)),
        }
    }
}

/// A component with the manifest of a connector that has one action.
pub(crate) fn packed(name: &str, component: &[u8]) -> Vec<u8> {
    section::append(component, &manifest(name, &["attempt"])).unwrap()
}

/// The component of a file in `tests/guests/text`: either whole, or a core
/// module that goes into the frame.
pub(crate) fn component(name: &str) -> Vec<u8> {
    let text = |name: &str| {
        let file = format!("tests/guests/text/{name}.wat");
        std::fs::read_to_string(root().join(&file))
            .unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let guest = text(name);
    let whole = if guest.contains("\n(component") {
        guest
    } else {
        framed(&text("frame"), &guest)
    };
    wat::parse_str(&whole).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Puts a guest's parts where the frame has room for them: its core module,
/// and before that, between `;;imports` and `;;with`, what it imports.
fn framed(frame: &str, guest: &str) -> String {
    let (imports, with, module) = match guest.split_once(";;with") {
        None => ("", "", guest),
        Some((imports, rest)) => {
            let (with, module) = rest.split_once(";;module").unwrap();
            (imports, with, module)
        }
    };
    frame
        .replace(";;IMPORTS", imports)
        .replace("(;WITH;)", with)
        .replace(";;MODULE", module)
}

/// A manifest that grants what hostile guests need to be hostile.
pub(crate) fn manifest(name: &str, actions: &[&str]) -> String {
    let mut text = format!(
        r#"[connector]
name = "{name}"
version = "0.1.0"
title = "Hostile"
description = "For tests only."
capabilities = ["http", "log", "state", "connection"]

[parameters.host]
kind = "host"
title = "Host"

[parameters.port]
kind = "port"
title = "Port"
default = "443"

[parameters.scheme]
kind = "scheme"
title = "Scheme"
default = "https"

[destinations.api]
schemes = ["https", "http"]
scheme = "{{scheme}}"
host = "{{host}}"
port = "{{port}}"
role = "api"

[auth]
scheme = "bearer"
destinations = ["api"]
"#
    );
    for action in actions {
        text.push_str(&format!(
            r#"
[actions.{action}]
title = "Attempt"
effect = "read"
uses = [{{ destination = "api", methods = ["GET", "POST"], paths = ["/anything", "/reflect"] }}]
input.type = "object"
output.type = "object"
"#
        ));
    }
    text
}

/// The configuration that lets guests reach a port of this machine.
pub(crate) fn allowed(port: u16) -> String {
    format!("\n[[egress.allow]]\nhost = \"localhost\"\nport = {port}\ncleartext = true\n")
}

/// The deployment.
pub(crate) struct Arena {
    pub(crate) stage: Stage,
    /// What it is asked is no business of the victim's own.
    pub(crate) attackers_upstream: Upstream,
    pub(crate) victim_hook: String,
    /// Of callers that go away.
    pub(crate) upstreams: Upstreams,
    hooks: BTreeMap<String, String>,
}

impl Arena {
    pub(crate) fn new() -> Self {
        Self::with(Upstreams::default(), "")
    }

    /// The same, where guests reach these upstreams, too, and with more configuration.
    pub(crate) fn with(upstreams: Upstreams, more: &str) -> Self {
        Self::configured(upstreams, &format!("{LIMITS}{more}"))
    }

    /// The same under the limits that a deployment has if nobody says anything.
    pub(crate) fn at_default_limits() -> Self {
        Self::configured(Upstreams::default(), "")
    }

    fn configured(upstreams: Upstreams, configuration: &str) -> Self {
        let mut stage = Stage::not_started();
        let attackers_upstream = stage.another_upstream();
        let (these, this) = (upstreams.allowed(), allowed(attackers_upstream.port));
        stage.configure_again(&format!("{configuration}{these}{this}"));
        let mut arena = Self {
            stage,
            attackers_upstream,
            victim_hook: String::new(),
            upstreams,
            hooks: BTreeMap::new(),
        };
        for workspace in ["victim", "attacker"] {
            arena.stage.ok(&format!("workspace create {workspace}"));
        }
        arena.install("victim", artifact("orders.wasm"), "orders");
        arena.connect("victim", "shop", "orders", arena.stage.upstream.port);
        arena.stage.write("intake.yaml", INTAKE);
        arena.ok("victim", "recipe apply intake.yaml");
        arena.victim_hook = arena.hook_of("victim", "intake");
        arena
    }

    /// A command in one workspace.
    pub(crate) fn ok(&self, workspace: &str, line: &str) -> String {
        self.stage.ok(&format!("--workspace {workspace} {line}"))
    }

    pub(crate) fn json(&self, workspace: &str, line: &str) -> Value {
        self.stage.json(&format!("--workspace {workspace} {line}"))
    }

    /// The key of the cache of compiled code, for which the deployment is ended and
    /// started again; before guests have hooks, whose addresses change.
    pub(crate) fn cache_key(&mut self) -> Vec<u8> {
        assert!(self.hooks.is_empty(), "hooks are of the listener before");
        self.stage.serve = None;
        let key = platform_log::secret(&self.stage, "cache-key");
        self.stage.start();
        self.victim_hook = self.hook_of("victim", "intake");
        key
    }

    fn hook_of(&self, workspace: &str, recipe: &str) -> String {
        let shown = self.json(workspace, &format!("recipe show {recipe}"));
        shown["webhook_url"].as_str().unwrap().to_owned()
    }

    fn install(&self, workspace: &str, file: PathBuf, name: &str) {
        self.ok(workspace, &format!("connector install {}", file.display()));
        let shown = self.json(workspace, &format!("connector show {name}"));
        let digest = shown["digest"].as_str().unwrap();
        self.ok(
            workspace,
            &format!("connector approve {name} --digest {digest} --why tested"),
        );
    }

    fn connect(&self, workspace: &str, name: &str, connector: &str, port: u16) {
        self.ok(
            workspace,
            &format!(
                "connection create {name} --connector {connector} --parameter host=localhost --parameter port={port} --parameter scheme=http --credential-file token.txt"
            ),
        );
    }

    /// The webhook that runs a guest of the attacker, which is made ready if
    /// it was not yet.
    pub(crate) fn hook(&mut self, guest: Guest) -> String {
        let (connector, action) = guest.connector_and_action();
        if !self.hooks.contains_key(connector) {
            let file = self
                .stage
                .write(&format!("{connector}.wasm"), guest.bytes());
            self.install("attacker", file, connector);
            let port = self.attackers_upstream.port;
            self.connect("attacker", connector, connector, port);
            self.hooks.insert(connector.to_owned(), String::new());
        }
        let recipe = format!("{connector}-{action}").replace('_', "-");
        if let Some(hook) = self.hooks.get(&recipe) {
            return hook.clone();
        }
        let text = format!(
            r#"recipe: {recipe}
trigger: {{ webhook: {{}} }}
steps:
  - id: attempt
    action: {connector}.{action}
    connection: {connector}
    input: "${{ trigger.body }}"
  - respond: {{ status: 200, body: "${{ steps.attempt }}" }}
"#
        );
        self.stage.write(&format!("{recipe}.yaml"), text);
        self.ok("attacker", &format!("recipe apply {recipe}.yaml"));
        let hook = self.hook_of("attacker", &recipe);
        self.hooks.insert(recipe, hook.clone());
        hook
    }

    /// Tries to install something; what it says.
    pub(crate) fn try_install(&self, name: &str, artifact: &[u8]) -> (bool, String) {
        let file = self.stage.write(&format!("{name}.wasm"), artifact);
        let output = self.stage.run(&format!(
            "--workspace attacker connector install {}",
            file.display()
        ));
        (output.status.success(), text(&output))
    }

    /// Who installs for the attacker without a process of its own.
    pub(crate) fn installer(&self) -> Api {
        Api::of(&self.stage, "attacker", "admin")
    }

    /// Compiled code as it lies in the cache, and without what the host puts before it.
    pub(crate) fn compiled_code(&self) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(self.stage.data().join("cache")).unwrap();
        let codes = files.flat_map(|file| {
            let cached = std::fs::read(file.unwrap().path()).unwrap();
            let bare = cached[32..].to_vec();
            [cached, bare]
        });
        codes.collect()
    }

    /// Runs a guest once: the caller's status and answer, and the job as
    /// people see it.
    pub(crate) fn attempt(&mut self, guest: Guest) -> Attempt {
        self.attempt_with(guest, &json!({}))
    }

    pub(crate) fn attempt_with(&mut self, guest: Guest, input: &Value) -> Attempt {
        let (address, path) = split(&self.hook(guest));
        let began = Instant::now();
        let (status, answer) = http(address, "POST", &path, Some(input));
        let took = began.elapsed();
        let newest = self.json("attacker", "job list --limit 1");
        let id = newest[0]["id"].as_str().unwrap();
        Attempt {
            status,
            answer,
            took,
            job: self.json("attacker", &format!("job show {id}")),
        }
    }

    /// Those that run guests now: the children of the broker.
    pub(crate) fn workers_now(&self) -> Vec<u32> {
        let broker = self.stage.serve.as_ref().unwrap().pid();
        let children = std::fs::read_to_string(format!("/proc/{broker}/task/{broker}/children"));
        let children = children.unwrap();
        let started = self.workers();
        let mut alive = children.split_whitespace().map(|pid| pid.parse().unwrap());
        let mut running: Vec<u32> = alive.by_ref().collect();
        running.sort_by_key(|pid| started.iter().position(|it| it == pid));
        running
    }

    /// The processes that run guests.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let pids = self.stage.ready["workers"].as_array().unwrap();
        pids.iter()
            .map(|pid| pid.as_u64().unwrap() as u32)
            .collect()
    }
}

/// What one run of a hostile guest came to.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) status: u16,
    pub(crate) answer: Value,
    /// How long its caller waited.
    pub(crate) took: Duration,
    pub(crate) job: Value,
}

impl Attempt {
    /// Why the job failed, as its people read it; empty if it did not.
    pub(crate) fn failure(&self) -> &str {
        self.job["failure"].as_str().unwrap_or_default()
    }
}
