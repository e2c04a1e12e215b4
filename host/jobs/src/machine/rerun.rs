//! How a new job goes on for one that failed.

use super::entry::{Entry, Record};

/// The journal with which a rerun from the failed step starts: every completed
/// step of `journal`, so that none of them runs again. The new job takes the
/// old one's origin (see [`super::JobFacts`]) and its recipe version.
///
/// A rerun from the trigger starts with an empty journal and its own origin.
pub fn completed_before_failure(journal: &[Entry]) -> Vec<Entry> {
    let completed = journal.iter().filter(|entry| match entry.record {
        // A `stop` ended the job; going on means to come to it again.
        Record::Completed { .. } => entry.kind != "stop",
        Record::Started { .. } | Record::Failed { .. } => false,
    });
    let numbered = completed.cloned().zip(0..);
    numbered
        .map(|(entry, position)| Entry { position, ..entry })
        .collect()
}
