//! A native program in a worker's place: what code could do that got out of the
//! sandbox. It locks itself in as a worker does, tries one thing, and says on
//! standard error what came of it: `worked`, or `errno N`. The kernel may end
//! it before it can say anything.

mod attempts;
mod fault;
mod sweep;
mod watch;
mod without;

use std::process::ExitCode;

use keyway_confine::{Confinement, Limits, Start};

/// As much as a small worker has.
const LIMITS: Limits = Limits {
    threads: 2,
    data_bytes_more: 512 << 20,
    cpu_max: None,
};

/// `intruder MODE ATTEMPT [PATH]`, where MODE is `locked` or `free`; or
/// `intruder without LAYER PROGRAM [ARGUMENT…]`, which runs a program on a
/// kernel that seems to lack a layer; or `intruder watch FILE PROGRAM
/// [ARGUMENT…]`, which counts its scans of page maps; or `intruder sweep
/// CALL…`, which tries system calls by number; or `intruder fault`, which reads
/// where no memory is.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, layer, program @ ..] = arguments.as_slice()
        && mode == "without"
    {
        let error = without::run(layer, program);
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    if let [mode, file, program @ ..] = arguments.as_slice()
        && mode == "watch"
    {
        let error = watch::run(file, program);
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    if let [mode, calls @ ..] = arguments.as_slice()
        && mode == "sweep"
    {
        return ended(sweep::run(calls, &LIMITS));
    }
    if arguments == ["fault"] {
        return ended(fault::run(&LIMITS));
    }
    let [mode, attempt, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: intruder MODE ATTEMPT [PATH]");
        return ExitCode::from(2);
    };
    let Some(attempt) = attempts::find(attempt) else {
        eprintln!("there is no such attempt");
        return ExitCode::from(2);
    };
    let path = rest.first().map_or("/etc/hostname", String::as_str);
    let prepared = attempts::prepare(path);
    if mode == "locked" {
        let start = Start {
            user: Some(65_534),
            broker: std::os::unix::process::parent_id(),
        };
        let report = Confinement::begin(start).before_threads().close(&LIMITS);
        if let Some((layer, why)) = report.refused().next() {
            eprintln!("not confined: {layer}: {why}");
            return ExitCode::from(3);
        }
    }
    match attempt(&prepared) {
        Ok(()) => eprintln!("worked"),
        Err(error) => eprintln!("errno {}", error.raw_os_error().unwrap_or(0)),
    }
    ExitCode::SUCCESS
}

fn ended(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
