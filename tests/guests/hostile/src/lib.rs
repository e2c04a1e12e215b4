//! Tries to use up whatever there is.

use std::hint::black_box;
use std::time::Duration;

use guest_bindings::connector::keyway::guest::types::Failure;
use guest_bindings::connector::keyway::host::connection;
use guest_bindings::connector::keyway::host::log::{self, Level};

guest_bindings::connector!(act);

fn act(name: &str, input: String) -> Result<String, Failure> {
    match name {
        "spin" => spin(),
        "sleep" => std::thread::sleep(Duration::from_secs(3600)),
        "memory" => memory(),
        "panic" => panic!("a guest's own fault: {input}"),
        "exit" => std::process::exit(3),
        "recursion" => drop(black_box(recursion(1))),
        "deep" => drop(black_box(deep(black_box(1)))),
        "log-flood" => (0..2_000).for_each(|line| log::write(Level::Info, &line.to_string())),
        "print-flood" => (0..2_000).for_each(|line| println!("{line}")),
        "host-call-flood" => loop {
            black_box(connection::parameter("name"));
        },
        "handles" => handles(),
        "random" => drop(wasip2::random::random::get_random_bytes(1 << 20)),
        "huge-string" => log::write(Level::Info, &"x".repeat(6 << 20)),
        "huge-output" => return Ok("x".repeat(2 << 20)),
        other => return Err(Failure::NotFound(other.to_owned())),
    }
    Ok("survived".to_owned())
}

fn spin() -> ! {
    let mut round = 0_u64;
    loop {
        round = black_box(round.wrapping_add(1));
    }
}

fn memory() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1_u8; 1 << 20]));
    }
}

#[expect(unconditional_recursion, reason = "this is what the guest is for")]
fn recursion(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recursion(depth + 1) + frame[0]
}

/// Nothing on the guest's own stack, so that the machine's ends first.
fn deep(depth: u64) -> u64 {
    if depth == u64::MAX {
        return depth;
    }
    (deep(depth + 1).wrapping_mul(3) ^ depth).rotate_left(7)
}

fn handles() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(wasip2::clocks::monotonic_clock::subscribe_duration(1));
    }
}
