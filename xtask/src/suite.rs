//! `cargo xtask test` and `cargo xtask kill`: the tests, with everything that they need built before.

use anyhow::Context as _;

use crate::artifacts::{self, Profile};
use crate::shell::{self, cargo};

/// The crates whose documentation proves by failing to compile that a check cannot be bypassed.
const PROVING_CRATES: [&str; 4] = [
    "keyway-authz",
    "keyway-vault",
    "keyway-egress",
    "keyway-gate",
];

/// Names another build of `keyway` than the one of the tests, which the tests then start.
pub(crate) const PROGRAM: &str = "KEYWAY_PROGRAM";

/// Runs everything that must pass; the test runner's own closing line is the last.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.is_empty(),
        "`cargo xtask test` takes no options, and got {args:?}"
    );
    build_for("Tests")?;

    println!("Step 3 of 5: the doc tests, those that must not compile among them");
    let mut documentation = cargo(&["test", "--doc"]);
    for package in PROVING_CRATES.iter().chain(&artifacts::BUILT_WITH) {
        documentation.args(["--package", package]);
    }
    shell::run(&mut documentation)?;

    println!(
        "Step 4 of 5: the tests of the connectors and of the SDK, as programs of this machine"
    );
    artifacts::test_connectors()?;

    println!("Step 5 of 5: the tests (about eight minutes)");
    if has_nextest() {
        shell::run(cargo(&["nextest", "run", "--workspace"]).env_remove(PROGRAM))
    } else {
        println!("cargo-nextest is not installed; `cargo test` runs the same tests, more slowly.");
        let tests = ["test", "--workspace", "--lib", "--bins", "--tests"];
        shell::run(cargo(&tests).env_remove(PROGRAM))
    }
}

/// Runs the kill rounds alone, as many as wanted.
pub(crate) fn kill(args: &[String]) -> anyhow::Result<()> {
    let [flag, rounds] = args else {
        anyhow::bail!("say how many rounds: cargo xtask kill --rounds 2000")
    };
    anyhow::ensure!(
        flag == "--rounds",
        "`{flag}` is not an option of `cargo xtask kill`"
    );
    rounds
        .parse::<u32>()
        .with_context(|| format!("`{rounds}` is not a number of rounds"))?;
    build_for("Kill rounds")?;
    println!("Then: {rounds} rounds, about a second each");
    let mut rounds_run = if has_nextest() {
        cargo(&[
            "nextest",
            "run",
            "--workspace",
            "--no-capture",
            "kill_rounds",
        ])
    } else {
        cargo(&["test", "--workspace", "kill_rounds", "--", "--nocapture"])
    };
    shell::run(rounds_run.env("KEYWAY_KILL_ROUNDS", rounds))
}

/// Builds what the tests start, for a verb that runs some of them.
pub(crate) fn build_for(what: &str) -> anyhow::Result<()> {
    artifacts::announce(what, 8, Profile::Dev);
    build()
}

fn build() -> anyhow::Result<()> {
    println!("Step 1 of 5: the binaries that the tests start");
    artifacts::ensure_guest_target()?;
    artifacts::build_host(Profile::Dev, &["keyway-intruder"])?;
    println!("Step 2 of 5: the connectors and guests, as WebAssembly components");
    artifacts::build_test_guests()?;
    artifacts::build_connectors(Profile::Dev).map(drop)
}

fn has_nextest() -> bool {
    shell::succeeds(&mut cargo(&["nextest", "--version"]))
}
