//! Starting other programs: what is run is said first, and a failure names the command.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::Context as _;

/// A program that was started and did not succeed. Its own words are already on the screen.
#[derive(Debug)]
pub(crate) struct Failed {
    command: String,
    status: ExitStatus,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed: {}", self.command, self.status)
    }
}

impl std::error::Error for Failed {}

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// `cargo ARGS`, in the repository's folder.
pub(crate) fn cargo(args: &[&str]) -> Command {
    tool("cargo", args)
}

/// `program ARGS`, in the repository's folder.
pub(crate) fn tool(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// Says what is run, runs it to its end, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    eprintln!("\n$ {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failed {
            command: shown,
            status,
        }
        .into())
    }
}

/// Runs a command without a word and returns what it printed.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = shown(command);
    let output = command
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failed {
            command: shown,
            status: output.status,
        })
        .context(said);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed what is not text"))
}

/// Whether a command exists and succeeds.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Reports a failure and turns it into the exit code of the program that failed.
pub(crate) fn exit_code_of(fault: &anyhow::Error) -> ExitCode {
    eprintln!("\nxtask: {fault:#}");
    let failed = fault
        .downcast_ref::<Failed>()
        .and_then(|failed| failed.status.code());
    failed
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

/// A command as a person would type it in the repository's folder.
fn shown(command: &Command) -> String {
    let root = format!("{}/", root().display());
    let folder = command
        .get_current_dir()
        .and_then(|folder| folder.strip_prefix(&root).ok());
    let folder = folder.filter(|folder| *folder != Path::new(""));
    let folder = folder
        .map(|folder| format!("cd {} && ", folder.display()))
        .unwrap_or_default();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words
        .map(|word| word.to_string_lossy().replace(&root, ""))
        .collect();
    format!("{folder}{}", words.join(" "))
}
