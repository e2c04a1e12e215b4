//! `cargo xtask VERB`: everything that a newcomer or CI runs, as one command each.
//!
//! Each verb says beforehand what it will do and how long that takes, and ends with the exit code of what it ran.
//! It builds; it decides nothing: what Keyway promises is checked by the programs that it starts.

#![expect(clippy::print_stdout, reason = "xtask is a command-line program")]

mod artifacts;
mod bench;
mod demo;
mod fuzz;
mod hostile;
mod lint;
mod shell;
mod suite;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask VERB

  demo [--serve]                  build, then tell Keyway's story in five acts; --serve goes on serving afterwards
  test                            run everything that must pass
  lint                            formatting and clippy of every workspace, warnings denied
  fuzz [TARGET…] [--minutes N]    feed what reads foreign bytes with bytes that nobody meant, led by coverage
  hostile [--requests N]          each row of hostile guests beside a victim, and the slowest hundredth of its requests
  kill --rounds N                 kill -9 broker and workers at random points, N rounds
  bench [NAME…] [--json FILE] [--runs N] [--seconds S]
                                  release build, then each figure beside its bound; see `cargo xtask bench --list`
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = match args.split_first() {
        Some((verb, rest)) => (verb.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    let done = match verb {
        "demo" => demo::run(rest),
        "test" => suite::run(rest),
        "fuzz" => fuzz::run(rest),
        "hostile" => hostile::run(rest),
        "kill" => suite::kill(rest),
        "lint" => lint::run(rest),
        "bench" => bench::run(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        unknown => Err(anyhow::anyhow!("there is no verb `{unknown}`\n\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => shell::exit_code_of(&fault),
    }
}

#[cfg(test)]
mod tests {
    use super::USAGE;

    #[test]
    fn every_verb_is_on_the_page_that_newcomers_read_first() {
        let readme = include_str!("../../README.md");
        let indented = USAGE.lines().filter_map(|line| line.strip_prefix("  "));
        let verbs: Vec<&str> = indented
            .filter(|line| !line.starts_with(' '))
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert!(verbs.contains(&"hostile"), "{verbs:?}");
        for verb in verbs {
            let named = format!("cargo xtask {verb}");
            assert!(readme.contains(&named), "README.md does not name `{named}`");
        }
    }
}
