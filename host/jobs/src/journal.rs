//! A job's journal. Lines gather in the run, and are written as one page,
//! sealed at once, before anything that must come after them: a call, a wait,
//! a reply, the job's end.

use keyway_model::{Digest, JobId, Name};
use keyway_store::{StoreError, TenantStore};
use serde::{Deserialize, Serialize};

use crate::driver::{DriveError, Jobs, Run};
use crate::job::JournalRow;
use crate::machine::Entry;

/// What one row of the store holds: consecutive lines of a journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JournalPage(pub Vec<JournalRow>);

/// What a line says beside the machine's entry.
pub(crate) struct About {
    pub(crate) connector: (Digest, Name),
    pub(crate) seen: keyway_gate::Seen,
}

impl JournalPage {
    /// The position of its first line, under which it is stored.
    pub fn position(&self) -> u32 {
        self.0.first().map_or(0, |row| row.entry.position)
    }
}

/// A job's journal as far as it is durable, in order.
///
/// # Errors
///
/// When it cannot be read or opened.
pub async fn read_journal(store: &TenantStore, job: JobId) -> Result<Vec<JournalRow>, StoreError> {
    let pages: Vec<JournalPage> = store.journal(job).await?;
    Ok(pages.into_iter().flat_map(|page| page.0).collect())
}

impl Run {
    /// Adds lines to the journal; they are written with the next page.
    pub(crate) fn journal(&mut self, entries: Vec<Entry>, mut about: Option<About>) {
        self.lines.extend(entries.into_iter().map(|entry| {
            let (connector, seen) = about
                .take()
                .map(|about| (about.connector, about.seen))
                .unzip();
            JournalRow {
                entry,
                connector,
                seen,
            }
        }));
    }
}

impl Jobs {
    /// Puts the lines that gathered into the run's unit of work.
    pub(crate) async fn write_journal(&self, run: &mut Run) -> Result<(), DriveError> {
        if run.lines.is_empty() {
            return Ok(());
        }
        let page = JournalPage(std::mem::take(&mut run.lines));
        let store = self.gate.store().tenant(run.scope);
        run.unit
            .push(store.journal_row(run.id, page.position(), &page).await?);
        Ok(())
    }
}
