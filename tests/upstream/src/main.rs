//! `keyway-upstream`: the order system as a process of its own. Prints one line of JSON when it is ready.

use clap::Parser;

/// A small order system over TLS, for Keyway's demo, tests and benches.
#[derive(Debug, Parser)]
#[command(name = "keyway-upstream", version)]
struct Cli {
    #[command(flatten)]
    options: keyway_upstream::Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    keyway_upstream::serve(Cli::parse().options).await
}
