//! A job that is durable already goes on: after a restart, a stall, a poll or a
//! rerun, from what its journal says.

use std::sync::Arc;

use keyway_model::{JobId, Scope};
use keyway_store::StoreError;
use tokio::sync::oneshot;

use crate::accepted::Answer;
use crate::driver::{DriveError, Jobs, Run, STALL_PAUSE};
use crate::job::JobRecord;
use crate::journal::read_journal;
use crate::live::Room;
use crate::machine::{Entry, Machine};

impl Jobs {
    /// Starts a job that is durable already, with the room that was taken for it
    /// before it was: one that a poll or a rerun made.
    ///
    /// # Errors
    ///
    /// [`DriveError`], if what is stored of it cannot be read.
    pub async fn resume(
        self: &Arc<Self>,
        scope: Scope,
        id: JobId,
        room: Room,
    ) -> Result<(), DriveError> {
        let run = self.rebuild(scope, id, None).await?;
        self.spawn(Run { room, ..run });
        Ok(())
    }

    /// Starts a job that had not ended when this node did, whatever room there
    /// is, and tries again while the store cannot be read.
    pub async fn resume_surely(self: &Arc<Self>, scope: Scope, id: JobId) {
        if self.live.contains(id) {
            return;
        }
        if let Some(run) = self.rebuilt(scope, id).await {
            self.spawn(run);
        }
    }

    /// A run as its journal says. It is durable, so it takes its room without asking.
    pub(crate) async fn rebuild(
        &self,
        scope: Scope,
        id: JobId,
        caller: Option<oneshot::Sender<Answer>>,
    ) -> Result<Run, DriveError> {
        let store = self.gate.store().tenant(scope);
        let record: JobRecord = store.job_record(id).await?;
        let rows = read_journal(&store, id).await?;
        let journal: Vec<Entry> = rows.into_iter().map(|row| row.entry).collect();
        let view = self.gate.registry().view(scope);
        let recipe = view
            .recipe_by_id(record.recipe)
            .ok_or(DriveError::NoRecipe)?;
        let definition = self.definition(scope, recipe, record.version).await?;
        let machine = Machine::new(
            &definition,
            record.trigger.clone(),
            record.facts(id),
            journal,
        );
        let room = self.live.room_anyway(scope.tenant, machine.bytes() as u64);
        let active = self.active(scope, record.recipe);
        Ok(Run {
            scope,
            id,
            record,
            owner: recipe.owner,
            unit: self.gate.store().unit(scope),
            definition,
            machine,
            lines: Vec::new(),
            caller,
            unsure: None,
            room,
            active,
        })
    }

    /// As [`Jobs::rebuild`], again and again while the store cannot be read;
    /// `None` if the job is not there, or what is stored of it is no job.
    pub(crate) async fn rebuilt(&self, scope: Scope, id: JobId) -> Option<Run> {
        loop {
            match self.rebuild(scope, id, None).await {
                Ok(run) => return Some(run),
                Err(DriveError::Store(error)) if !matches!(error, StoreError::NotFound(_)) => {
                    tracing::warn!(job = %id, %error, "a job cannot be read; trying again");
                }
                Err(error) => {
                    tracing::error!(job = %id, %error, "a job cannot be read");
                    return None;
                }
            }
            tokio::time::sleep(STALL_PAUSE).await;
        }
    }
}
