//! The compiler: this program in a process of its own, confined and limited.
//! What it says is believed as far as it can be true, since hostile input may
//! have taken it over.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use keyway_gate::Presence;
use keyway_model::limit::CODE_BYTES_MAX;
use keyway_runtime::{CompileLimits, Compiled, read_answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use super::CompileError;
use crate::confined::{Confined, report};

/// What the compiler's answer may have: the code, and names of imports and exports.
const ANSWER_BYTES_MAX: u64 = CODE_BYTES_MAX + (1 << 20);

/// Compiles one component. Whoever calls holds the turn. The compiler has ended
/// when this comes back, also when nobody waits for it any more.
pub(super) async fn run(
    confined: &Confined,
    component: &[u8],
    presence: &Presence,
) -> Result<Compiled, CompileError> {
    let mut child = start(confined)?;
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(report(stderr, child.id()));
    }
    let wall = Duration::from_secs(confined.compile_wall_seconds_max);
    let exchanged = tokio::select! {
        exchanged = tokio::time::timeout(wall, exchange(&mut child, component)) => exchanged
            .unwrap_or(Err(CompileError::WallTime(confined.compile_wall_seconds_max))),
        () = presence.gone() => Err(CompileError::Cancelled),
    };
    if exchanged.is_err() {
        // No other begins beside it. One that has ended already needs no signal.
        drop(child.start_kill());
        child.wait().await?;
    }
    let (answer, status) = exchanged?;
    // Its answer may be hundreds of megabytes.
    let read = tokio::task::spawn_blocking(move || read_answer(&answer)).await;
    match read.map_err(io::Error::other)? {
        Ok(Ok(compiled)) if status.success() => Ok(compiled),
        Ok(Err(refused)) => Err(CompileError::Refused(refused)),
        Err(_) if status.success() => Err(CompileError::Nonsense),
        Ok(Ok(_)) | Err(_) => Err(died(status, &confined.compile)),
    }
}

fn start(confined: &Confined) -> io::Result<Child> {
    let limits = confined.compile;
    confined
        .command()
        .arg("--compile")
        // The allocator would else set a gibibyte aside at its start, which
        // the limit on memory would have to let it keep.
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .arg(format!("--cpu-seconds-max={}", limits.cpu_seconds_max))
        .arg(format!(
            "--worker-memory-bytes-max={}",
            limits.memory_bytes_max
        ))
        .arg(format!(
            "--memory-bytes-max={}",
            limits.guest_memory_bytes_max
        ))
        .arg(format!(
            "--table-elements-max={}",
            limits.guest_table_elements_max
        ))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// Gives it the component and takes its answer and its end.
async fn exchange(
    child: &mut Child,
    component: &[u8],
) -> Result<(Vec<u8>, ExitStatus), CompileError> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A child that ended early says why on its standard output.
            drop(stdin.write_all(component).await);
        }
    };
    let read = async {
        let mut answer = Vec::new();
        if let Some(stdout) = stdout {
            let mut bounded = stdout.take(ANSWER_BYTES_MAX + 1);
            bounded.read_to_end(&mut answer).await?;
        }
        Ok::<_, io::Error>(answer)
    };
    let ((), answer) = tokio::join!(write, read);
    let answer = answer?;
    if answer.len() as u64 > ANSWER_BYTES_MAX {
        return Err(CompileError::TooLong);
    }
    Ok((answer, child.wait().await?))
}

/// What the end of a compiler without an answer says.
fn died(status: ExitStatus, limits: &CompileLimits) -> CompileError {
    match status.signal() {
        Some(libc::SIGXCPU) => CompileError::CpuTime(limits.cpu_seconds_max),
        // An allocation that the limit on memory refuses ends in `abort`.
        Some(libc::SIGABRT) => CompileError::Memory(limits.memory_bytes_max),
        _ => CompileError::Died(status.to_string()),
    }
}
