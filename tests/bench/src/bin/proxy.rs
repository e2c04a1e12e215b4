//! `proxy`: the bound of `stream`, as one line of JSON.

use keyway_bench::{program, proxy};

fn main() -> anyhow::Result<()> {
    let options: proxy::Options = program::options();
    program::say(&program::runtime(1)?.block_on(proxy::run(options))?)
}
