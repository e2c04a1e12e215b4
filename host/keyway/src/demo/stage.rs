//! The stage: a fresh directory, the processes, and the prompt.
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null where it has nothing"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::files;

/// How often to look whether a deployment that was left running has ended.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Columns of the rule above an act.
const COLUMNS: usize = 100;

/// A deployment, its upstream, and a directory to work in. They end in this
/// order: a deployment that ends signs what it has recorded, and needs its
/// directory for that.
pub(super) struct Stage {
    deployment: Running,
    _upstream: Running,
    dir: tempfile::TempDir,
    program: PathBuf,
    pub(super) upstream_port: u16,
    pub(super) api_port: u16,
    checks: usize,
}

/// A process that ends with the stage.
struct Running {
    child: Child,
    ready: Value,
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // A process that has ended already needs no signal.
        if rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok() {
            drop(self.child.wait());
        }
    }
}

impl Stage {
    /// Starts the upstream and the deployment in a fresh directory.
    pub(super) fn set(artifacts: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("keyway-demo-").tempdir()?;
        let program = std::env::current_exe()?;
        files::lay_out(dir.path(), artifacts)?;
        let upstream = start(
            Command::new(&program).current_dir(dir.path()).args([
                "demo-upstream",
                "--token-file",
                "token.txt",
                "--ca-out",
                "upstream-ca.pem",
            ]),
            "the upstream",
        )?;
        let upstream_port = port_of(&upstream.ready["port"])?;
        std::fs::write(dir.path().join("keyway.toml"), files::config(upstream_port))?;
        let serve = ["serve", "--config", "keyway.toml"];
        let deployment = start(
            Command::new(&program).current_dir(dir.path()).args(serve),
            "the deployment",
        )?;
        let api_port = deployment.ready["api"]
            .as_str()
            .and_then(|url| url.rsplit_once(':'))
            .and_then(|(_, port)| port.parse().ok())
            .context("the deployment says where its API listens")?;
        Ok(Self {
            deployment,
            _upstream: upstream,
            dir,
            program,
            upstream_port,
            api_port,
            checks: 0,
        })
    }

    /// The directory that everything happens in.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The data directory of the deployment.
    pub(super) fn data(&self) -> PathBuf {
        self.dir().join("keyway-data")
    }

    /// How many statements were checked so far.
    pub(super) const fn checks(&self) -> usize {
        self.checks
    }

    /// Opens an act.
    pub(super) fn act(&self, title: &str) {
        println!(
            "\n{title}\n{}",
            "═".repeat(title.chars().count().min(COLUMNS))
        );
    }

    /// Tells something.
    pub(super) fn say(&self, text: &str) {
        println!("\n{text}");
    }

    /// Tells what came of what was told or typed just before.
    pub(super) fn reply(&self, text: &str) {
        println!("  {text}");
    }

    /// Runs a command as a person would type it, shows what it prints, and
    /// expects it to do what it is asked.
    pub(super) fn run(&mut self, line: &str) -> Result<String> {
        let output = self.typed(line)?;
        self.check(
            output.status.success(),
            &format!("`keyway {line}` does what it is asked"),
        )?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The same for a command that must be refused.
    pub(super) fn refused(&mut self, line: &str) -> Result<String> {
        let output = self.typed(line)?;
        self.check(
            !output.status.success(),
            &format!("`keyway {line}` is refused"),
        )?;
        Ok([output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat())
    }

    /// Runs a command and reads its JSON; shows nothing.
    pub(super) fn ask(&self, line: &str) -> Result<Value> {
        let output = self.quiet(&format!("{line} --json"))?;
        if !output.status.success() {
            bail!(
                "`keyway {line}` failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn typed(&self, line: &str) -> Result<Output> {
        println!("\n$ keyway {line}");
        let output = self.quiet(line)?;
        for text in [&output.stdout, &output.stderr] {
            for line in String::from_utf8_lossy(text).lines() {
                println!("  {line}");
            }
        }
        Ok(output)
    }

    fn quiet(&self, line: &str) -> Result<Output> {
        let arguments = words(line);
        let command = Command::new(&self.program)
            .current_dir(self.dir())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("keyway {line}"))?;
        Ok(command)
    }

    /// Holds the story to what it says.
    pub(super) fn check(&mut self, holds: bool, statement: &str) -> Result<()> {
        self.checks += 1;
        if holds {
            Ok(())
        } else {
            bail!("the demo says that {statement}, and it does not")
        }
    }

    /// Leaves everything running until the person ends it, or the deployment ends.
    pub(super) fn leave_running(mut self) -> Result<()> {
        println!(
            "\nThe deployment stays up until you press Ctrl-C:\n  cd {}\n  {} --workspace acme job list\n  {} --workspace acme audit tail",
            self.dir().display(),
            self.program.display(),
            self.program.display()
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            // Whoever presses Ctrl-C tells every process here, this one too: it
            // waits for the others and takes the directory away.
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            let mut look = tokio::time::interval(LOOK_EVERY);
            while self.deployment.child.try_wait()?.is_none() {
                tokio::select! {
                    _ = interrupt.recv() => break,
                    _ = terminate.recv() => break,
                    _ = look.tick() => {}
                }
            }
            Ok(())
        })
    }
}

/// Splits a line at spaces; a part in single quotes is one word.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Starts a process and reads the line that says that it is ready.
fn start(command: &mut Command, what: &str) -> Result<Running> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {what}"))?;
    let stdout = child.stdout.take().context("standard output is piped")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    match serde_json::from_str(&line) {
        Ok(ready) => Ok(Running { child, ready }),
        Err(_) => {
            drop(child.kill());
            bail!("{what} did not start: {line}")
        }
    }
}

fn port_of(value: &Value) -> Result<u16> {
    value
        .as_u64()
        .and_then(|port| u16::try_from(port).ok())
        .context("a port")
}
