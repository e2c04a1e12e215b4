//! A deployment, an upstream and a caller, as separate processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

mod template;
mod upstream;

pub(crate) use upstream::{TlsUpstream, Upstream};

pub(crate) use crate::client::{http, raw, split};
pub(crate) use crate::fixtures::{
    CALL_IMPORT, INTAKE, artifact, order, silent_intake, with_manifest,
};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of a built program.
pub(crate) fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().to_owned()
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The `keyway` program, built before the tests by `cargo xtask test`; or another
/// build of it, which `cargo xtask hostile` names.
#[expect(
    clippy::disallowed_methods,
    reason = "which build is measured is the runner's"
)]
pub(crate) fn program() -> PathBuf {
    let named = std::env::var_os("KEYWAY_PROGRAM");
    let program = named.map_or_else(|| built().join("keyway"), PathBuf::from);
    assert!(
        program.exists(),
        "{} is not built: run `cargo xtask test`",
        program.display()
    );
    program
}

/// A process that is ended by its id.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        if self.0.try_wait().ok().flatten().is_none() {
            // A process that has ended already needs no signal.
            if rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok() {
                drop(self.0.wait());
            }
        }
    }
}

/// Starts a process and reads the JSON line that says it is ready.
pub(crate) fn ready(command: &mut Command) -> Result<(Process, Value), String> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut process = Process(child);
    let stdout = process.0.stdout.take().unwrap();
    let stderr = process.0.stderr.take().unwrap();
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    match serde_json::from_str(&line) {
        Ok(value) => {
            // What it says later must not fill the pipe.
            std::thread::spawn(move || {
                std::io::copy(&mut BufReader::new(stderr), &mut std::io::sink())
            });
            Ok((process, value))
        }
        Err(_) => {
            let mut said = String::new();
            BufReader::new(stderr).read_to_string(&mut said).unwrap();
            process.0.wait().unwrap();
            Err(said)
        }
    }
}

/// A file that only its owner can read.
pub(crate) fn secret(path: &Path, content: &str) {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

/// A deployment with its upstream.
pub(crate) struct Stage {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) upstream: Upstream,
    pub(crate) serve: Option<Process>,
    pub(crate) ready: Value,
}

impl Stage {
    /// A running deployment with nothing in it.
    pub(crate) fn empty() -> Self {
        Self::configured("")
    }

    /// The same with more configuration.
    pub(crate) fn configured(more: &str) -> Self {
        Self::not_started().started(more)
    }

    /// One that starts for the first time.
    pub(crate) fn new(more: &str) -> Self {
        Self::without_data().started(more)
    }

    fn started(mut self, more: &str) -> Self {
        self.configure_again(more);
        self
    }

    /// One that waits for its configuration.
    pub(crate) fn not_started() -> Self {
        let stage = Self::without_data();
        template::copy_to(&stage.data());
        stage
    }

    fn without_data() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let upstream = Upstream::start(dir.path());
        Self {
            dir,
            upstream,
            serve: None,
            ready: Value::Null,
        }
    }

    /// One more upstream, with the same token.
    pub(crate) fn another_upstream(&self) -> Upstream {
        Upstream::start(self.dir.path())
    }

    /// Starts, or ends and starts again, with this configuration.
    pub(crate) fn configure_again(&mut self, more: &str) {
        self.serve = None;
        let config = format!(
            "[listen]\nwebhook = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n\n[[egress.allow]]\nhost = \"localhost\"\nport = {}\ncleartext = true\n\n{more}",
            self.upstream.port
        );
        std::fs::write(self.dir.path().join("keyway.toml"), config).unwrap();
        self.start();
    }

    /// A deployment whose workspace `acme` has the orders connector, the
    /// connection `shop`, and nothing else.
    pub(crate) fn with_shop() -> Self {
        let stage = Self::empty();
        stage.shop();
        stage
    }

    /// The workspace `acme` with the orders connector and the connection `shop`.
    pub(crate) fn shop(&self) {
        self.ok("workspace create acme");
        self.install("orders.wasm", "orders");
        self.connect("shop", "orders");
    }

    /// Starts, or starts again.
    pub(crate) fn start(&mut self) {
        let (serve, value) = self.try_start().unwrap();
        self.serve = Some(serve);
        self.ready = value;
    }

    /// Tries to start another `serve` on the same data directory.
    pub(crate) fn try_start(&self) -> Result<(Process, Value), String> {
        let mut command = Command::new(program());
        command
            .current_dir(self.dir.path())
            .args(["serve", "--config", "keyway.toml"]);
        ready(&mut command)
    }

    pub(crate) fn install(&self, file: &str, name: &str) {
        self.install_file(&artifact(file), name);
    }

    /// Installs an artifact and approves all that its manifest declares.
    pub(crate) fn install_file(&self, file: &Path, name: &str) {
        self.ok(&format!("connector install {}", file.display()));
        let digest = self.json(&format!("connector show {name}"))["digest"]
            .as_str()
            .unwrap()
            .to_owned();
        self.ok(&format!(
            "connector approve {name} --digest {digest} --why tested"
        ));
    }

    pub(crate) fn connect(&self, name: &str, connector: &str) {
        self.ok(&format!(
            "connection create {name} --connector {connector} --parameter host=localhost --parameter port={} --parameter scheme=http --credential-file token.txt",
            self.upstream.port
        ));
    }

    /// Writes a file beside the deployment.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Applies a recipe and answers with its webhook, if it has one.
    pub(crate) fn apply(&self, name: &str, text: &str) -> Option<String> {
        std::fs::write(self.dir.path().join(format!("{name}.yaml")), text).unwrap();
        self.ok(&format!("recipe apply {name}.yaml"));
        self.json(&format!("recipe show {name}"))["webhook_url"]
            .as_str()
            .map(str::to_owned)
    }

    /// Runs a command of the command line.
    pub(crate) fn run(&self, line: &str) -> Output {
        let mut words = Vec::new();
        for (index, part) in line.split('\'').enumerate() {
            if index % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        Command::new(program())
            .current_dir(self.dir.path())
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// A command that does what it is asked; its standard output.
    pub(crate) fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "keyway {line}\n{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command that is refused; what it says.
    pub(crate) fn refused(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(
            !output.status.success(),
            "keyway {line} was not refused\n{}",
            text(&output)
        );
        text(&output)
    }

    /// A command's JSON.
    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{line} --json"))).unwrap()
    }

    /// The audit log's newest records, oldest first.
    pub(crate) fn audit(&self) -> Vec<Value> {
        self.json("--workspace acme audit list --limit 1000")
            .as_array()
            .unwrap()
            .clone()
    }

    /// Whether the log has an intent that was denied for `reason`.
    pub(crate) fn denial(&self, reason: &str) -> bool {
        self.audit().iter().any(|line| {
            line["record"]["decision"] == "denied" && line["record"]["reason"] == reason
        })
    }

    /// Posts JSON to a webhook.
    pub(crate) fn post(&self, hook: &str, body: &Value) -> (u16, Value) {
        let (address, path) = split(hook);
        http(address, "POST", &path, Some(body))
    }

    /// The newest job with its steps.
    pub(crate) fn last_job(&self) -> Value {
        let id = self.json("job list --limit 1")[0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        self.json(&format!("job show {id}"))
    }

    /// Waits for something to become true.
    pub(crate) fn until<T>(&self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = found(self) {
                return value;
            }
            assert!(Instant::now() < deadline, "waited too long for {what}");
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("keyway-data")
    }
}

pub(crate) fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .concat()
}
