//! `bound`: W1 or W2 in a native service. Prints one line of JSON when it is ready.

use clap::Parser;
use keyway_bench::bound::{Bound, Options};

/// The native bounds (n) and (d) of W1 and W2.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn main() -> anyhow::Result<()> {
    let options = Cli::parse().options;
    let runtime = if options.threads == 1 {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
    } else {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads)
            .enable_all()
            .build()?
    };
    runtime.block_on(serve(options))
}

#[expect(
    clippy::print_stdout,
    reason = "the ready line is this program's output"
)]
async fn serve(options: Options) -> anyhow::Result<()> {
    let bound = Bound::start(&options).await?;
    println!("{}", serde_json::json!({ "port": bound.port()? }));
    bound.run().await
}
