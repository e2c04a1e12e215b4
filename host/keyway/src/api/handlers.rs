//! The handlers: each hands over to the deployment, and gives its answer back.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use keyway_authz::Principal;
use keyway_gate::{ControlError, Presence};
use keyway_store::StoreError;
use serde::{Deserialize, Serialize};

use super::answer::{self, Answer, Strict, reply};
use super::sent;
use super::types::{
    NewApproval, NewConnection, NewLimits, NewToken, NewWorkspace, RecipeText, Rerun,
};
use crate::deployment::reads::{Read, aside};
use crate::deployment::{Caller, Deployment};

type Shared = State<Arc<Deployment>>;
type Who = Extension<Principal>;
type Place = Path<(String, String)>;
type Thing = Path<(String, String, String)>;
/// Whether whoever asked is still there.
type Waits = Extension<Presence>;

pub(super) async fn create_workspace(
    State(d): Shared,
    Extension(who): Who,
    Strict(new): Strict<NewWorkspace>,
) -> Answer {
    reply(d.create_workspace(who, new).await)
}

pub(super) async fn workspaces(State(d): Shared, Extension(who): Who) -> Answer {
    reply(d.workspaces(who).await)
}

pub(super) async fn workspace(
    State(d): Shared,
    Extension(who): Who,
    Path(name): Path<String>,
) -> Answer {
    reply(d.workspace(who, &name).await)
}

pub(super) async fn create_token(
    State(d): Shared,
    Extension(who): Who,
    Strict(new): Strict<NewToken>,
) -> Answer {
    reply(d.create_token(who, new).await)
}

pub(super) async fn tokens(State(d): Shared, Extension(who): Who) -> Answer {
    reply(d.tokens(who).await)
}

pub(super) async fn revoke_token(
    State(d): Shared,
    Extension(who): Who,
    Path(id): Path<String>,
) -> Answer {
    reply(d.revoke_token(who, &id).await)
}

pub(super) async fn alarms(State(d): Shared, Extension(who): Who) -> Answer {
    reply(d.alarms(who).await)
}

pub(super) async fn acknowledge(
    State(d): Shared,
    Extension(who): Who,
    Path(id): Path<String>,
) -> Answer {
    reply(d.acknowledge_alarm(who, &id).await)
}

pub(super) async fn install(
    State(d): Shared,
    Extension(who): Who,
    Extension(presence): Waits,
    Path(place): Place,
    body: Bytes,
) -> Answer {
    let caller = Caller::at(who, place);
    reply(d.install(caller, body.to_vec(), &presence).await)
}

pub(super) async fn connectors(
    State(d): Shared,
    Extension(who): Who,
    Path(place): Place,
) -> Answer {
    reply(d.connectors(Caller::at(who, place)).await)
}

pub(super) async fn connector(
    State(d): Shared,
    Extension(who): Who,
    Path((ws, env, name)): Thing,
) -> Answer {
    reply(d.connector(Caller::at(who, (ws, env)), &name).await)
}

pub(super) async fn approve(
    State(d): Shared,
    Extension(who): Who,
    Path((ws, env, digest)): Thing,
    Strict(new): Strict<NewApproval>,
) -> Answer {
    reply(d.approve(Caller::at(who, (ws, env)), &digest, new).await)
}

pub(super) async fn revoke(
    State(d): Shared,
    Extension(who): Who,
    Path((ws, env, digest)): Thing,
) -> Answer {
    reply(d.revoke(Caller::at(who, (ws, env)), &digest).await)
}

pub(super) async fn connect(
    State(d): Shared,
    Extension(who): Who,
    Path(place): Place,
    Strict(new): Strict<NewConnection>,
) -> Answer {
    reply(d.create_connection(Caller::at(who, place), new).await)
}

pub(super) async fn connections(
    State(d): Shared,
    Extension(who): Who,
    Path(place): Place,
) -> Answer {
    reply(d.connections(Caller::at(who, place)).await)
}

pub(super) async fn check(
    State(d): Shared,
    Extension(who): Who,
    Extension(presence): Waits,
    Path((ws, env, name)): Thing,
) -> Answer {
    let caller = Caller::at(who, (ws, env));
    reply(d.check_connection(caller, &name, presence).await)
}

pub(super) async fn apply(
    State(d): Shared,
    Extension(who): Who,
    Extension(presence): Waits,
    Path(place): Place,
    Strict(recipe): Strict<RecipeText>,
) -> Answer {
    let caller = Caller::at(who, place);
    reply(d.apply_recipe(caller, recipe, &presence).await)
}

