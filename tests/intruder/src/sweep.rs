//! System calls by number, each tried by a child that locks itself in first.
#![expect(
    unsafe_code,
    reason = "the system calls themselves are what is tried; every pointer is null or out of reach"
)]

use std::io;

use keyway_confine::{Confinement, Limits, Start, Threaded};

/// A call with its arguments; those that are not said are zeros.
struct Tried<'w> {
    word: &'w str,
    number: libc::c_long,
    arguments: [libc::c_long; 6],
}

/// Tries each of `words` (`NUMBER[,ARGUMENT…]`) in a process of its own, and
/// says on standard error what came of each that the kernel did not end with
/// `SIGSYS`: `WORD worked`, `WORD errno N`, `WORD ended: status N`.
pub(crate) fn run(words: &[String], limits: &Limits) -> io::Result<()> {
    let tried: Option<Vec<Tried<'_>>> = words.iter().map(|word| parse(word)).collect();
    let tried =
        tried.ok_or_else(|| io::Error::other("usage: intruder sweep NUMBER[,ARGUMENT…]…"))?;
    let start = Start {
        user: Some(65_534),
        broker: std::os::unix::process::parent_id(),
    };
    // What holds for children, too, is taken once; the rest is each one's own.
    let threaded = Confinement::begin(start).before_threads();
    for call in &tried {
        // SAFETY: this process has one thread.
        match unsafe { libc::fork() } {
            0 => try_it(call, threaded, limits),
            child if child > 0 => tell(call.word, child)?,
            _ => return Err(io::Error::last_os_error()),
        }
    }
    Ok(())
}

fn parse(word: &str) -> Option<Tried<'_>> {
    let mut numbers = word.split(',').map(|number| number.parse::<i64>());
    let number = numbers.next()?.ok()?;
    let mut arguments = [0; 6];
    for (at, argument) in numbers.enumerate() {
        *arguments.get_mut(at)? = argument.ok()?;
    }
    Some(Tried {
        word,
        number,
        arguments,
    })
}

/// In the child: the last step, then the call.
fn try_it(call: &Tried<'_>, threaded: Threaded, limits: &Limits) -> ! {
    let report = threaded.close(limits);
    if let Some((layer, why)) = report.refused().next() {
        eprintln!("not confined: {layer}: {why}");
        std::process::exit(3);
    }
    let [a, b, c, d, e, f] = call.arguments;
    // SAFETY: no argument is an address of this process's memory.
    let returned = unsafe { libc::syscall(call.number, a, b, c, d, e, f) };
    let error = io::Error::last_os_error();
    match returned {
        0.. => eprintln!("{} worked", call.word),
        _ => eprintln!("{} errno {}", call.word, error.raw_os_error().unwrap_or(0)),
    }
    std::process::exit(0)
}

/// Waits for a child, and tells of an end that is none by the filter.
fn tell(word: &str, child: libc::pid_t) -> io::Result<()> {
    let mut status = 0;
    // SAFETY: a pointer to a number of this frame.
    if unsafe { libc::waitpid(child, &raw mut status, 0) } != child {
        return Err(io::Error::last_os_error());
    }
    let by_filter = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS;
    if !by_filter && status != 0 {
        eprintln!("{word} ended: status {status}");
    }
    Ok(())
}
