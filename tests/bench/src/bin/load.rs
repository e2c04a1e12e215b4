//! `load`: runs a closed loop against a webhook and prints what came of it as one line of JSON.

use clap::Parser;

/// A closed-loop HTTP/1.1 load generator.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: keyway_bench::load::Options,
}

#[expect(clippy::print_stdout, reason = "the outcome is this program's output")]
fn main() -> anyhow::Result<()> {
    let options = Cli::parse().options;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let load = keyway_bench::load::run(options);
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, load)?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
