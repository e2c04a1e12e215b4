//! `decide`: what one decision on a destination costs, as one line of JSON.

use keyway_bench::{decide, program};

fn main() -> anyhow::Result<()> {
    program::say(&decide::run(program::options())?)
}
