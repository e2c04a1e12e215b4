//! What a journal says about the steps that are yet to be passed.

use std::collections::HashMap;

use keyway_model::Json;

use super::entry::{Entry, Record};
use super::outcome::{Failed, Outcome, Review};

/// The outputs of completed steps and the attempts at others, by key.
#[derive(Debug, Default)]
pub(super) struct History {
    completed: HashMap<String, Json>,
    attempts: HashMap<String, u32>,
}

impl History {
    /// The history in `journal`, and the job's outcome if it has ended: at a
    /// step that failed, or at a `once` action whose outcome nobody knows.
    pub(super) fn of(journal: Vec<Entry>) -> (Self, Option<Outcome>) {
        let mut history = Self::default();
        let mut unknown: Option<Review> = None;
        let mut failed: Option<Failed> = None;
        for Entry {
            key, step, record, ..
        } in journal
        {
            match record {
                Record::Started { effect, attempt } => {
                    let attempts = history.attempts.entry(key.clone()).or_default();
                    *attempts = attempt.max(*attempts);
                    if !effect.repeats() {
                        unknown = Some(Review { key, step, attempt });
                    }
                }
                Record::Completed { output } => {
                    unknown = unknown.filter(|review| review.key != key);
                    history.completed.insert(key, output);
                }
                Record::Failed { cause } => {
                    unknown = unknown.filter(|review| review.key != key);
                    failed = Some(Failed { key, step, cause });
                }
            }
        }
        let outcome = failed.map(Outcome::Failed).or(unknown.map(Outcome::Review));
        (history, outcome)
    }

    /// The output of the completed step `key`, once.
    pub(super) fn take(&mut self, key: &str) -> Option<Json> {
        self.completed.remove(key)
    }

    /// How often the action `key` was started.
    pub(super) fn attempts(&self, key: &str) -> u32 {
        self.attempts.get(key).copied().unwrap_or(0)
    }
}
