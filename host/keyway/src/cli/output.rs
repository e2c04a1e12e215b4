//! Tables for people, JSON for programs.
#![expect(clippy::print_stderr, reason = "this is where the command line speaks")]

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, TableStyle};
use keyway_model::plain::is_plain;
use serde::Serialize;

/// Says what went wrong, on standard error.
pub(crate) fn problem(error: &anyhow::Error) {
    eprintln!("keyway: {}", shown(&format!("{error:#}")));
}

/// Whether whoever reads the output has seen enough: `keyway job list | head`.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether nobody reads the output any more.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Lines for people. What came from a guest, an upstream or a caller is in
/// them: nothing of it moves the cursor or reorders what follows.
pub(crate) fn say(line: impl std::fmt::Display) {
    exact(shown(&line.to_string()));
}

fn shown(text: &str) -> String {
    let plain = |c| {
        if c == '\n' || is_plain(c) {
            c
        } else {
            '\u{fffd}'
        }
    };
    text.chars().map(plain).collect()
}

/// What must come out byte for byte, such as an export. Once the output is
/// closed nothing more is printed, and the verb goes on to its own exit code.
pub(crate) fn exact(line: impl std::fmt::Display) {
    if is_closed() {
        return;
    }
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => {}
        Err(fault) if fault.kind() == ErrorKind::BrokenPipe => {
            CLOSED.store(true, Ordering::Relaxed);
        }
        Err(fault) => {
            eprintln!("keyway: the output cannot be written: {fault}");
            std::process::exit(1);
        }
    }
}

/// Prints `value` as JSON. Characters that are not plain can only be inside of
/// strings, where an escape says the same.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let mut text = String::new();
    for character in serde_json::to_string_pretty(value)?.chars() {
        if character == '\n' || is_plain(character) {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}")?;
            }
        }
    }
    exact(text);
    Ok(())
}

/// Prints a table, or says that there is nothing.
pub(crate) fn table<const N: usize>(headers: [&str; N], rows: Vec<[String; N]>, nothing: &str) {
    if rows.is_empty() {
        say(nothing);
        return;
    }
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers.map(str::to_uppercase));
    for row in rows {
        table.add_row(row);
    }
    let lines = table.to_string();
    let lines: Vec<&str> = lines.lines().map(str::trim_end).collect();
    say(lines.join("\n"));
}

/// A time as people read it: to the second.
pub(crate) fn time(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}
