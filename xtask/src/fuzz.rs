//! `cargo xtask fuzz`: each target at length, led by coverage. `cargo xtask test` runs the same targets for seconds.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::artifacts;
use crate::shell::{self, cargo, root};

/// One input may take so long before it counts as a hang.
const INPUT_SECONDS_MAX: u32 = 30;
/// One process may take so much memory.
const MEMORY_MIB_MAX: u32 = 2_048;

pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let (names, minutes) = options(args)?;
    let known = targets()?;
    for name in &names {
        anyhow::ensure!(
            known.contains(name),
            "there is no target `{name}`; there are: {}",
            known.join(", ")
        );
    }
    let chosen = if names.is_empty() { known } else { names };
    println!(
        "Fuzzing: {} for {minutes} minutes each, after a build of a minute or two.",
        chosen.join(", ")
    );
    artifacts::ensure_guest_target()?;
    artifacts::build_test_guests()?;
    let build = [
        "build",
        "--package",
        "keyway-fuzz",
        "--features",
        "coverage",
        "--bin",
        "keyway-fuzz-coverage",
    ];
    let instrument = root().join("tests/fuzz/instrument.sh");
    shell::run(cargo(&build).env("RUSTC_WORKSPACE_WRAPPER", instrument))?;
    for name in &chosen {
        one(name, minutes)?;
    }
    println!(
        "\nNothing broke. What was kept on the way is in target/fuzz; the corpus is in tests/fuzz/corpus."
    );
    Ok(())
}

/// Runs one target; what breaks it becomes a file of its corpus, which every test run replays.
fn one(name: &str, minutes: u32) -> anyhow::Result<()> {
    let kept = root().join("target/fuzz").join(name);
    std::fs::create_dir_all(&kept).with_context(|| format!("cannot create {}", kept.display()))?;
    let corpus = root().join("tests/fuzz/corpus").join(name);
    let input_bytes_max = input_bytes_max(name)?;
    let mut command = fuzzer(name);
    command
        .arg(&kept)
        .arg(&corpus)
        .arg(format!("-max_total_time={}", minutes * 60))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-max_len={input_bytes_max}"))
        .arg("-print_final_stats=1")
        .arg(format!("-artifact_prefix={}/", corpus.display()));
    shell::run(&mut command)
}

fn fuzzer(name: &str) -> Command {
    let mut command = shell::tool(root().join("target/debug/keyway-fuzz-coverage"), &[]);
    command.env("KEYWAY_FUZZ_TARGET", name);
    command
}

/// How long an input may be, as the target itself says: a test run goes as far.
fn input_bytes_max(name: &str) -> anyhow::Result<usize> {
    let said = shell::output(fuzzer(name).env("KEYWAY_FUZZ_SAYS_BOUND", "1"))?;
    let bound = said.trim().parse::<usize>();
    bound.with_context(|| format!("`{name}` does not say how long an input may be: {said}"))
}

/// One folder of the corpus for each target; a test of `keyway-fuzz` compares the two.
fn targets() -> anyhow::Result<Vec<String>> {
    let folder = root().join("tests/fuzz/corpus");
    let read = |folder: &Path| -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    };
    read(&folder).with_context(|| format!("cannot read {}", folder.display()))
}

fn options(args: &[String]) -> anyhow::Result<(Vec<String>, u32)> {
    let (mut names, mut minutes) = (Vec::new(), 5);
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        if word == "--minutes" {
            let given = rest.next().context("--minutes wants a number")?;
            minutes = given
                .parse()
                .ok()
                .filter(|minutes| (1..=10_000).contains(minutes))
                .with_context(|| format!("`{given}` is not a number of minutes"))?;
        } else {
            anyhow::ensure!(
                !word.starts_with('-'),
                "`{word}` is not an option of `cargo xtask fuzz`"
            );
            names.push(word.clone());
        }
    }
    Ok((names, minutes))
}
