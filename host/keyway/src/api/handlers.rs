//! The handlers: each hands over to the deployment, and gives its answer back.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use keyway_authz::Principal;
use keyway_gate::Presence;
use serde::Deserialize;

use super::answer::{self, Answer, Strict, reply};
use super::types::{
    NewApproval, NewConnection, NewLimits, NewToken, NewWorkspace, RecipeText, Rerun,
};
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
    reply(d.jobs(Caller::at(who, place), filter).await)
}

pub(super) async fn job(
    State(d): Shared,
    Extension(who): Who,
    Path((ws, env, id)): Thing,
) -> Answer {
    reply(d.job(Caller::at(who, (ws, env)), &id).await)
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
    reply(d.audit(Caller::at(who, place), filter).await)
}

pub(super) async fn export(State(d): Shared, Extension(who): Who, Path(place): Place) -> Response {
    text(d.export_audit(Caller::at(who, place)).await)
}

pub(super) async fn key(State(d): Shared, Extension(who): Who, Path(place): Place) -> Response {
    text(d.audit_key(Caller::at(who, place)).await)
}

fn text(result: Result<String, keyway_gate::ControlError>) -> Response {
    match result {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response(),
        Err(error) => answer::problem(&error),
    }
}
