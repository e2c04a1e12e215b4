//! A rig: upstream, bound and Keyway side by side, all doing the same work, and the load that is put on either.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::figure::Work;
use super::keyway::{Keyway, prepare_keyway};
use super::peer::{Peer, port_of};
use super::probe;
use crate::artifacts::{Profile, binary};
use crate::shell::{self, root, tool};

/// Text that every reply must contain, of either side: the total of the bench's order.
pub(super) const EXPECTED: &str = "14907";
pub(super) const WARMUP_SECONDS: &str = "1";
const MEMORY_PAUSE: Duration = Duration::from_millis(200);

/// Which of the two sides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Bound,
    Keyway,
}

/// The processes of one work.
#[derive(Debug)]
pub(crate) struct Rig {
    // Dropped in this order, so that nothing logs a vanished upstream.
    keyway: Keyway,
    bound: Peer,
    bound_url: String,
    upstream: Upstream,
}

/// The order system over clear HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(super) process: Peer,
    pub(crate) port: u16,
    pub(crate) token_file: PathBuf,
}

/// What one run of the load generator found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// The most that the loaded side held during the run.
    pub(crate) resident_mib: f64,
}

impl Upstream {
    /// Starts the order system with a token of its own.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let token_file = folder.join("upstream.token");
        write_private(&token_file, "bench-token-3f9c2a7d5e1b4860\n")?;
        let mut command = tool(
            binary("keyway-upstream", Profile::Release),
            &["--clear", "--token-file"],
        );
        let (process, ready) = Peer::start_until_ready("the upstream", command.arg(&token_file))?;
        Ok(Self {
            process,
            port: port_of(&ready)?,
            token_file,
        })
    }
}

/// Starts bound (d) on a fresh history.
pub(crate) fn start_bound(
    folder: &Path,
    work: Work,
    upstream: &Upstream,
) -> anyhow::Result<(Peer, u16)> {
    let history = folder.join(format!("bound-{work:?}.db"));
    let mut command = tool(binary("bound", Profile::Release), &["--history"]);
    command.arg(history);
    if work == Work::W1 {
        command
            .arg("--upstream")
            .arg(format!("http://127.0.0.1:{}", upstream.port));
        command.arg("--token-file").arg(&upstream.token_file);
    }
    let (process, ready) = Peer::start_until_ready("the bound", &mut command)?;
    Ok((process, port_of(&ready)?))
}

impl Rig {
    /// Starts all three.
    pub(crate) fn start(folder: &Path, work: Work) -> anyhow::Result<Self> {
        let folder = folder.join(format!("{work:?}").to_lowercase());
        std::fs::create_dir_all(&folder)?;
        let upstream = Upstream::start(&folder)?;
        let (bound, port) = start_bound(&folder, work, &upstream)?;
        let keyway = prepare_keyway(&folder, work, &upstream)?;
        Ok(Self {
            keyway,
            bound,
            bound_url: format!("http://127.0.0.1:{port}/"),
            upstream,
        })
    }

    /// Loads one side, and fails if a single reply was wrong.
    pub(crate) fn load(
        &mut self,
        side: Side,
        connections: usize,
        seconds: f64,
    ) -> anyhow::Result<Outcome> {
        let (url, process) = match side {
            Side::Bound => (self.bound_url.clone(), self.bound.id()),
            Side::Keyway => (self.keyway.webhook.clone(), self.keyway.process.id()),
        };
        let (connections, seconds) = (connections.to_string(), seconds.to_string());
        let flags = [
            "--url",
            &url,
            "--connections",
            &connections,
            "--seconds",
            &seconds,
        ];
        let mut load = tool(binary("load", Profile::Release), &flags);
        load.args([
            "--warmup",
            WARMUP_SECONDS,
            "--expect",
            EXPECTED,
            "--body-file",
        ]);
        load.arg(root().join("tests/bench/order.json"));

        let (printed, resident_mib) = while_watching(process, || shell::output(&mut load));
        let outcome: Value =
            serde_json::from_str(&printed?).context("the load generator's outcome")?;
        self.bound.ensure_alive()?;
        self.keyway.process.ensure_alive()?;
        self.upstream.process.ensure_alive()?;
        probe::request(self.upstream.port, "POST", "/control/reset")
            .context("cannot reset the upstream")?;
        let errors = number(&outcome, "errors")?;
        let first = outcome.get("first_error").cloned().unwrap_or_default();
        anyhow::ensure!(
            errors == 0.0,
            "{side:?}: {errors} of the replies were wrong; the first: {first}"
        );
        Ok(Outcome {
            rate: number(&outcome, "rate")?,
            p50_ms: number(&outcome, "p50_us")? / 1000.0,
            p99_ms: number(&outcome, "p99_us")? / 1000.0,
            resident_mib: resident_mib?,
        })
    }
}

/// Does something while the resident memory of a process is watched; the most that was seen.
fn while_watching<R>(process: u32, act: impl FnOnce() -> R) -> (R, anyhow::Result<f64>) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| -> anyhow::Result<f64> {
            let mut most = 0.0_f64;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(probe::resident_mib(process)?);
                std::thread::sleep(MEMORY_PAUSE);
            }
            Ok(most)
        });
        let result = act();
        is_over.store(true, Ordering::Relaxed);
        let most = watch
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the memory watch panicked")));
        (result, most)
    })
}

/// A number of a JSON object.
pub(crate) fn number(object: &Value, name: &str) -> anyhow::Result<f64> {
    object
        .get(name)
        .and_then(Value::as_f64)
        .with_context(|| format!("`{name}` is missing in {object}"))
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut open| open.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}
