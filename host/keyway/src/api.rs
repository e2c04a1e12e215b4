//! The HTTP API, version 1: `/api/v1`.
//!
//! A route authenticates, hands over to the deployment, and gives its answer
//! back; it decides nothing. `ROUTES` lists every route with the operation
//! that it is decided as.

mod answer;
pub mod types;

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use keyway_authz::Principal;
use keyway_model::limit::{ARTIFACT_BYTES_MAX, DOCUMENT_BYTES_MAX};
use serde::Deserialize;

use crate::deployment::{Caller, Deployment};
pub(crate) use answer::told;
use answer::{Answer, Strict, reply};
use types::{NewApproval, NewConnection, NewToken, NewWorkspace, RecipeText, Rerun};

/// Every route, with the operation that it is decided as. Not yet held
/// against the router by a test.
pub const ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "/api/v1/workspaces", "workspace:create"),
    ("GET", "/api/v1/workspaces", "workspace:list"),
    ("POST", "/api/v1/tokens", "token:create"),
    ("GET", "/api/v1/tokens", "token:list"),
    ("POST", "/api/v1/tokens/{id}/revoke", "token:revoke"),
    (
        "POST",
        "/api/v1/workspaces/{ws}/{env}/connectors",
        "connector:install",
    ),
    (
        "GET",
        "/api/v1/workspaces/{ws}/{env}/connectors",
        "connector:list",
    ),
    (
        "GET",
        "/api/v1/workspaces/{ws}/{env}/connectors/{connector}",
        "connector:show",
    ),
    (
        "POST",
        "/api/v1/workspaces/{ws}/{env}/connectors/{connector}/approve",
        "connector:approve",
    ),
    (
        "POST",
        "/api/v1/workspaces/{ws}/{env}/connectors/{connector}/revoke",
        "connector:revoke",
    ),
    (
        "POST",
        "/api/v1/workspaces/{ws}/{env}/connections",
        "connection:create",
    ),
    (
        "GET",
        "/api/v1/workspaces/{ws}/{env}/connections",
        "connection:list",
    ),
    (
        "POST",
        "/api/v1/workspaces/{ws}/{env}/connections/{name}/check",
        "connection:check",
    ),
    (
        "POST",
        "/api/v1/workspaces/{ws}/{env}/recipes",
        "recipe:apply",
    ),
    (
        "POST",
        "/api/v1/workspaces/{ws}/{env}/recipes/validate",
        "recipe:validate",
    ),
    (
        "GET",
        "/api/v1/workspaces/{ws}/{env}/recipes",
        "recipe:list",
    ),
    (
        "GET",
        "/api/v1/workspaces/{ws}/{env}/recipes/{name}",
        "recipe:show",
    ),
    (
        "POST",
        "/api/v1/workspaces/{ws}/{env}/recipes/{name}/start",
        "recipe:start",
    ),
    (
        "POST",
        "/api/v1/workspaces/{ws}/{env}/recipes/{name}/stop",
        "recipe:stop",
    ),
    ("GET", "/api/v1/workspaces/{ws}/{env}/jobs", "job:list"),
    ("GET", "/api/v1/workspaces/{ws}/{env}/jobs/{id}", "job:show"),
    (
        "POST",
        "/api/v1/workspaces/{ws}/{env}/jobs/{id}/rerun",
        "job:rerun",
    ),
    ("GET", "/api/v1/workspaces/{ws}/{env}/audit", "audit:list"),
    (
        "GET",
        "/api/v1/workspaces/{ws}/{env}/audit/export",
        "audit:export",
    ),
    (
        "GET",
        "/api/v1/workspaces/{ws}/{env}/audit/key",
        "audit:export",
    ),
];

type Shared = State<Arc<Deployment>>;
type Who = Extension<Principal>;
type Place = Path<(String, String)>;
type Thing = Path<(String, String, String)>;

/// The API's router. Whoever serves it puts the authenticated [`Principal`]
/// into each request's extensions.
pub fn router(deployment: Arc<Deployment>) -> Router {
    let workspace = Router::new()
        .route(
            "/connectors",
            get(connectors)
                .post(install)
                .layer(DefaultBodyLimit::max(ARTIFACT_BYTES_MAX)),
        )
        .route("/connectors/{connector}", get(connector))
        .route("/connectors/{connector}/approve", post(approve))
        .route("/connectors/{connector}/revoke", post(revoke))
        .route("/connections", get(connections).post(connect))
        .route("/connections/{name}/check", post(check))
        .route("/recipes", get(recipes).post(apply))
        .route("/recipes/validate", post(validate))
        .route("/recipes/{name}", get(recipe))
        .route("/recipes/{name}/start", post(start))
        .route("/recipes/{name}/stop", post(stop))
        .route("/jobs", get(jobs))
        .route("/jobs/{id}", get(job))
        .route("/jobs/{id}/rerun", post(rerun))
        .route("/audit", get(audit))
        .route("/audit/export", get(export))
        .route("/audit/key", get(key));
    let api = Router::new()
        .route("/workspaces", get(workspaces).post(create_workspace))
        .route("/tokens", get(tokens).post(create_token))
        .route("/tokens/{id}/revoke", post(revoke_token))
        .nest("/workspaces/{ws}/{env}", workspace)
        .layer(DefaultBodyLimit::max(2 * DOCUMENT_BYTES_MAX));
    Router::new()
        .nest("/api/v1", api)
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ready\n" }))
        .fallback(answer::no_such_route)
        .with_state(deployment)
}

