//! How a new job goes on for one that failed.

use super::entry::{Entry, Record};
use crate::job::JournalRow;

/// The rows with which a rerun from the failed step starts: those of every
/// completed step of a journal, so that none of them runs again. The new job
/// takes the old one's origin (see [`super::JobFacts`]) and its recipe version.
///
/// A rerun from the trigger starts with an empty journal and its own origin.
pub fn completed_before_failure(mut rows: Vec<JournalRow>) -> Vec<JournalRow> {
    rows.retain(|row| stays(&row.entry));
    for (row, position) in rows.iter_mut().zip(0..) {
        row.entry.position = position;
    }
    rows
}

fn stays(entry: &Entry) -> bool {
    match entry.record {
        // A `stop` ended the job; going on means to come to it again.
        Record::Completed { .. } => entry.kind != "stop",
        Record::Started { .. } | Record::Failed { .. } => false,
    }
}
