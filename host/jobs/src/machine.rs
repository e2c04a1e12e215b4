//! One job as a state machine without I/O.
//!
//! [`Machine::next`] says what to do; the caller does it and tells the machine
//! with [`Machine::evaluated`] or [`Machine::acted`], which answer with the
//! journal entries to keep. A machine that is built again from those entries
//! goes on where the first one was: a completed step never runs again, and a
//! `once` action whose outcome is unknown is left to a person.

mod answer;
mod cursor;
mod entry;
mod facts;
mod history;
#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a stand-in for tests"
)]
pub(crate) mod oracle;
mod outcome;
mod progress;
mod reply;
mod rerun;
#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say what must be"
)]
mod tests;

use std::sync::Arc;

use keyway_model::{EffectClass, Failure, Json, Name, Timestamp};

use crate::definition::{Definition, Work};
use crate::segment;
use answer::Answer;
use history::History;

pub use answer::MachineError;
pub(crate) use cursor::Cursor;
pub use entry::{Cause, Entry, Record};
pub use facts::JobFacts;
pub use outcome::{Failed, Outcome, Review};
pub use reply::Reply;
pub use rerun::completed_before_failure;

/// One running job.
#[derive(Debug)]
pub struct Machine {
    trigger: Json,
    facts: JobFacts,
    cursor: Cursor,
    history: History,
    /// The input of the action at the cursor, once it is computed.
    input: Option<Json>,
    position: u32,
    steps: usize,
    bytes: usize,
    reply: Option<Reply>,
    outcome: Option<Outcome>,
    /// Entries that the caller does not have yet.
    fresh: Vec<Entry>,
}

/// What the caller is to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Run the expression component with this request, then call
    /// [`Machine::evaluated`].
    Evaluate {
        /// The request, as JSON text.
        request: String,
    },
    /// Call a connector, then call [`Machine::acted`]. Journal
    /// [`Machine::started`] first if the effect class does not repeat.
    Act(Act),
    /// Nothing; the job has ended.
    Finished {
        /// How.
        outcome: Outcome,
    },
}

/// One call of a connector's action.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// The step and its iteration.
    pub key: String,
    /// The step's id.
    pub step_id: String,
    /// The connector.
    pub connector: Name,
    /// The connector's action.
    pub action: Name,
    /// The connection to call it through.
    pub connection: Name,
    /// Whether all of input and output must not show.
    pub mask: bool,
    /// The input.
    pub input: Json,
    /// The same for every attempt at this step of this job.
    pub idempotency_key: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

impl Machine {
    /// A job of `definition` at the point where `journal` ends. A new job has
    /// an empty journal.
    pub fn new(
        definition: &Definition,
        trigger: Json,
        facts: JobFacts,
        journal: Vec<Entry>,
    ) -> Self {
        let position = journal
            .iter()
            .map(|entry| entry.position.saturating_add(1))
            .max();
        let bytes = journal.iter().map(Entry::bytes).sum();
        let reply = journal.iter().find_map(reply::of_entry);
        let (history, outcome) = History::of(journal);
        let mut machine = Self {
            cursor: Cursor::new(Arc::clone(&definition.steps)),
            trigger,
            facts,
            history,
            input: None,
            position: position.unwrap_or(0),
            steps: 0,
            bytes,
            reply,
            outcome,
            fresh: Vec::new(),
        };
        let at = machine.facts.started_at;
        machine.go_on(at);
        machine
    }

    /// What to do next. Asking changes nothing.
    pub fn next(&self) -> Result<Next, MachineError> {
        if let Some(outcome) = &self.outcome {
            return Ok(Next::Finished {
                outcome: outcome.clone(),
            });
        }
        if let Some(act) = self.act() {
            return Ok(Next::Act(act));
        }
        segment::request(&self.cursor, &self.trigger, &self.facts)
            .map(|request| Next::Evaluate { request })
            .map_err(MachineError::Unwritable)
    }

    /// Takes the component's answer and gives the entries to journal. After an
    /// error the machine is of no use; build it again from the journal.
    pub fn evaluated(&mut self, response: &str, at: Timestamp) -> Result<Vec<Entry>, MachineError> {
        let answer = Answer::parse(response)?;
        if answer.done.is_empty() && answer.error.is_none() {
            return Err(MachineError::NoProgress);
        }
        for done in answer.done {
            self.take_done(done, at)?;
            if self.outcome.is_some() {
                // The component does not know of limits and of an earlier
                // reply; what it did after the job's end counts for nothing.
                return Ok(std::mem::take(&mut self.fresh));
            }
        }
        if let Some(error) = answer.error {
            self.expect_turn(&error.key)?;
            self.fail(Cause::Expression(error.message), at);
        }
        Ok(std::mem::take(&mut self.fresh))
    }

    /// The mark to journal before the action at hand is called.
    pub fn started(&mut self, effect: EffectClass, at: Timestamp) -> Result<Entry, MachineError> {
        let Some(act) = self.act() else {
            return Err(MachineError::NoAction);
        };
        // A mark that may be the last word on an effect shows what was tried.
        let input = (!effect.repeats()).then_some(act.input);
        let record = Record::Started {
            effect,
            attempt: act.attempt,
        };
        Ok(self.entry(act.key, act.step_id, "action", record, input, at))
    }

    /// Takes what came of the action `key` and gives the entries to journal.
    pub fn acted(
        &mut self,
        key: &str,
        result: Result<Json, Failure>,
        at: Timestamp,
    ) -> Result<Vec<Entry>, MachineError> {
        self.expect_turn(key)?;
        if self.input.is_none() {
            return Err(MachineError::NoAction);
        }
        match result {
            Ok(output) => self.complete(output, at)?,
            Err(failure) => self.fail(Cause::Action(failure), at),
        }
        Ok(std::mem::take(&mut self.fresh))
    }

    /// Ends the job at the step at hand, because its expressions cannot be
    /// evaluated at all; gives the entries to journal.
    pub fn unevaluable(&mut self, why: impl Into<String>, at: Timestamp) -> Vec<Entry> {
        self.fail(Cause::Expression(why.into()), at);
        std::mem::take(&mut self.fresh)
    }

    /// Ends the job at the step at hand, because it is over a limit that others
    /// share; gives the entries to journal.
    pub fn over(&mut self, why: impl Into<String>, at: Timestamp) -> Vec<Entry> {
        self.fail(Cause::Limit(why.into()), at);
        std::mem::take(&mut self.fresh)
    }

    /// What the job holds, in bytes of JSON: its event, and what its steps took and
    /// gave.
    pub fn bytes(&self) -> usize {
        self.trigger.text().len().saturating_add(self.bytes)
    }

    /// The reply for the webhook's caller, as soon as it is known.
    pub const fn reply(&self) -> Option<&Reply> {
        self.reply.as_ref()
    }

    /// How the job ended, if it has.
    pub const fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    fn act(&self) -> Option<Act> {
        let step = self.cursor.step()?;
        let Work::Action(action) = &step.work else {
            return None;
        };
        let key = self.cursor.key(step.id.as_str());
        Some(Act {
            step_id: step.id.to_string(),
            connector: action.connector.clone(),
            action: action.action.clone(),
            connection: action.connection.clone(),
            mask: action.mask,
            input: self.input.clone()?,
            idempotency_key: self.facts.idempotency_key(&key),
            attempt: self.history.attempts(&key).saturating_add(1),
            key,
        })
    }
}
