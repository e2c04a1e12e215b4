//! `cargo xtask bench`: each figure of Keyway's speed and size beside a bound that was measured in the same minutes.

mod figure;
mod keyway;
mod measure;
mod mediated;
mod peer;
mod probe;
mod report;
mod rig;
mod victim;

use std::path::PathBuf;

use anyhow::Context as _;

use crate::artifacts::{self, Profile};
use figure::{FIGURES, Figure};
use measure::Bench;

/// Runs that a median is taken of; fewer would be called out in the report.
pub(crate) const RUNS_MIN: usize = 5;
const SECONDS_DEFAULT: f64 = 5.0;

/// What the caller asked for.
#[derive(Debug)]
struct Asked {
    figures: Vec<&'static Figure>,
    json: Option<PathBuf>,
    runs: usize,
    seconds: f64,
}

pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    if args == ["--list"] {
        report::list();
        return Ok(());
    }
    let asked = parse(args)?;
    let minutes = asked
        .figures
        .iter()
        .map(|figure| figure.cost_seconds(asked.runs, asked.seconds))
        .sum::<f64>()
        / 60.0;
    artifacts::announce("Bench (release build)", 20, Profile::Release);
    println!(
        "The measurements themselves take about {:.0} minutes.",
        minutes.ceil()
    );
    artifacts::ensure_guest_target()?;
    artifacts::build_host(
        Profile::Release,
        &["keyway", "keyway-bench", "keyway-upstream"],
    )?;
    artifacts::build_test_guests()?;
    artifacts::build_connectors(Profile::Release)?;

    let mut bench = Bench::new(asked.runs, asked.seconds)?;
    let mut rows = Vec::new();
    for figure in asked.figures {
        eprintln!(
            "\nmeasuring {} ({} runs of each side, alternating)",
            figure.name, asked.runs
        );
        let measured = bench.measure(figure);
        if let Err(fault) = &measured {
            eprintln!("{}: {fault:#}", figure.name);
        }
        rows.push(report::Row { figure, measured });
    }
    drop(bench);
    report::table(&rows, asked.runs);
    if let Some(file) = &asked.json {
        std::fs::write(file, format!("{:#}\n", report::json(&rows)))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let failed = rows.iter().filter(|row| row.measured.is_err()).count();
    anyhow::ensure!(failed == 0, "{failed} figures could not be measured");
    Ok(())
}

fn parse(args: &[String]) -> anyhow::Result<Asked> {
    let mut asked = Asked {
        figures: Vec::new(),
        json: None,
        runs: RUNS_MIN,
        seconds: SECONDS_DEFAULT,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--json" => asked.json = Some(PathBuf::from(value()?)),
            "--runs" => asked.runs = value()?.parse().context("--runs wants a number")?,
            "--seconds" => asked.seconds = value()?.parse().context("--seconds wants a number")?,
            name => {
                let figure = FIGURES.iter().find(|figure| figure.name == name);
                asked.figures.push(figure.with_context(|| {
                    format!("there is no figure `{name}`; see `cargo xtask bench --list`")
                })?);
            }
        }
    }
    anyhow::ensure!(
        asked.runs > 0 && asked.seconds > 0.0,
        "--runs and --seconds must be above 0"
    );
    if asked.figures.is_empty() {
        asked.figures = FIGURES.iter().collect();
    }
    Ok(asked)
}
