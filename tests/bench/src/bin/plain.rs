//! `plain`: an upstream that does as little as it can. Prints one line of JSON when it is ready.

use keyway_bench::{affinity, plain, program};

fn main() -> anyhow::Result<()> {
    let options: plain::Options = program::options();
    if let Some(core) = options.core {
        affinity::stay_on(core)?;
    }
    program::runtime(1)?.block_on(async {
        let listener = plain::bind().await?;
        let port = listener.local_addr()?.port();
        program::say(&serde_json::json!({ "port": port }))?;
        plain::serve(listener).await
    })
}
