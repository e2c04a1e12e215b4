//! `echo`: the bare message round trip between two processes on one core, as one line of JSON.

use keyway_bench::{echo, program};

fn main() -> anyhow::Result<()> {
    let options: echo::Options = program::options();
    if options.answer {
        return program::on_this_thread(echo::answer(options));
    }
    program::say(&program::on_this_thread(echo::ask(options))?)
}
