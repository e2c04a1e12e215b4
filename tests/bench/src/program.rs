//! What every program here begins and ends with: its options, a runtime, and one line of JSON.

use std::future::Future;

use clap::{Args, Parser};
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

#[derive(Debug, Parser)]
struct Cli<O: Args> {
    #[command(flatten)]
    options: O,
}

/// What was typed; the program ends if it is wrong.
pub fn options<O: Args>() -> O {
    Cli::parse().options
}

/// A runtime of so many threads; 0 is one for each core.
///
/// # Errors
/// The operating system's.
pub fn runtime(threads: usize) -> std::io::Result<Runtime> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        threads => {
            let mut builder = Builder::new_multi_thread();
            if threads > 0 {
                builder.worker_threads(threads);
            }
            builder
        }
    };
    builder.enable_all().build()
}

/// Runs on this thread alone, also what cannot leave it.
///
/// # Errors
/// Those of `future`, and the operating system's.
pub fn on_this_thread<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::task::LocalSet::new().block_on(&runtime(1)?, future)
}

/// Prints an outcome, or that a program is ready.
///
/// # Errors
/// If it cannot be written as JSON.
#[expect(
    clippy::print_stdout,
    reason = "the line is what the program is run for"
)]
pub fn say(line: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(line)?);
    Ok(())
}
