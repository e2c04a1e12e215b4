//! `plain`: an upstream that does as little as it can. Prints one line of JSON when it is ready.

use clap::Parser;
use keyway_bench::plain::{self, Options};

/// The upstream of the figures about HTTP.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

#[expect(
    clippy::print_stdout,
    reason = "the ready line is this program's output"
)]
fn main() -> anyhow::Result<()> {
    if let Some(core) = Cli::parse().options.core {
        keyway_bench::affinity::stay_on(core)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = plain::bind().await?;
        let port = listener.local_addr()?.port();
        println!("{}", serde_json::json!({ "port": port }));
        plain::serve(listener).await
    })
}