async fn create_workspace(
    State(d): Shared,
    Extension(who): Who,
    Strict(new): Strict<NewWorkspace>,
) -> Answer {
    reply(d.create_workspace(who, new).await)
}

async fn workspaces(State(d): Shared, Extension(who): Who) -> Answer {
    reply(d.workspaces(who).await)
}

async fn create_token(
    State(d): Shared,
    Extension(who): Who,
    Strict(new): Strict<NewToken>,
) -> Answer {
    reply(d.create_token(who, new).await)
}

async fn tokens(State(d): Shared, Extension(who): Who) -> Answer {
    reply(d.tokens(who).await)
}

async fn revoke_token(State(d): Shared, Extension(who): Who, Path(id): Path<String>) -> Answer {
    reply(d.revoke_token(who, &id).await)
}

async fn install(State(d): Shared, Extension(who): Who, Path(place): Place, body: Bytes) -> Answer {
    reply(d.install(Caller::at(who, place), body.to_vec()).await)
}

async fn connectors(State(d): Shared, Extension(who): Who, Path(place): Place) -> Answer {
    reply(d.connectors(Caller::at(who, place)).await)
}

async fn connector(State(d): Shared, Extension(who): Who, Path((ws, env, name)): Thing) -> Answer {
    reply(d.connector(Caller::at(who, (ws, env)), &name).await)
}

async fn approve(
    State(d): Shared,
    Extension(who): Who,
    Path((ws, env, digest)): Thing,
    Strict(new): Strict<NewApproval>,
) -> Answer {
    reply(d.approve(Caller::at(who, (ws, env)), &digest, new).await)
}

async fn revoke(State(d): Shared, Extension(who): Who, Path((ws, env, digest)): Thing) -> Answer {
    reply(d.revoke(Caller::at(who, (ws, env)), &digest).await)
}

async fn connect(
    State(d): Shared,
    Extension(who): Who,
    Path(place): Place,
    Strict(new): Strict<NewConnection>,
) -> Answer {
    reply(d.create_connection(Caller::at(who, place), new).await)
}

async fn connections(State(d): Shared, Extension(who): Who, Path(place): Place) -> Answer {
    reply(d.connections(Caller::at(who, place)).await)
}

async fn check(State(d): Shared, Extension(who): Who, Path((ws, env, name)): Thing) -> Answer {
    reply(d.check_connection(Caller::at(who, (ws, env)), &name).await)
}

async fn apply(
    State(d): Shared,
    Extension(who): Who,
    Path(place): Place,
    Strict(recipe): Strict<RecipeText>,
) -> Answer {
    reply(d.apply_recipe(Caller::at(who, place), recipe).await)
}

async fn validate(
    State(d): Shared,
    Extension(who): Who,
    Path(place): Place,
    Strict(recipe): Strict<RecipeText>,
) -> Answer {
    reply(d.validate_recipe(Caller::at(who, place), recipe).await)
}

async fn recipes(State(d): Shared, Extension(who): Who, Path(place): Place) -> Answer {
    reply(d.recipes(Caller::at(who, place)).await)
}

async fn recipe(State(d): Shared, Extension(who): Who, Path((ws, env, name)): Thing) -> Answer {
    reply(d.recipe(Caller::at(who, (ws, env)), &name).await)
}

async fn start(State(d): Shared, Extension(who): Who, Path((ws, env, name)): Thing) -> Answer {
    reply(
        d.switch_recipe(Caller::at(who, (ws, env)), &name, "recipe:start")
            .await,
    )
}

async fn stop(State(d): Shared, Extension(who): Who, Path((ws, env, name)): Thing) -> Answer {
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

async fn jobs(
    State(d): Shared,
    Extension(who): Who,
    Path(place): Place,
    Query(filter): Query<JobFilter>,
) -> Answer {
    reply(d.jobs(Caller::at(who, place), filter).await)
}

async fn job(State(d): Shared, Extension(who): Who, Path((ws, env, id)): Thing) -> Answer {
    reply(d.job(Caller::at(who, (ws, env)), &id).await)
}

async fn rerun(
    State(d): Shared,
    Extension(who): Who,
    Path((ws, env, id)): Thing,
    Strict(rerun): Strict<Rerun>,
) -> Answer {
    reply(d.rerun(Caller::at(who, (ws, env)), &id, rerun).await)
}

/// `GET …/audit?after=&limit=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditFilter {
    pub(crate) after: Option<u64>,
    pub(crate) limit: Option<u32>,
}

async fn audit(
    State(d): Shared,
    Extension(who): Who,
    Path(place): Place,
    Query(filter): Query<AuditFilter>,
) -> Answer {
    reply(d.audit(Caller::at(who, place), filter).await)
}

async fn export(State(d): Shared, Extension(who): Who, Path(place): Place) -> Response {
    text(d.export_audit(Caller::at(who, place)).await)
}

async fn key(State(d): Shared, Extension(who): Who, Path(place): Place) -> Response {
    text(d.audit_key(Caller::at(who, place)).await)
}

fn text(result: Result<String, keyway_gate::ControlError>) -> Response {
    match result {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response(),
        Err(error) => answer::problem(&error),
    }
}
