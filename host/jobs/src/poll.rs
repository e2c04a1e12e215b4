//! Poll triggers: ask a connector for new things, and make each a job, once.
//!
//! A de-duplication key and its job are one transaction, and the cursor moves with
//! the last of them: after a crash a poll is asked again from the same cursor, and
//! what was seen is known.

use std::collections::HashMap;
use std::sync::Arc;

use keyway_gate::resource::RecipeRecord;
use keyway_gate::{Basis, Purpose, Unfit};
use keyway_ipc::{CallOutcome, Entrance, PollBatch, PollEvent};
use keyway_model::limit::{POLL_EVENTS_MAX, POLL_KEY_BYTES_MAX};
use keyway_model::recipe::{Poll, Trigger};
use keyway_model::{InvocationId, JobId, Scope};
use serde_json::{Value, json};

use crate::definition::Definition;
use crate::driver::{DriveError, Jobs};
use crate::job::JobRecord;

/// Events of one poll, at most.
const EVENTS_MAX: usize = POLL_EVENTS_MAX;

/// Bytes of a de-duplication key, at most.
const KEY_BYTES_MAX: usize = POLL_KEY_BYTES_MAX;

/// How one poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// So many new jobs, and nothing more at once.
    Done(usize),
    /// So many new jobs, and more at once.
    More(usize),
}

/// Why a poll gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PollError {
    /// The connector, the connection or the approval is not there.
    #[error("{0}")]
    NotReady(String),
    /// The connector failed.
    #[error("the trigger failed: {0}")]
    Failed(String),
    /// The store or a defect.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

impl Jobs {
    /// Polls once.
    ///
    /// # Errors
    ///
    /// [`PollError`]; then the cursor is where it was.
    pub async fn poll_once(
        self: &Arc<Self>,
        scope: Scope,
        recipe: &RecipeRecord,
    ) -> Result<Polled, PollError> {
        let poll = poll_of(recipe)
            .ok_or_else(|| PollError::NotReady("the recipe has no poll trigger".to_owned()))?;
        // Nothing is asked for while nothing could be made of the answer.
        drop(self.room(scope, 0)?);
        let store = self.gate.store().tenant(scope);
        let cursor: Option<String> = store
            .poll_cursor(recipe.id)
            .await
            .map_err(DriveError::from)?;
        let batch = self.ask(scope, recipe, &poll, cursor).await?;
        let new = self.make_jobs(scope, recipe, &batch).await?;
        Ok(if batch.more {
            Polled::More(new)
        } else {
            Polled::Done(new)
        })
    }

    /// Makes each event a job that was none before, as many at a time as there is
    /// room for. The cursor moves with the last of them: if there is no room for
    /// all, the next poll brings them again, and those that are jobs are known.
    async fn make_jobs(
        self: &Arc<Self>,
        scope: Scope,
        recipe: &RecipeRecord,
        batch: &PollBatch,
    ) -> Result<usize, PollError> {
        let store = self.gate.store().tenant(scope);
        let mut events = batch.events.as_slice();
        let mut new = 0;
        loop {
            let mut rooms = HashMap::new();
            let unit = self.gate.store().unit(scope);
            while let Some((event, rest)) = events.split_first() {
                let (id, record) = self.job_of(recipe, event)?;
                match self.room(scope, record.trigger.text().len()) {
                    Ok(room) => drop(rooms.insert(id, room)),
                    Err(error) if rooms.is_empty() => return Err(PollError::Drive(error)),
                    Err(_) => break,
                }
                let change = store
                    .job_if_new(&event.deduplication_key, id, record.of(), &record)
                    .await;
                unit.push(change.map_err(DriveError::from)?);
                events = rest;
            }
            if events.is_empty() {
                let change = store
                    .set_poll_cursor(recipe.id, batch.cursor.as_deref())
                    .await;
                unit.push(change.map_err(DriveError::from)?);
            }
            let jobs = unit.commit_new_jobs().await.map_err(DriveError::from)?;
            new += jobs.len();
            for id in jobs {
                if let Some(room) = rooms.remove(&id) {
                    self.resume(scope, id, room).await?;
                }
            }
            if events.is_empty() {
                return Ok(new);
            }
        }
    }

