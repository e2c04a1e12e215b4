//! `echo`: the bare message round trip between two processes on one core, as one line of JSON.

use clap::Parser;
use keyway_bench::echo;

/// The bound of `host_call`.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: echo::Options,
}

#[expect(clippy::print_stdout, reason = "the outcome is this program's output")]
fn main() -> anyhow::Result<()> {
    let options = Cli::parse().options;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = tokio::task::LocalSet::new();
    if options.answer {
        return tasks.block_on(&runtime, echo::answer(options));
    }
    println!(
        "{}",
        serde_json::to_string(&tasks.block_on(&runtime, echo::ask(options))?)?
    );
    Ok(())
}
