//! Jobs: list, show, rerun.

use std::sync::Arc;

use keyway_gate::resource::RecipeRecord;
use keyway_gate::{ControlError, View};
use keyway_jobs::job::{JobRecord, JobSummary};
use keyway_jobs::{JournalPage, completed_before_failure, read_journal};
use keyway_model::job::JobState;
use keyway_model::limit::LISTED_MAX;
use keyway_model::{JobId, Name};
use keyway_store::StoredJob;
use serde::Deserialize;

use super::reads::{Read, aside};
use super::shown::Shown;
use super::{Caller, Deployment};
use crate::api::JobFilter;
use crate::api::types::{Job, JobDetail, Rerun, RerunFrom};

impl Deployment {
    /// Lists jobs, newest first.
    pub(crate) async fn jobs(
        &self,
        caller: Caller,
        filter: JobFilter,
    ) -> Result<Read<Vec<Job>>, ControlError> {
        let allowed = self.begin(&caller, "job:list", "job", None).await?;
        let view = self.view(allowed.scope);
        let recipe = match &filter.recipe {
            None => None,
            Some(name) => match name
                .parse::<Name>()
                .ok()
                .and_then(|name| view.recipe(&name).map(|r| r.id))
            {
                Some(id) => Some(id),
                None => {
                    return allowed
                        .fail(ControlError::NotFound(format!(
                            "there is no recipe `{name}`"
                        )))
                        .await;
                }
            },
        };
        let state = match filter.state.as_deref().map(state_of).transpose() {
            Ok(state) => state,
            Err(error) => return allowed.fail(error).await,
        };
        let limit = filter.limit.unwrap_or(50).min(LISTED_MAX);
        let store = self.gate.store().tenant(allowed.scope);
        let (allowed, place) = self.read_place(allowed).await?;
        let stored = store.jobs(recipe, state, limit).await?;
        let value = stored
            .into_iter()
            .filter_map(|stored| listed(&view, stored))
            .collect();
        allowed.answer(Read { value, place }).await
    }

    /// Shows one with its steps, masked.
    pub(crate) async fn job(
        &self,
        caller: Caller,
        id: &str,
    ) -> Result<Read<JobDetail>, ControlError> {
        let allowed = self
            .begin(&caller, "job:show", "job", Some(id.to_owned()))
            .await?;
        let store = self.gate.store().tenant(allowed.scope);
        let (allowed, place) = self.read_place(allowed).await?;
        let stored = match id.parse::<JobId>().ok() {
            None => None,
            Some(id) => store.job::<JobRecord, JobSummary>(id).await?,
        };
        let Some(stored) = stored else {
            return allowed.fail(no_job(id)).await;
        };
        let rows = read_journal(&store, stored.id).await?;
        let recipe = store.recipe_version(stored.recipe, stored.recipe_version);
        let recipe: Option<RecipeRecord> = recipe.await?;
        let view = self.view(allowed.scope);
        let masked = move || {
            let shown = Shown {
                view: &view,
                recipe: recipe.as_ref(),
                job: job_of(&stored),
                record: &stored.record,
                rows: &rows,
            };
            shown.masked()
        };
        let value = aside(masked).await?;
        allowed.answer(Read { value, place }).await
    }

    /// Runs a job again.
    pub async fn rerun(
        self: &Arc<Self>,
        caller: Caller,
        id: &str,
        rerun: Rerun,
    ) -> Result<Job, ControlError> {
        let allowed = self
            .begin(&caller, "job:rerun", "job", Some(id.to_owned()))
            .await?;
        let (scope, store) = (allowed.scope, self.gate.store().tenant(allowed.scope));
        let stored = match id.parse::<JobId>().ok() {
            None => None,
            Some(id) => store.job::<JobRecord, JobSummary>(id).await?,
        };
        let Some(stored) = stored else {
            return allowed.fail(no_job(id)).await;
        };
        if !stored.state.is_final() {
            let error = ControlError::Conflict(format!(
                "job {id} is {}; it has not ended",
                stored.state.as_str()
            ));
            return allowed.fail(error).await;
        }
        if stored.state == JobState::Succeeded && rerun.from == RerunFrom::Failed {
            let error = ControlError::Conflict(format!(
                "job {id} succeeded: no step failed; rerun it --from trigger"
            ));
            return allowed.fail(error).await;
        }
        let accepted_at = self.gate.clock().now();
        let new = JobId::at(accepted_at);
        let (allowed, keys_of, kept) = match rerun.from {
            RerunFrom::Trigger => (allowed, new, Vec::new()),
            RerunFrom::Failed => {
                let (allowed, _place) = self.read_place(allowed).await?;
                let rows = read_journal(&store, stored.id).await?;
                let kept = completed_before_failure(rows);
                (allowed, stored.record.keys_of, kept)
            }
        };
        let kept_bytes: usize = kept.iter().map(|row| row.entry.bytes()).sum();
        let bytes = stored
            .record
            .trigger
            .text()
            .len()
            .saturating_add(kept_bytes);
        let room = match self.jobs.room(scope, bytes) {
            Ok(room) => room,
            Err(error) => return Err(allowed.call.over(error.to_string()).await),
        };
        let record = JobRecord {
            accepted_at,
            keys_of,
            reruns: Some(stored.id),
            ..stored.record
        };
        let mut changes = vec![store.create_job(new, record.of(), &record).await?];
        if !kept.is_empty() {
            let page = JournalPage(kept);
            changes.push(store.journal_row(new, page.position(), &page).await?);
        }
        allowed.call.done(changes).await?;
        self.jobs
            .resume(scope, new, room)
            .await
            .map_err(|error| ControlError::Internal(error.to_string()))?;
        Ok(Job {
            id: new,
            recipe: record.name,
            recipe_version: record.version,
            state: JobState::Running,
            created_at: record.accepted_at.to_string(),
            updated_at: record.accepted_at.to_string(),
            reruns: record.reruns,
            failure: None,
        })
    }
}

/// A job as a list shows it: what the outside said is left to `job show`, since a
/// list has no masks.
fn listed(view: &View, stored: StoredJob<(), JobKind>) -> Option<Job> {
    let recipe = view.recipe_by_id(stored.recipe)?;
    Some(Job {
        id: stored.id,
        recipe: recipe.name.clone(),
        recipe_version: stored.recipe_version,
        state: stored.state,
        created_at: stored.created_at.to_string(),
        updated_at: stored.updated_at.to_string(),
        reruns: stored.origin,
        failure: stored.summary.and_then(|summary| summary.kind),
    })
}

/// Of a job's summary, what a list shows.
#[derive(Debug, Deserialize)]
struct JobKind {
    kind: Option<String>,
}

fn job_of(stored: &StoredJob<JobRecord, JobSummary>) -> Job {
    Job {
        id: stored.id,
        recipe: stored.record.name.clone(),
        recipe_version: stored.record.version,
        state: stored.state,
        created_at: stored.created_at.to_string(),
        updated_at: stored.updated_at.to_string(),
        reruns: stored.record.reruns,
        failure: stored
            .summary
            .as_ref()
            .and_then(|summary| summary.failure.clone()),
    }
}

fn state_of(word: &str) -> Result<JobState, ControlError> {
    JobState::ALL
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| {
            let known: Vec<_> = JobState::ALL.iter().map(|state| state.as_str()).collect();
            ControlError::Invalid(format!(
                "there is no state `{word}`: write one of {}",
                known.join(", ")
            ))
        })
}

fn no_job(id: &str) -> ControlError {
    ControlError::NotFound(format!(
        "there is no job `{}`",
        id.chars().take(80).collect::<String>()
    ))
}