pub(super) async fn validate(
    State(d): Shared,
    Extension(who): Who,
    Extension(presence): Waits,
    Path(place): Place,
    Strict(recipe): Strict<RecipeText>,
) -> Answer {
    let caller = Caller::at(who, place);
    reply(d.validate_recipe(caller, recipe, &presence).await)
}

pub(super) async fn recipes(State(d): Shared, Extension(who): Who, Path(place): Place) -> Answer {
    reply(d.recipes(Caller::at(who, place)).await)
}

pub(super) async fn recipe(
    State(d): Shared,
    Extension(who): Who,
    Path((ws, env, name)): Thing,
) -> Answer {
    reply(d.recipe(Caller::at(who, (ws, env)), &name).await)
}

pub(super) async fn start(
    State(d): Shared,
    Extension(who): Who,
    Path((ws, env, name)): Thing,
) -> Answer {
    reply(
        d.switch_recipe(Caller::at(who, (ws, env)), &name, "recipe:start")
            .await,
    )
}

pub(super) async fn stop(
    State(d): Shared,
    Extension(who): Who,
    Path((ws, env, name)): Thing,
) -> Answer {
    reply(
        d.switch_recipe(Caller::at(who, (ws, env)), &name, "recipe:stop")
            .await,
    )
}

/// `GET …/jobs?recipe=&state=&limit=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobFilter {
    pub(crate) recipe: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) limit: Option<u32>,
}

pub(super) async fn jobs(
    State(d): Shared,
    Extension(who): Who,
    Path(place): Place,
    Query(filter): Query<JobFilter>,
) -> Answer {
    read(d.jobs(Caller::at(who, place), filter).await).await
}

pub(super) async fn job(
    State(d): Shared,
    Extension(who): Who,
    Path((ws, env, id)): Thing,
) -> Answer {
    read(d.job(Caller::at(who, (ws, env)), &id).await).await
}

pub(super) async fn rerun(
    State(d): Shared,
    Extension(who): Who,
    Path((ws, env, id)): Thing,
    Strict(rerun): Strict<Rerun>,
) -> Answer {
    reply(d.rerun(Caller::at(who, (ws, env)), &id, rerun).await)
}

pub(super) async fn limits(State(d): Shared, Extension(who): Who, Path(place): Place) -> Answer {
    reply(d.limits(Caller::at(who, place)).await)
}

pub(super) async fn set_limits(
    State(d): Shared,
    Extension(who): Who,
    Path(place): Place,
    Strict(new): Strict<NewLimits>,
) -> Answer {
    reply(d.set_limits(Caller::at(who, place), new).await)
}

/// `GET …/audit?after=&limit=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditFilter {
    pub(crate) after: Option<u64>,
    pub(crate) limit: Option<u32>,
}

pub(super) async fn audit(
    State(d): Shared,
    Extension(who): Who,
    Path(place): Place,
    Query(filter): Query<AuditFilter>,
) -> Answer {
    read(d.audit(Caller::at(who, place), filter).await).await
}

pub(super) async fn export(State(d): Shared, Extension(who): Who, Path(place): Place) -> Response {
    match d.export_audit(Caller::at(who, place)).await {
        Ok(Read { value, place }) => {
            let parts = stream::try_unfold(value, |mut export| async {
                let part = export.next().await.inspect_err(|error| {
                    tracing::error!(%error, "an export of the audit log broke off");
                });
                Ok::<_, StoreError>(part?.map(|part| (part, export)))
            });
            let body = Body::from_stream(parts);
            sent::holding(([(CONTENT_TYPE, PLAIN)], body).into_response(), place)
        }
        Err(error) => answer::problem(&error),
    }
}

pub(super) async fn key(State(d): Shared, Extension(who): Who, Path(place): Place) -> Response {
    text(d.audit_key(Caller::at(who, place)).await)
}

/// The type of what is no JSON.
const PLAIN: &str = "text/plain; charset=utf-8";

/// The answer with what was read, which may be long: written aside, and keeping
/// its place until it was sent.
async fn read<T>(result: Result<Read<T>, ControlError>) -> Answer
where
    T: Serialize + Send + 'static,
{
    let Read { value, place } = match result {
        Ok(read) => read,
        Err(error) => return answer::problem(&error),
    };
    match aside(move || reply(Ok(value))).await {
        Ok(answer) => sent::holding(answer, place),
        Err(error) => answer::problem(&error),
    }
}

fn text(result: Result<String, ControlError>) -> Response {
    match result {
        Ok(text) => ([(CONTENT_TYPE, PLAIN)], text).into_response(),
        Err(error) => answer::problem(&error),
    }
}
