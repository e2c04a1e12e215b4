//! How a job moves on: each result is checked against the step whose turn it
//! is, journaled, and the place moved to the next open step.

use std::sync::Arc;

use keyway_model::limit::{ITERATIONS_MAX, JOB_STEPS_MAX, JOURNAL_BYTES_MAX};
use keyway_model::{Json, Timestamp};
use serde_json::Value;

use super::answer::{Done, Given};
use super::{Cause, Entry, Failed, Machine, MachineError, Outcome, Record, Reply, outcome};
use crate::definition::{Block, Work};

impl Machine {
    /// Takes one result of the component.
    pub(super) fn take_done(&mut self, done: Done, at: Timestamp) -> Result<(), MachineError> {
        self.expect_turn(&done.key)?;
        let Some(step) = self.cursor.step() else {
            return Err(MachineError::NoAction);
        };
        match (&step.work, done.given) {
            (Work::Action(_), Given::Input(input)) => {
                self.input = Some(input);
                Ok(())
            }
            (Work::Foreach { variable, body, .. }, Given::Items(items)) => {
                let (id, variable, body) =
                    (step.id.to_string(), variable.to_string(), Arc::clone(body));
                self.enter_foreach(&id, &variable, items, &body, at);
                Ok(())
            }
            (
                Work::Transform { .. } | Work::If { .. } | Work::Respond { .. } | Work::Stop { .. },
                Given::Output(output),
            ) => self.complete(output, at),
            _ => Err(MachineError::WrongResult { key: done.key }),
        }
    }

    fn enter_foreach(
        &mut self,
        id: &str,
        variable: &str,
        items: Json,
        body: &Block,
        at: Timestamp,
    ) {
        match items.elements() {
            Some(items) if items.len() <= ITERATIONS_MAX => {
                self.cursor.enter_foreach(id, variable, items, body);
                self.go_on(at);
            }
            Some(items) => {
                let text = format!(
                    "{} items, at most {ITERATIONS_MAX} (ITERATIONS_MAX)",
                    items.len()
                );
                self.fail(Cause::Limit(text), at);
            }
            None => {
                let text = "`foreach` needs a list; this is none";
                self.fail(Cause::Expression(text.to_owned()), at);
            }
        }
    }

    /// Ends the step at the cursor well, for the first time.
    pub(super) fn complete(&mut self, output: Json, at: Timestamp) -> Result<(), MachineError> {
        let Some(step) = self.cursor.step() else {
            return Err(MachineError::NoAction);
        };
        let (id, kind) = (step.id.to_string(), step.work.word());
        if let Work::Respond { .. } = step.work
            && let Err(why) = self.take_reply(&output)
        {
            self.fail(Cause::Reply(why), at);
            return Ok(());
        }
        let key = self.cursor.key(&id);
        let input = self.input.take();
        let record = Record::Completed {
            output: output.clone(),
        };
        let entry = self.entry(key, id, kind, record, input, at);
        self.fresh.push(entry);
        self.pass(output)?;
        self.keep_limits(at);
        self.go_on(at);
        Ok(())
    }

    fn take_reply(&mut self, output: &Json) -> Result<(), String> {
        if self.reply.is_some() {
            return Err("the job has replied before; let one `respond` run at most".to_owned());
        }
        self.reply = Some(Reply::of(output)?);
        Ok(())
    }

    /// Leaves the step at the cursor behind, now or at an earlier time.
    fn pass(&mut self, output: Json) -> Result<(), MachineError> {
        let Some(step) = self.cursor.step() else {
            return Err(MachineError::NoAction);
        };
        let id = step.id.to_string();
        let branch = match &step.work {
            Work::If {
                then, otherwise, ..
            } => match looked_into(&output).get("branch").and_then(Value::as_str) {
                Some("then") => Some(Arc::clone(then)),
                Some("else") => Some(Arc::clone(otherwise)),
                _ => {
                    return Err(MachineError::WrongResult {
                        key: self.cursor.key(&id),
                    });
                }
            },
            Work::Stop { outcome, .. } => {
                self.outcome = Some(outcome::stopped(
                    &self.cursor.key(&id),
                    &id,
                    *outcome,
                    &looked_into(&output),
                ));
                None
            }
            Work::Transform { .. }
            | Work::Action(_)
            | Work::Foreach { .. }
            | Work::Respond { .. } => None,
        };
        self.steps += 1;
        self.cursor.pass(&id, output);
        if let Some(block) = branch {
            self.cursor.enter_branch(&block);
        }
        Ok(())
    }

