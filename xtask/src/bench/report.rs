//! What was measured, as a table for people and as JSON for programs.

use serde_json::{Value, json};

use super::RUNS_MIN;
use super::figure::{FIGURES, Figure};
use super::measure::Measured;

/// A figure and what came of it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) figure: &'static Figure,
    pub(crate) measured: anyhow::Result<Measured>,
}

impl Row {
    fn verdict(&self) -> &'static str {
        match &self.measured {
            Err(_) => "failed",
            Ok(it) if self.figure.target.is_met(it.value, it.bound_value) => "ok",
            Ok(_) => "short",
        }
    }
}

/// Prints the names and what each must reach.
pub(crate) fn list() {
    for figure in &FIGURES {
        println!(
            "{:<11} {:<7} {:<9} of {}",
            figure.name,
            figure.unit,
            figure.target.to_string(),
            figure.bound
        );
    }
}

/// Prints the table.
pub(crate) fn table(rows: &[Row], runs: usize) {
    println!(
        "\n{:<11} {:>10} {:<7} {:<35} {:>11} {:>7}  {:<9} verdict",
        "name", "value", "unit", "bound", "bound_value", "ratio", "target"
    );
    for row in rows {
        let figure = row.figure;
        let numbers = match &row.measured {
            Ok(it) => [it.value, it.bound_value, it.ratio()].map(shown),
            Err(_) => [const { String::new() }; 3].map(|_: String| "-".to_owned()),
        };
        let [value, bound_value, ratio] = numbers;
        println!(
            "{:<11} {value:>10} {:<7} {:<35} {bound_value:>11} {ratio:>7}  {:<9} {}",
            figure.name,
            figure.unit,
            figure.bound,
            figure.target.to_string(),
            row.verdict(),
        );
    }
    println!(
        "\nMedians of {runs} alternating runs; load generator, upstream and both sides share this machine's cores."
    );
    if runs < RUNS_MIN {
        println!("Fewer than {RUNS_MIN} runs: a try, not a measurement.");
    }
}

/// The same as one JSON object per name.
pub(crate) fn json(rows: &[Row]) -> Value {
    let object = rows.iter().map(|row| {
        let mut entry = json!({
            "unit": row.figure.unit,
            "bound": row.figure.bound,
            "target": row.figure.target.to_string(),
            "verdict": row.verdict(),
        });
        if let (Value::Object(entry), Ok(it)) = (&mut entry, &row.measured) {
            entry.insert("value".into(), json!(it.value));
            entry.insert("bound_value".into(), json!(it.bound_value));
            entry.insert("ratio".into(), json!(it.ratio()));
        }
        (row.figure.name.to_owned(), entry)
    });
    Value::Object(object.collect())
}

/// Three digits that matter, without an exponent.
fn shown(number: f64) -> String {
    match number.abs() {
        big if big >= 100.0 => format!("{number:.0}"),
        middle if middle >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}
