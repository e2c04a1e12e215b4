//! `bound`: W1 or W2 in a native service. Prints one line of JSON when it is ready.

use keyway_bench::bound::{Bound, Options};
use keyway_bench::program;

fn main() -> anyhow::Result<()> {
    let options: Options = program::options();
    program::runtime(options.threads)?.block_on(async {
        let bound = Bound::start(&options).await?;
        program::say(&serde_json::json!({ "port": bound.port()? }))?;
        bound.run().await
    })
}
