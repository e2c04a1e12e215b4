//! A job as people may see it: every labelled value masked, wherever in the
//! job it shows up.

use std::collections::HashMap;

use keyway_gate::resource::RecipeRecord;
use keyway_gate::{Ended, Seen, View};
use keyway_ipc::CallOutcome;
use keyway_jobs::Record;
use keyway_jobs::definition::{Definition, Work};
use keyway_jobs::job::{JobRecord, JournalRow};
use keyway_jobs::labels::{Collector, Labels, Mask, MaskError};
use keyway_model::Failure;
use keyway_model::manifest::{Action, SensitivePaths};
use keyway_model::recipe::{Pointer, Trigger};
use serde_json::Value;

use crate::api::types::{Job, JobDetail, JobStep};

/// A job and what says which of its values are labelled.
pub(super) struct Shown<'a> {
    pub(super) view: &'a View,
    pub(super) recipe: Option<&'a RecipeRecord>,
    pub(super) job: Job,
    pub(super) record: &'a JobRecord,
    pub(super) rows: &'a [JournalRow],
}

/// The labels of one step.
struct StepLabels {
    input: Labels,
    output: Labels,
}

impl Shown<'_> {
    /// The job, masked. Where its labels cannot be known, nothing is shown.
    pub(super) fn masked(self) -> JobDetail {
        let definition = self
            .recipe
            .and_then(|recipe| Definition::from_json(&recipe.definition).ok());
        let trigger_labels = definition
            .as_ref()
            .map_or_else(Labels::whole, |definition| self.trigger_labels(definition));
        let labels: Vec<StepLabels> = self
            .rows
            .iter()
            .map(|row| self.labels_of(definition.as_ref(), row))
            .collect();
        let Some((trigger, values)) = self.values() else {
            return self.nothing();
        };
        let mut collector = Collector::default();
        collector.learn(&trigger, &trigger_labels);
        for (values, labels) in values.iter().zip(&labels) {
            if let Some(input) = &values.input {
                collector.learn(input, &labels.input);
            }
            if let Some(output) = &values.output {
                collector.learn(output, &labels.output);
            }
        }
        let Ok(mask) = collector.into_mask() else {
            return self.nothing();
        };
        let last = last_of_each(self.rows);
        let steps = self
            .rows
            .iter()
            .zip(values.iter().zip(&labels))
            .filter(|(row, _)| !is_superseded(row, &last))
            .map(|(row, (values, labels))| step(row, values, labels, &mask))
            .collect();
        let reply = self
            .rows
            .iter()
            .zip(&values)
            .find(|(row, _)| row.entry.kind == "respond")
            .and_then(|(_, values)| values.output.as_ref());
        let mut job = self.job;
        job.failure = job.failure.map(|text| mask.text(&text));
        JobDetail {
            job,
            trigger: mask.view(&trigger, &trigger_labels),
            steps,
            reply: reply.map(|reply| mask.view(reply, &Labels::default())),
        }
    }

    /// What the trigger and each row hold; `None` if any of it cannot be read,
    /// for then its labels cannot be found.
    fn values(&self) -> Option<(Value, Vec<Values>)> {
        let rows = self.rows.iter().map(|row| {
            let output = match &row.entry.record {
                Record::Completed { output } => Some(output.to_value()?),
                Record::Started { .. } | Record::Failed { .. } => None,
            };
            let input = match &row.entry.input {
                Some(input) => Some(input.to_value()?),
                None => None,
            };
            Some(Values { input, output })
        });
        let rows = rows.collect::<Option<_>>()?;
        Some((self.record.trigger.to_value()?, rows))
    }

    /// The job without any of its values, and without words of the outside.
    fn nothing(self) -> JobDetail {
        let mut job = self.job;
        job.failure = job.failure.and(Some(
            "the job's values are nested too deeply to be masked, so none of them is shown"
                .to_owned(),
        ));
        JobDetail {
            job,
            trigger: Value::Null,
            steps: Vec::new(),
            reply: None,
        }
    }

    /// From the recipe's own list, or from the schema of the poll trigger.
    fn trigger_labels(&self, definition: &Definition) -> Labels {
        match &definition.trigger {
            Trigger::Webhook(webhook) => {
                let pointers = webhook.sensitive.iter();
                Labels::at(pointers.filter_map(|pointer| format!("/body{pointer}").parse().ok()))
            }
            Trigger::Poll(poll) => {
                let connector = self.view.installed_last(&poll.connector);
                let declared = connector.and_then(|c| c.manifest.triggers.get(&poll.trigger));
                declared.map_or_else(Labels::whole, |trigger| {
                    trigger
                        .output
                        .as_ref()
                        .map_or_else(Labels::default, |schema| {
                            let patterns = schema.sensitive.patterns();
                            Labels::at(patterns.filter_map(|p| format!("/body{p}").parse().ok()))
                        })
                })
            }
        }
    }

    /// From the schemas of the action, and from `mask: true`.
    fn labels_of(&self, definition: Option<&Definition>, row: &JournalRow) -> StepLabels {
        let whole = || StepLabels {
            input: Labels::whole(),
            output: Labels::whole(),
        };
        let Some(step) = definition.and_then(|definition| definition.step(&row.entry.step)) else {
            return whole();
        };
        let Work::Action(action) = &step.work else {
            return StepLabels {
                input: Labels::default(),
                output: Labels::default(),
            };
        };
        if action.mask {
            return whole();
        }
        let connector = match &row.connector {
            Some((digest, _)) => self.view.connector(digest),
            None => self.view.installed_last(&action.connector),
        };
        let Some(declared) = connector.and_then(|c| c.manifest.actions.get(&action.action)) else {
            return whole();
        };
        labels_of_action(declared)
    }
}

