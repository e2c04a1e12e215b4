//! A native program in a worker's place: what code could do that got out of the
//! sandbox. It locks itself in as a worker does, tries one thing, and says on
//! standard error what came of it: `worked`, or `errno N`. The kernel may end
//! it before it can say anything.

mod attempts;
mod fault;
mod sweep;
mod unfiltered;
mod watch;
mod without;
mod worker;

use std::io;
use std::process::ExitCode;

use keyway_confine::{Confinement, Limits, Start};

/// As much as a small worker has.
const LIMITS: Limits = Limits {
    threads: 2,
    data_bytes_more: 512 << 20,
    cpu_max: None,
};

/// Whom it becomes, where it is root's, and whom it does not outlive.
fn start() -> Start {
    Start {
        user: Some(65_534),
        broker: std::os::unix::process::parent_id(),
    }
}

/// `intruder MODE ATTEMPT [PATH]`, where MODE is `locked`, `unfiltered` (every
/// layer but the filter), `begun` (descriptors and user are given up, and
/// nothing else) or `free`; or `intruder without LAYER PROGRAM [ARGUMENT…]`,
/// which runs a program on a kernel that seems to lack a layer; or `intruder
/// watch FILE PROGRAM [ARGUMENT…]`, which counts its scans of page maps; or
/// `intruder sweep CALL…`, which tries system calls by number; or `intruder
/// fault`, which reads where no memory is; or `intruder kernel`, which says what
/// the kernel has; or `intruder worker [OPTION…]`, which a broker starts.
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
    if let [mode, options @ ..] = arguments.as_slice()
        && mode == "worker"
    {
        return ended(worker::run(options, &LIMITS));
    }
    if arguments == ["fault"] {
        return ended(fault::run(&LIMITS));
    }
    if arguments == ["kernel"] {
        unfiltered::kernel();
        return ExitCode::SUCCESS;
    }
    let [mode, attempt, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: intruder MODE ATTEMPT [PATH]");
        return ExitCode::from(2);
    };
    try_one(mode, attempt, rest)
}

/// Locks itself in as `mode` says, tries one thing, and says what came of it.
fn try_one(mode: &str, attempt: &str, rest: &[String]) -> ExitCode {
    let Some(attempt) = attempts::find(attempt) else {
        eprintln!("there is no such attempt");
        return ExitCode::from(2);
    };
    let path = rest.first().map_or("/etc/hostname", String::as_str);
    let prepared = attempts::prepare(path);
    let locked_in = match mode {
        "locked" => lock_in(),
        "unfiltered" => unfiltered::lock_in(&LIMITS),
        "begun" => {
            drop(Confinement::begin(start()));
            Ok(())
        }
        "free" => Ok(()),
        _ => Err(io::Error::other("there is no such mode")),
    };
    if let Err(error) = locked_in {
        eprintln!("{error}");
        return ExitCode::from(3);
    }
    match attempt(&prepared) {
        Ok(()) => eprintln!("worked"),
        Err(error) => eprintln!("errno {}", error.raw_os_error().unwrap_or(0)),
    }
    ExitCode::SUCCESS
}

/// Takes every layer, as a worker does.
fn lock_in() -> io::Result<()> {
    let report = Confinement::begin(start()).before_threads().close(&LIMITS);
    match report.refused().next() {
        None => Ok(()),
        Some((layer, why)) => {
            let refused = format!("not confined: {layer}: {why}");
            Err(io::Error::other(refused))
        }
    }
}

fn ended(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