    async fn ask(
        &self,
        scope: Scope,
        recipe: &RecipeRecord,
        poll: &Poll,
        cursor: Option<String>,
    ) -> Result<PollBatch, PollError> {
        let view = self.gate.registry().view(scope);
        let not_ready = |what: String| PollError::NotReady(what);
        let connection = view
            .connection(&poll.connection)
            .ok_or_else(|| not_ready(format!("there is no connection `{}`", poll.connection)))?;
        let (connector, _) = view
            .running(&poll.connector, self.gate.clock().now())
            .map_err(|error| not_ready(error.to_string()))?;
        let purpose = Purpose::Trigger(poll.trigger.clone());
        let entrance = Entrance::Poll {
            name: poll.trigger.to_string(),
            input: poll.input.to_string(),
            cursor,
        };
        let limits = self.gate.limits(scope, &connector.manifest.limits);
        let taken = connector.takes(&purpose, &entrance, &limits.call);
        let mut actor = crate::act::direct_actor(recipe.owner, connector, poll.trigger.as_str());
        actor.recipe = Some((recipe.id, recipe.version));
        actor.invocation = Some(InvocationId::random());
        let basis = Basis {
            scope,
            connector: Arc::clone(connector),
            connection: Arc::clone(connection),
            purpose,
            actor,
        };
        let unit = self.gate.store().unit(scope);
        if let Err(unfit) = taken {
            self.gate.record_unfit(&basis, &unit, &unfit);
            unit.commit().await.map_err(DriveError::from)?;
            return Err(match unfit {
                Unfit::TooLong(trap) => PollError::Failed(trap.to_string()),
                Unfit::TooDeep | Unfit::Schema(_) => not_ready(unfit.to_string()),
            });
        }
        let invocation = self
            .gate
            .open(basis, unit.clone(), None)
            .map_err(|e| not_ready(e.to_string()))?;
        let ended = self.runner.run(&invocation, entrance).await;
        invocation.active().end();
        unit.commit().await.map_err(DriveError::from)?;
        match ended.outcome {
            CallOutcome::Batch(batch) => checked(batch),
            CallOutcome::Failure(failure) => Err(PollError::Failed(failure.to_string())),
            CallOutcome::Trap(trap) => Err(PollError::Failed(trap.to_string())),
            CallOutcome::Value(_) | CallOutcome::LogicError(_) => Err(PollError::Failed(
                "the trigger did not answer with events".to_owned(),
            )),
        }
    }

    fn job_of(
        &self,
        recipe: &RecipeRecord,
        event: &PollEvent,
    ) -> Result<(JobId, JobRecord), PollError> {
        let body: Value = serde_json::from_str(&event.payload)
            .map_err(|error| PollError::Failed(format!("an event is not JSON: {error}")))?;
        let accepted_at = self.gate.clock().now();
        let id = JobId::at(accepted_at);
        let record = JobRecord {
            recipe: recipe.id,
            name: recipe.name.clone(),
            version: recipe.version,
            trigger: json!({ "body": body, "key": event.deduplication_key }).into(),
            accepted_at,
            keys_of: id,
            reruns: None,
        };
        Ok((id, record))
    }
}

/// A poll's answer within its limits.
fn checked(batch: PollBatch) -> Result<PollBatch, PollError> {
    if batch.events.len() > EVENTS_MAX {
        return Err(PollError::Failed(format!(
            "{} events exceed {EVENTS_MAX}",
            batch.events.len()
        )));
    }
    let unfit = |event: &PollEvent| !(1..=KEY_BYTES_MAX).contains(&event.deduplication_key.len());
    if batch.events.iter().any(unfit) {
        return Err(PollError::Failed(format!(
            "a de-duplication key is 1 to {KEY_BYTES_MAX} bytes"
        )));
    }
    Ok(batch)
}

/// The poll trigger of a recipe, if it has one.
pub(crate) fn poll_of(recipe: &RecipeRecord) -> Option<Poll> {
    match Definition::from_json(&recipe.definition).ok()?.trigger {
        Trigger::Poll(poll) => Some(poll),
        Trigger::Webhook(_) => None,
    }
}
