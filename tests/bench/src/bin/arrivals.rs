//! `arrivals`: requests at a constant rate against a webhook; what came of it as one line of JSON.

use keyway_bench::{arrivals, program};

fn main() -> anyhow::Result<()> {
    let load = arrivals::run(program::options());
    program::say(&program::on_this_thread(load)?)
}
