//! libFuzzer around one target, whose name is in `KEYWAY_FUZZ_TARGET`; its
//! arguments are libFuzzer's own. With `KEYWAY_FUZZ_SAYS_BOUND`, it says how long
//! an input of the target may be, and ends. Started by `cargo xtask fuzz`.
#![no_main]
#![expect(clippy::print_stdout, reason = "a command-line program")]

use std::sync::OnceLock;

use keyway_fuzz::{TARGETS, Target};

static CHOSEN: OnceLock<&Target> = OnceLock::new();

#[expect(
    clippy::disallowed_methods,
    reason = "libFuzzer owns the arguments, and there is one program for all targets"
)]
fn choose() {
    let name = std::env::var("KEYWAY_FUZZ_TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("KEYWAY_FUZZ_TARGET names a target");
    if std::env::var_os("KEYWAY_FUZZ_SAYS_BOUND").is_some() {
        println!("{}", target.input_bytes_max);
        std::process::exit(0);
    }
    CHOSEN.get_or_init(|| target);
}

libfuzzer_sys::fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        target.check(input);
    }
});
