//! `decide`: what one decision on a destination costs, as one line of JSON.

use clap::Parser;
use keyway_bench::decide;

/// One decision among many grants.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: decide::Options,
}

#[expect(clippy::print_stdout, reason = "the outcome is this program's output")]
fn main() -> anyhow::Result<()> {
    let outcome = decide::run(Cli::parse().options)?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
