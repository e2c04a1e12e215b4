//! `keyway audit`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::args::{AuditVerb, Global};
use super::client::Client;
use super::output;
use crate::api::types::AuditLine;

/// How often `audit tail` asks for more.
const TAIL_PAUSE: Duration = Duration::from_millis(500);

pub(crate) fn run(global: &Global, verb: AuditVerb) -> Result<ExitCode> {
    match verb {
        AuditVerb::List { limit } => {
            let client = Client::new(global)?;
            let lines: Vec<AuditLine> =
                client.get(&client.scoped(&format!("audit?limit={limit}"))?)?;
            if global.json {
                output::json(&lines)?;
            } else {
                output::table(
                    [
                        "#",
                        "at",
                        "kind",
                        "operation",
                        "where",
                        "decision or outcome",
                    ],
                    lines.iter().map(row).collect(),
                    "There is no record yet.",
                );
            }
        }
        AuditVerb::Tail { count } => tail(global, count)?,
        AuditVerb::Export { out, key_out } => {
            let client = Client::new(global)?;
            let export = client.get_text(&client.scoped("audit/export")?)?;
            if let Some(path) = key_out {
                let key = client.get_text(&client.scoped("audit/key")?)?;
                std::fs::write(&path, key)
                    .with_context(|| format!("{}: cannot be written", path.display()))?;
            }
            match out {
                Some(path) => {
                    std::fs::write(&path, &export)
                        .with_context(|| format!("{}: cannot be written", path.display()))?;
                    output::say(format_args!(
                        "Wrote {} lines to {}.",
                        export.lines().count(),
                        path.display()
                    ));
                }
                None => output::exact(export.trim_end()),
            }
        }
        AuditVerb::Verify { file, key } => return verify(global, &file, &key),
    }
    Ok(ExitCode::SUCCESS)
}

fn tail(global: &Global, count: Option<u32>) -> Result<()> {
    let client = Client::new(global)?;
    let (mut after, mut left) = (None::<u64>, count);
    loop {
        let query = after.map_or("audit?limit=20".to_owned(), |after| {
            format!("audit?after={after}&limit=500")
        });
        let lines: Vec<AuditLine> = client.get(&client.scoped(&query)?)?;
        for line in &lines {
            if left == Some(0) {
                return Ok(());
            }
            left = left.map(|n| n - 1);
            after = Some(line.sequence);
            if global.json {
                output::say(serde_json::to_string(line)?);
            } else {
                output::say(row(line).join("  "));
            }
        }
        if left == Some(0) || output::is_closed() {
            return Ok(());
        }
        std::thread::sleep(TAIL_PAUSE);
    }
}

fn verify(global: &Global, file: &std::path::Path, key_path: &std::path::Path) -> Result<ExitCode> {
    let export = std::fs::read_to_string(file)
        .with_context(|| format!("{}: cannot be read", file.display()))?;
    let key: String = std::fs::read_to_string(key_path)
        .with_context(|| format!("{}: cannot be read", key_path.display()))?;
    let key: keyway_authz::log::VerifierKey = key
        .trim()
        .parse()
        .with_context(|| format!("{}: not a public key", key_path.display()))?;
    let verified = keyway_authz::log::verify(&export, &key);
    if global.json {
        let holds = verified.is_ok();
        output::json(&match verified {
            Ok(report) => serde_json::json!({
                "holds": true, "log": report.origin, "from": report.from, "size": report.size,
                "records": report.records, "erased": report.erased, "root": report.root.to_string(),
            }),
            Err(error) => serde_json::json!({ "holds": false, "why": error.to_string() }),
        })?;
        return Ok(match holds {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        });
    }
    match verified {
        Ok(report) => {
            output::say(format_args!("The log holds: {report}"));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            output::say(format_args!("The log does NOT hold: {error}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn row(line: &AuditLine) -> [String; 6] {
    let record = &line.record;
    let text = |pointer: &str| match record.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let place = record.get("target").map(flat).unwrap_or_default();
    let end = match record.get("decision") {
        Some(_) => [text("/decision"), text("/rule"), text("/reason")].join(" "),
        None => [
            text("/outcome"),
            text("/status"),
            text("/detail"),
            text("/ended"),
        ]
        .join(" "),
    };
    [
        line.sequence.to_string(),
        output::time(&text("/time")),
        line.kind.clone(),
        text("/operation"),
        place,
        end.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(100)
            .collect(),
    ]
}

/// The texts of a small object, in order.
fn flat(value: &Value) -> String {
    match value {
        Value::Object(fields) => fields
            .values()
            .map(flat)
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    }
}
