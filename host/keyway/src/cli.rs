//! The command line.
//!
//! Verbs that need no deployment work on files; every other verb is an
//! authenticated API call, over the Unix socket in the data directory or over
//! a loopback listener with a token. Never a second way into the database.

mod alarm;
mod args;
mod audit;
mod client;
mod connection;
mod connector;
mod credential;
mod job;
mod output;
mod recipe;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

pub use args::Arguments;
use args::Verb;
pub(crate) use args::{
    BenchComponent as BenchOptions, BenchHttp as BenchHttpOptions,
    BenchReplace as BenchReplaceOptions, BenchStream as BenchStreamOptions, Demo as DemoOptions,
    Worker as WorkerOptions,
};
pub(crate) use output::say;

/// Exit codes: 0 done, 1 failed, 2 the command line is wrong.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            output::problem(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { global, verb } = arguments;
    match verb {
        Verb::Worker(worker) => crate::worker::main(&worker),
        Verb::Serve(serve) => crate::serve::main(&global.data, serve.config.as_deref()),
        Verb::Demo(demo) => crate::demo::main(demo),
        Verb::DemoUpstream(upstream) => crate::demo::upstream(upstream),
        Verb::BenchInstance(bench) => crate::bench::instance(&bench),
        Verb::BenchHostCall(bench) => crate::bench::host_call(&bench),
        Verb::BenchHttp(bench) => crate::bench::http(&bench),
        Verb::BenchStream(bench) => crate::bench::stream(&bench),
        Verb::BenchReplace(bench) => crate::bench::replace(&bench),
        Verb::Workspace(verb) => workspace::workspace(&global, verb),
        Verb::Token(verb) => workspace::token(&global, verb),
        Verb::Connector(verb) => connector::run(&global, verb),
        Verb::Connection(verb) => connection::run(&global, verb),
        Verb::Recipe(verb) => recipe::run(&global, verb),
        Verb::Job(verb) => job::run(&global, verb),
        Verb::Audit(verb) => audit::run(&global, verb),
        Verb::Alarm(verb) => alarm::run(&global, verb),
    }
}
