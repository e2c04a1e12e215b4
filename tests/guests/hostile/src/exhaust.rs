//! Uses up time, memory, and the host's patience.

use std::hint::black_box;

use guest_bindings::connector::keyway::host::log::{self, Level};
use guest_bindings::connector::keyway::host::{connection, state};
use wasip2::http::types::Fields;
use wasip2::random::random::get_random_bytes;

pub(crate) fn spin() -> ! {
    let mut round = 0_u64;
    loop {
        round = black_box(round.wrapping_add(1));
    }
}

pub(crate) fn memory() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1_u8; 1 << 20]));
    }
}

pub(crate) fn recursion() {
    black_box(recurse(1));
}

#[expect(unconditional_recursion, reason = "this is what the guest is for")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[0]
}

pub(crate) fn deep() {
    black_box(descend(black_box(1)));
}

/// Nothing on the guest's own stack, so that the machine's ends first.
fn descend(depth: u64) -> u64 {
    if depth == u64::MAX {
        return depth;
    }
    (descend(depth + 1).wrapping_mul(3) ^ depth).rotate_left(7)
}

/// Each of them crosses to the broker.
pub(crate) fn host_calls() {
    loop {
        black_box(connection::scopes());
    }
}

/// Each of them is answered by the worker, which counts them.
pub(crate) fn parameters() {
    loop {
        black_box(connection::parameter("name"));
    }
}

/// As many as an honest guest may make.
pub(crate) fn some_host_calls() {
    for _ in 0..20 {
        black_box(connection::parameter("name"));
    }
}

pub(crate) fn huge_string() {
    log::write(Level::Info, &"x".repeat(6 << 20));
}

/// Many elements, each of nothing.
pub(crate) fn huge_list() {
    drop(black_box(Fields::from_list(&vec![
        (
            String::new(),
            Vec::new()
        );
        300_000
    ])));
}

pub(crate) fn random() {
    drop(black_box(get_random_bytes(1 << 20)));
}

/// As many at once as allowed, again and again.
pub(crate) fn random_flood() {
    loop {
        drop(black_box(get_random_bytes(64 << 10)));
    }
}

/// Values as large as allowed, under more keys than allowed; what the host
/// says to the last.
pub(crate) fn state() -> String {
    let value = "x".repeat(64 << 10);
    let mut kept = 0;
    loop {
        match state::set(&format!("key-{kept}"), &value) {
            Ok(()) => kept += 1,
            Err(refusal) => {
                return format!("{{\"kept\":{kept},\"refusal\":\"{refusal:?}\"}}")
                    .replace("(\"", "(")
                    .replace("\")", ")");
            }
        }
    }
}
