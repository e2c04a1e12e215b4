//! `bare`: the bound of `http_call` and `http_added`, as one line of JSON.

use clap::Parser;
use keyway_bench::bare;

/// A connector in this process, with a bare pooled client.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: bare::Options,
}

#[expect(clippy::print_stdout, reason = "the outcome is this program's output")]
fn main() -> anyhow::Result<()> {
    let options = Cli::parse().options;
    if let Some(core) = options.core {
        keyway_bench::affinity::stay_on(core)?;
    }
    let mut builder = match options.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if options.threads > 1 {
        builder.worker_threads(options.threads);
    }
    let runtime = builder.enable_all().build()?;
    let outcome = runtime.block_on(bare::run(options))?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
