//! `keyway-fuzz TARGET [--seconds N] [--seed N]`, or `keyway-fuzz TARGET --file FILE`:
//! one target at length, without coverage, or on one file.

#![expect(clippy::print_stdout, reason = "a command-line program")]

use std::time::Duration;

use anyhow::Context as _;
use keyway_fuzz::{Extent, TARGETS, replay, seeded};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().context("name a target")?;
    let known = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>();
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.with_context(|| format!("the targets are {}", known().join(", ")))?;
    let (mut seconds, mut seed) = (60, 0);
    while let Some(flag) = args.next() {
        let value = args
            .next()
            .with_context(|| format!("{flag} wants a value"))?;
        match flag.as_str() {
            "--seconds" => seconds = value.parse()?,
            "--seed" => seed = value.parse()?,
            "--file" => {
                target.check(&std::fs::read(&value)?);
                println!("{name}: {value} breaks nothing");
                return Ok(());
            }
            other => anyhow::bail!("there is no option {other}"),
        }
    }
    println!(
        "{name}: {} inputs of the corpus break nothing",
        replay(target)?
    );
    let inputs = seeded(target, seed, Extent::Time(Duration::from_secs(seconds)))?;
    println!("{name}: {inputs} inputs from seed {seed} break nothing");
    Ok(())
}
