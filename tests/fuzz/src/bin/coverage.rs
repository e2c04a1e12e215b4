//! libFuzzer around one target, whose name is in `KEYWAY_FUZZ_TARGET`; its
//! arguments are libFuzzer's own. Started by `cargo xtask fuzz`.
#![no_main]

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
    CHOSEN.get_or_init(|| target);
}

libfuzzer_sys::fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        target.check(input);
    }
});
