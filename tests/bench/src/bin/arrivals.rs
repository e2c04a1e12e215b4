//! `arrivals`: requests at a constant rate against a webhook; what came of it as one line of JSON.

use clap::Parser;
use keyway_bench::arrivals;

/// An open-loop HTTP/1.1 load generator.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: arrivals::Options,
}

#[expect(clippy::print_stdout, reason = "the outcome is this program's output")]
fn main() -> anyhow::Result<()> {
    let options = Cli::parse().options;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let load = arrivals::run(options);
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, load)?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
