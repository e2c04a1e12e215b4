//! `cargo xtask lint`: formatting and clippy of every workspace, warnings denied.

use crate::artifacts::{self, GUEST_TARGET};
use crate::shell::{self, cargo, root};

/// A workspace, and the target that its code is written for.
struct Workspace {
    folder: &'static str,
    target: Option<&'static str>,
}

const WORKSPACES: [Workspace; 4] = [
    Workspace {
        folder: ".",
        target: None,
    },
    Workspace {
        folder: "sdk/rust",
        target: Some(GUEST_TARGET),
    },
    Workspace {
        folder: "connectors",
        target: Some(GUEST_TARGET),
    },
    Workspace {
        folder: "tests/guests",
        target: Some(GUEST_TARGET),
    },
];

pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.is_empty(),
        "`cargo xtask lint` takes no options, and got {args:?}"
    );
    println!("Lint: about 4 minutes the first time on two cores, seconds later.");
    artifacts::ensure_guest_target()?;
    let present = || {
        WORKSPACES
            .iter()
            .filter(|it| root().join(it.folder).join("Cargo.toml").exists())
    };
    for workspace in present() {
        let mut format = cargo(&["fmt", "--check", "--all"]);
        shell::run(format.current_dir(root().join(workspace.folder)))?;
    }
    for workspace in present() {
        let mut clippy = cargo(&["clippy", "--workspace"]);
        match workspace.target {
            // Guests have no test harness of their own: `--all-targets` would ask for one.
            Some(target) => clippy.args(["--target", target]),
            None => clippy.arg("--all-targets"),
        };
        clippy.args(["--", "-D", "warnings"]);
        shell::run(clippy.current_dir(root().join(workspace.folder)))?;
    }
    println!("\nFormatting and clippy have nothing to say.");
    Ok(())
}
