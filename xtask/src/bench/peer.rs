//! A process of the bench: started, waited for until it is ready, and ended when it is dropped.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

/// A running process.
#[derive(Debug)]
pub(crate) struct Peer {
    name: String,
    child: Child,
}

impl Peer {
    /// Starts a process whose readiness its starter finds out.
    pub(crate) fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
        })
    }

    /// Starts a process that prints one line of JSON when it is ready, and returns that line.
    pub(crate) fn start_until_ready(
        name: &str,
        command: &mut Command,
    ) -> anyhow::Result<(Self, Value)> {
        let mut peer = Self::start(name, command.stdout(Stdio::piped()))?;
        let stdout = peer
            .child
            .stdout
            .take()
            .with_context(|| format!("{name} has no output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ready = serde_json::from_str(&line)
            .with_context(|| format!("{name} ended before it was ready, or said `{line}`"))?;
        Ok((peer, ready))
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails if the process has ended.
    pub(crate) fn ensure_alive(&mut self) -> anyhow::Result<()> {
        match self
            .child
            .try_wait()
            .with_context(|| format!("cannot look at {}", self.name))?
        {
            None => Ok(()),
            Some(status) => anyhow::bail!("{} has ended: {status}", self.name),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(fault) = ended {
            eprintln!("cannot end {}: {fault}", self.name);
        }
    }
}

/// The port of a ready line.
pub(crate) fn port_of(ready: &Value) -> anyhow::Result<u16> {
    let port = ready
        .get("port")
        .and_then(Value::as_u64)
        .context("the ready line names no port")?;
    u16::try_from(port).context("the ready line's port")
}
