//! How this program starts itself as a confined process: a worker, or the
//! compiler. Empty environment, its own streams, and nothing inherited.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keyway_model::limit::CONFINED_ERROR_LINES_MAX;
use keyway_runtime::CompileLimits;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{ChildStderr, Command};
use tokio::time::sleep;

/// Users for confined processes where the broker is root, of whom each gets one
/// that has no process. Not `nobody`, whom other programs share: for a moment
/// before it is locked in, a process can be looked into by its own user.
const USERS: std::ops::Range<u32> = 61_184..65_520;

/// Bytes of one line that a confined process may say.
const ERROR_LINE_BYTES_MAX: u64 = 4 << 10;

/// Bytes that are read, and dropped, of a confined process that has said too
/// much, and how long it then waits for the next: 1 MiB a second. It stands
/// still meanwhile, as one that writes to a full pipe does.
const DROPPED_BYTES_EACH: usize = 64 << 10;
const DROPPED_EACH: Duration = Duration::from_micros(62_500);

/// How confined processes are started.
#[derive(Clone, Debug)]
pub(crate) struct Confined {
    /// The program that they run.
    pub(crate) program: PathBuf,
    /// The user that root becomes; one that has no process, if none is named.
    pub(crate) user: Option<u32>,
    /// What compiling one component may take.
    pub(crate) compile: CompileLimits,
    /// How long compiling one component may take from start to end, in seconds.
    pub(crate) compile_wall_seconds_max: u64,
    /// Whether guests run although a layer of confinement is missing.
    pub(crate) is_weaker: bool,
}

impl Confined {
    /// The program that runs, even after its file was replaced by another
    /// version: a worker must be of the broker's own.
    pub(crate) fn this_program() -> PathBuf {
        Path::new("/proc/self/exe").to_owned()
    }

    /// The command of a confined process; its input and output are the caller's
    /// to set.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg0("keyway")
            .arg("worker")
            .arg(format!("--broker={}", std::process::id()))
            .arg(format!("--user={}", self.user.unwrap_or_else(unused_user)))
            .env_clear()
            // A pipe: a confined process may not write to a file.
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if self.is_weaker {
            command.arg("--weaker");
        }
        command
    }
}

/// A user of [`USERS`] that no process has, each time the next one.
fn unused_user() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = USERS.end - USERS.start;
    let own = std::process::id();
    let taken = users_with_processes();
    let next = || USERS.start + NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(own) % count;
    let mut users = std::iter::repeat_with(next).take(count as usize);
    users
        .find(|user| !taken.contains(user))
        .unwrap_or(USERS.start)
}

/// Whoever owns a process of this machine.
fn users_with_processes() -> HashSet<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let owner = |process: std::fs::DirEntry| Some(process.metadata().ok()?.uid());
    processes.filter_map(owner).collect()
}

/// What a confined process says on standard error goes to the host's log, as
/// far as it is text for people. A guest that took its process over could say
/// anything, so it is escaped and bounded.
pub(crate) async fn report(stderr: ChildStderr, pid: Option<u32>) {
    let mut reader = BufReader::new(stderr);
    for _ in 0..CONFINED_ERROR_LINES_MAX {
        let mut line = Vec::new();
        let mut bounded = (&mut reader).take(ERROR_LINE_BYTES_MAX);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                tracing::warn!(pid, line = %text.trim_end().escape_debug(), "a worker says");
            }
        }
    }
    tracing::warn!(pid, "a worker says too much; the rest is dropped");
    drop_slowly(reader, || sleep(DROPPED_EACH)).await;
}

/// Reads on to the end, so that the process is not ended by what it says; but
/// after each piece `pause`, so that it does not keep the broker busy either.
async fn drop_slowly<P: Future<Output = ()>>(
    mut reader: impl AsyncRead + Unpin,
    mut pause: impl FnMut() -> P,
) {
    let mut piece = vec![0; DROPPED_BYTES_EACH];
    while reader.read(&mut piece).await.is_ok_and(|read| read > 0) {
        pause().await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// The host's log, as text.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_process_that_says_much_puts_so_many_lines_into_the_log_and_no_more() -> io::Result<()>
    {
        let log = Log::default();
        let written = log.clone();
        let logs = tracing_subscriber::fmt().with_writer(move || written.clone());
        let _logging = tracing::subscriber::set_default(logs.finish());
        let lines = CONFINED_ERROR_LINES_MAX + 5;
        let script =
            format!("i=0; while [ $i -lt {lines} ]; do echo chatter >&2; i=$((i+1)); done");
        let mut shell = Command::new("sh");
        let mut child = shell.args(["-c", &script]).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        report(stderr, child.id()).await;
        child.wait().await?;
        let log = String::from_utf8_lossy(&log.0.lock()).into_owned();
        let logged = log.matches("chatter").count();
        assert_eq!(logged, CONFINED_ERROR_LINES_MAX as usize);
        assert_eq!(log.matches("the rest is dropped").count(), 1, "{log}");
        Ok(())
    }

    #[tokio::test]
    async fn a_process_that_says_too_much_is_read_in_pieces_with_a_pause_behind_each() {
        const SAID: u64 = 8 << 20;
        let pauses = Cell::new(0_u64);
        let pause = || {
            pauses.set(pauses.get() + 1);
            std::future::ready(())
        };
        let mut endless = tokio::io::repeat(b'x').take(SAID);
        drop_slowly(&mut endless, pause).await;
        assert_eq!(endless.limit(), 0, "it was not read to its end");
        assert!(pauses.get() >= SAID / DROPPED_BYTES_EACH as u64);
        // So much in a second, whatever it says.
        let per_second = DROPPED_BYTES_EACH as u128 * (1_000_000 / DROPPED_EACH.as_micros());
        assert_eq!(per_second, 1 << 20);
    }
}
