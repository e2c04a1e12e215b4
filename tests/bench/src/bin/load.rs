//! `load`: runs a closed loop against a webhook and prints what came of it as one line of JSON.

use keyway_bench::{load, program};

fn main() -> anyhow::Result<()> {
    let load = load::run(program::options());
    program::say(&program::on_this_thread(load)?)
}
