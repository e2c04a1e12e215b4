//! A job that was accepted: what its caller can wait for.

use keyway_model::{JobId, JobState};
use keyway_store::{TenantStore, Unit};
use tokio::sync::oneshot;

use crate::driver::{DriveError, Run};
use crate::job::JobRecord;
use crate::machine::Reply;

/// What the caller of a webhook is told.
#[derive(Debug)]
pub enum Answer {
    /// The recipe's own reply, after it is durable.
    Reply(Reply),
    /// The job ended without a reply.
    Ended(JobState),
}

/// A job that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The job.
    pub id: JobId,
    /// The answer, if the recipe gives one; else the event is durable now.
    pub answer: Option<oneshot::Receiver<Answer>>,
    pub(crate) unit: Unit,
}

impl Accepted {
    /// Waits until the event is durable, for a caller that is told so before
    /// the answer.
    ///
    /// # Errors
    ///
    /// [`DriveError`]; then it may be lost.
    pub async fn make_durable(&self, store: &TenantStore) -> Result<(), DriveError> {
        self.unit.commit().await?;
        // What another task took out of the unit may still be on its way.
        let durable: Result<JobRecord, _> = store.job_record(self.id).await;
        Ok(durable.map(drop)?)
    }
}

/// Tells the caller how the job ended.
pub(crate) fn answer(run: &mut Run, state: JobState) {
    let reply = run.machine.reply().cloned();
    tell(run, reply.map_or(Answer::Ended(state), Answer::Reply));
}

/// Tells the caller; one that has gone away misses the answer, not the job.
pub(crate) fn tell(run: &mut Run, answer: Answer) {
    if let Some(caller) = run.caller.take() {
        drop(caller.send(answer));
    }
}