    /// Moves over everything that the journal already has, to the next step
    /// that is open, or to the end of the job.
    pub(super) fn go_on(&mut self, at: Timestamp) {
        while self.outcome.is_none() {
            if let Some(ended) = self.cursor.settle() {
                let output = list(&ended.outputs);
                let record = Record::Completed {
                    output: output.clone(),
                };
                let entry = self.entry(ended.key, ended.id.clone(), "foreach", record, None, at);
                self.fresh.push(entry);
                self.steps += 1;
                self.cursor.pass(&ended.id, output);
                self.keep_limits(at);
                continue;
            }
            let Some(step) = self.cursor.step() else {
                self.outcome = Some(Outcome::Succeeded { reason: None });
                return;
            };
            let key = self.cursor.key(step.id.as_str());
            let Some(output) = self.history.take(&key) else {
                return;
            };
            if self.pass(output).is_err() {
                let why = "the journal does not fit the recipe version";
                self.fail(Cause::Expression(why.to_owned()), at);
            }
        }
    }

    fn keep_limits(&mut self, at: Timestamp) {
        if self.outcome.is_some() {
            return;
        }
        if self.steps > JOB_STEPS_MAX {
            let text = format!("the job has run {JOB_STEPS_MAX} steps (JOB_STEPS_MAX)");
            self.fail(Cause::Limit(text), at);
        } else if self.bytes > JOURNAL_BYTES_MAX {
            let text =
                format!("the job's journal has {JOURNAL_BYTES_MAX} bytes (JOURNAL_BYTES_MAX)");
            self.fail(Cause::Limit(text), at);
        }
    }

    /// Ends the job at the step at the cursor.
    pub(super) fn fail(&mut self, cause: Cause, at: Timestamp) {
        let (id, kind) = self.cursor.step().map_or((String::new(), "job"), |step| {
            (step.id.to_string(), step.work.word())
        });
        let key = self.cursor.key(&id);
        let input = self.input.take();
        let record = Record::Failed {
            cause: cause.clone(),
        };
        let entry = self.entry(key.clone(), id.clone(), kind, record, input, at);
        self.fresh.push(entry);
        self.outcome = Some(Outcome::Failed(Failed {
            key,
            step: id,
            cause,
        }));
    }

    pub(super) fn entry(
        &mut self,
        key: String,
        step: String,
        kind: &str,
        record: Record,
        input: Option<Json>,
        at: Timestamp,
    ) -> Entry {
        let entry = Entry {
            position: self.position,
            key,
            step,
            kind: kind.to_owned(),
            record,
            input,
            at,
        };
        self.position = self.position.saturating_add(1);
        self.bytes = self.bytes.saturating_add(entry.bytes());
        entry
    }

    /// Refuses a result for anything but the step at the cursor.
    pub(super) fn expect_turn(&self, key: &str) -> Result<(), MachineError> {
        let turn = self
            .cursor
            .step()
            .map(|step| self.cursor.key(step.id.as_str()));
        let open = self.outcome.is_none();
        match turn {
            Some(turn) if open && turn == key => Ok(()),
            turn => Err(MachineError::OutOfTurn {
                key: key.to_owned(),
                turn: turn.unwrap_or_default(),
            }),
        }
    }
}

/// What the host itself reads of an output; nothing, if it cannot be read.
fn looked_into(output: &Json) -> Value {
    output.to_value().unwrap_or(Value::Null)
}

fn list(elements: &[Json]) -> Json {
    Json::of(&elements).expect("texts of JSON in a row are a list of JSON")
}