/// The last place of each step in the journal.
fn last_of_each(rows: &[JournalRow]) -> HashMap<&str, u32> {
    let mut last = HashMap::with_capacity(rows.len());
    for row in rows {
        let place = last.entry(row.entry.key.as_str()).or_default();
        *place = row.entry.position.max(*place);
    }
    last
}

/// Whether a row only marks the start of a step whose end is there, too.
fn is_superseded(row: &JournalRow, last: &HashMap<&str, u32>) -> bool {
    let marks = matches!(row.entry.record, Record::Started { .. });
    let later = last.get(row.entry.key.as_str());
    marks && later.is_some_and(|place| *place > row.entry.position)
}

/// Bytes of a body that are shown.
const BODY_BYTES_SHOWN: usize = 4 << 10;

/// What a guest did, without labelled values.
fn masked_seen(mut seen: Seen, mask: &Mask) -> Seen {
    for line in &mut seen.log {
        line.message = mask.text(&line.message);
    }
    for request in &mut seen.requests {
        request.url = mask.text(&request.url);
        request.failed = request.failed.take().map(|text| mask.text(&text));
        if let Some(bodies) = &mut request.bodies {
            bodies.request = cut(mask.text(&bodies.request));
            bodies.reply = cut(mask.text(&bodies.reply));
        }
    }
    for denial in &mut seen.denials {
        denial.asked = mask.text(&denial.asked);
        denial.remedy = mask.text(&denial.remedy);
    }
    seen
}

