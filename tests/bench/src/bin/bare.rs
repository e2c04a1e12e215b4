//! `bare`: the bound of `http_call` and `http_added`, as one line of JSON.

use keyway_bench::{affinity, bare, program};

fn main() -> anyhow::Result<()> {
    let options: bare::Options = program::options();
    if let Some(core) = options.core {
        affinity::stay_on(core)?;
    }
    let runtime = program::runtime(options.threads)?;
    program::say(&runtime.block_on(bare::run(options))?)
}
