//! What is known of each limit, and all of them as one table.

use std::fmt;
use std::fmt::Write as _;

use super::{ApiLimits, CONSTANTS, CallLimits, NetworkLimits, Quotas};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Pieces.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Pieces a second.
    PerSecond,
    /// Bytes a minute.
    PerMinute,
    /// So many to one.
    Ratio,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::PerSecond => "per second",
            Self::PerMinute => "bytes per minute",
            Self::Ratio => "to 1",
        })
    }
}

/// Who may change a limit; each level includes those above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// It is part of the program.
    Nobody,
    /// The platform's configuration: it holds for all workspaces together.
    Platform,
    /// The platform's configuration, and a workspace to something lower.
    Workspace,
    /// Those, and a connector's manifest: to less, or to more within the
    /// platform's ceiling and the workspace's value.
    Manifest,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::Platform => "platform",
            Self::Workspace => "platform, workspace",
            Self::Manifest => "platform, workspace, manifest",
        })
    }
}

/// What is known of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitInfo {
    /// Its name, as configuration, commands and errors write it.
    pub name: &'static str,
    /// Its value unless somebody says otherwise.
    pub default: u64,
    /// What it counts.
    pub unit: Unit,
    /// Who may change it.
    pub level: Level,
    /// What it limits.
    pub about: &'static str,
    /// What happens to what goes beyond it.
    pub beyond: &'static str,
}

/// Every limit: of calls, of workspaces and connectors, of the network, of the
/// API, and the constants.
pub fn table() -> impl Iterator<Item = &'static LimitInfo> {
    adjustable().chain(CONSTANTS)
}

/// Every limit that somebody may change.
pub(super) fn adjustable() -> impl Iterator<Item = &'static LimitInfo> {
    let of_calls = CallLimits::ROWS.iter();
    let of_guests = of_calls.chain(Quotas::ROWS).chain(NetworkLimits::ROWS);
    of_guests.chain(ApiLimits::ROWS)
}

/// The table as Markdown, for the documentation.
pub fn table_markdown() -> String {
    let mut out = String::from(
        "| limit | what | unit | default | who may change it | beyond it |\n|---|---|---|---|---|---|\n",
    );
    for row in table() {
        let LimitInfo {
            name,
            default,
            unit,
            level,
            about,
            beyond,
        } = row;
        let about = about.trim().trim_end_matches('.');
        // Writing to a String cannot fail.
        writeln!(
            out,
            "| `{name}` | {about} | {unit} | {} | {level} | {beyond} |",
            grouped(*default)
        )
        .unwrap_or_default();
    }
    out
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