/// The beginning of a text that was masked: not before, or half a labelled
/// value could be left.
fn cut(mut text: String) -> String {
    let end = text.floor_char_boundary(BODY_BYTES_SHOWN);
    if end < text.len() {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A call of one action without a recipe, as people may see it.
pub(crate) fn masked_call(
    action: &Action,
    input: &Value,
    ended: Ended,
) -> Result<Ended, MaskError> {
    let labels = labels_of_action(action);
    let output = match &ended.outcome {
        CallOutcome::Value(json) => serde_json::from_str::<Value>(json).ok(),
        CallOutcome::Failure(_)
        | CallOutcome::LogicError(_)
        | CallOutcome::Trap(_)
        | CallOutcome::Batch(_) => None,
    };
    let is_known = output.is_some();
    let mut collector = Collector::default();
    collector.learn(input, &labels.input);
    if let Some(output) = &output {
        collector.learn(output, &labels.output);
    }
    let mask = collector.into_mask()?;
    let text = |text: String| mask.text(&text);
    let outcome = match (ended.outcome, output) {
        (CallOutcome::Value(_), Some(output)) => {
            CallOutcome::Value(mask.view(&output, &labels.output).to_string())
        }
        (CallOutcome::Value(_), None) => CallOutcome::Failure(Failure::Permanent(
            "the connector's answer is not JSON, or is nested too deeply".to_owned(),
        )),
        (CallOutcome::Failure(failure), _) => CallOutcome::Failure(failure.map_message(text)),
        (CallOutcome::LogicError(error), _) => CallOutcome::LogicError(text(error)),
        (CallOutcome::Trap(keyway_ipc::Trap::Guest(fault)), _) => {
            CallOutcome::Trap(keyway_ipc::Trap::Guest(text(fault)))
        }
        (other, _) => other,
    };
    let mut seen = masked_seen(ended.seen, &mask);
    if !labels.output.is_empty() && !is_known {
        // What is labelled in the reply is not known: the guest did not give it.
        for bodies in seen.requests.iter_mut().filter_map(|r| r.bodies.as_mut()) {
            bodies.reply = "•••".to_owned();
        }
    }
    Ok(Ended {
        outcome,
        seen,
        ..ended
    })
}

fn labels_of_action(action: &Action) -> StepLabels {
    let output = action.output.as_ref();
    StepLabels {
        input: labels_in(&action.input.sensitive),
        output: output.map_or_else(Labels::default, |schema| labels_in(&schema.sensitive)),
    }
}

fn labels_in(paths: &SensitivePaths) -> Labels {
    Labels::at(
        paths
            .patterns()
            .filter_map(|pattern| pattern.parse::<Pointer>().ok()),
    )
}

/// What a row of the journal holds.
struct Values {
    input: Option<Value>,
    output: Option<Value>,
}

fn step(row: &JournalRow, values: &Values, labels: &StepLabels, mask: &Mask) -> JobStep {
    let entry = &row.entry;
    let view = |value: &Option<Value>, labels| value.as_ref().map(|value| mask.view(value, labels));
    let (state, failure) = match &entry.record {
        Record::Completed { .. } => ("done", None),
        Record::Failed { cause } => (
            "failed",
            Some(mask.text(&format!("{}: {}", cause.kind(), cause.message()))),
        ),
        Record::Started { .. } => ("started", None),
    };
    let seen = row.seen.clone().map(|seen| masked_seen(seen, mask));
    JobStep {
        key: entry.key.clone(),
        kind: entry.kind.clone(),
        state: state.to_owned(),
        input: view(&values.input, &labels.input),
        output: view(&values.output, &labels.output),
        failure,
        seen,
        at: entry.at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use keyway_jobs::Entry;
    use keyway_model::{EffectClass, Json, Timestamp};

    use super::*;

    fn row(position: u32, key: &str, record: Record) -> JournalRow {
        let (connector, seen) = (None, None);
        JournalRow {
            entry: Entry {
                position,
                key: key.to_owned(),
                step: key.to_owned(),
                kind: "action".to_owned(),
                record,
                input: None,
                at: Timestamp::from_micros(0),
            },
            connector,
            seen,
        }
    }

    #[test]
    fn a_start_is_shown_until_its_steps_end_is_there() {
        let started = Record::Started {
            effect: EffectClass::Once,
            attempt: 1,
        };
        let output = Json::from(serde_json::json!(1));
        let rows = [
            row(0, "ended", started.clone()),
            row(1, "under-way", started),
            row(2, "ended", Record::Completed { output }),
        ];
        let last = last_of_each(&rows);
        let is_superseded = rows.each_ref().map(|row| is_superseded(row, &last));
        assert_eq!(is_superseded, [true, false, false]);
    }
}
