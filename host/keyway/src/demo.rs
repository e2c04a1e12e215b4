//! `keyway demo`: the story of a deployment in five acts, with the commands
//! that a person would type. It exits non-zero if any act differs from what it
//! says.
#![expect(
    clippy::print_stdout,
    reason = "the demo tells a story on standard output"
)]

mod attacker;
mod caller;
mod files;
mod stage;
mod story;
mod thief;

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cli::DemoOptions;
use stage::Stage;

/// Plays the five acts.
pub(crate) fn main(options: DemoOptions) -> Result<ExitCode> {
    let artifacts = options.artifacts.canonicalize().with_context(|| {
        format!(
            "{}: the built connectors; run `cargo xtask demo`",
            options.artifacts.display()
        )
    })?;
    let mut stage = Stage::set(&artifacts)?;
    stage.say(
        "Keyway demo: a deployment (a broker and its confined workers), an order system over TLS as\n\
         its upstream, and five people who look at it. Everything below is run, not recited.",
    );
    story::reviewer(&mut stage)?;
    let told = story::administrator(&mut stage)?;
    attacker::act(&mut stage)?;
    thief::act(&mut stage, &told)?;
    story::auditor(&mut stage)?;
    stage.say(&format!(
        "All five acts went as told ({} checks).\n\n\
         Go on:  cargo xtask demo --serve          the same deployment, left running for you\n\
         \x20       keyway connector new my-crm       write your own connector (docs/authoring.md)",
        stage.checks()
    ));
    if options.serve {
        stage.leave_running()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The order system that the demo, the tests and the benches talk to.
pub(crate) fn upstream(options: keyway_upstream::Options) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(keyway_upstream::serve(options))?;
    Ok(ExitCode::SUCCESS)
}
