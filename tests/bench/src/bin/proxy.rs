//! `proxy`: the bound of `stream`, as one line of JSON.

use clap::Parser;
use keyway_bench::proxy;

/// A native proxy of one body.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: proxy::Options,
}

#[expect(clippy::print_stdout, reason = "the outcome is this program's output")]
fn main() -> anyhow::Result<()> {
    let options = Cli::parse().options;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(proxy::run(options))?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
