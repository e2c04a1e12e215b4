//! The HTTP API, version 1: `/api/v1`.
//!
//! A route authenticates, hands over to the deployment, and gives its answer
//! back; it decides nothing. `docs/api.md` lists every route with the operation
//! that it is decided as.

mod answer;
pub mod types;

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use keyway_authz::Principal;
use keyway_model::limit::{ARTIFACT_BYTES_MAX, DOCUMENT_BYTES_MAX};
use serde::Deserialize;

use crate::deployment::{Caller, Deployment};
pub(crate) use answer::told;
use answer::{Answer, Strict, reply};
use types::{NewApproval, NewConnection, NewLimits, NewToken, NewWorkspace, RecipeText, Rerun};

/// A route, with the operation that it is decided as.
struct Route {
    method: &'static str,
    path: &'static str,
    operation: &'static str,
    handler: MethodRouter<Arc<Deployment>>,
}

/// Below a workspace and an environment.
macro_rules! below {
    ($path:literal) => {
        concat!("/api/v1/workspaces/{ws}/{env}", $path)
    };
}

/// Every route. The router is made of this list, so there is no other.
fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/api/v1/workspaces",
            "workspace:create",
            post(create_workspace),
        ),
        Route::get("/api/v1/workspaces", "workspace:list", get(workspaces)),
        Route::post("/api/v1/tokens", "token:create", post(create_token)),
        Route::get("/api/v1/tokens", "token:list", get(tokens)),
        Route::post(
            "/api/v1/tokens/{id}/revoke",
            "token:revoke",
            post(revoke_token),
        ),
        Route::get("/api/v1/alarms", "alarm:list", get(alarms)),
        Route::post(
            "/api/v1/alarms/{id}/acknowledge",
            "alarm:acknowledge",
            post(acknowledge),
        ),
        Route::post(
            below!("/connectors"),
            "connector:install",
            post(install).layer(DefaultBodyLimit::max(ARTIFACT_BYTES_MAX)),
        ),
        Route::get(below!("/connectors"), "connector:list", get(connectors)),
        Route::get(
            below!("/connectors/{connector}"),
            "connector:show",
            get(connector),
        ),
        Route::post(
            below!("/connectors/{connector}/approve"),
            "connector:approve",
            post(approve),
        ),
        Route::post(
            below!("/connectors/{connector}/revoke"),
            "connector:revoke",
            post(revoke),
        ),
        Route::post(below!("/connections"), "connection:create", post(connect)),
        Route::get(below!("/connections"), "connection:list", get(connections)),
        Route::post(
            below!("/connections/{name}/check"),
            "connection:check",
            post(check),
        ),
        Route::post(below!("/recipes"), "recipe:apply", post(apply)),
        Route::post(
            below!("/recipes/validate"),
            "recipe:validate",
            post(validate),
        ),
        Route::get(below!("/recipes"), "recipe:list", get(recipes)),
        Route::get(below!("/recipes/{name}"), "recipe:show", get(recipe)),
        Route::post(below!("/recipes/{name}/start"), "recipe:start", post(start)),
        Route::post(below!("/recipes/{name}/stop"), "recipe:stop", post(stop)),
        Route::get(below!("/jobs"), "job:list", get(jobs)),
        Route::get(below!("/jobs/{id}"), "job:show", get(job)),
        Route::post(below!("/jobs/{id}/rerun"), "job:rerun", post(rerun)),
        Route::get(below!("/limits"), "limits:show", get(limits)),
        Route::post(below!("/limits"), "limits:set", post(set_limits)),
        Route::get(below!("/audit"), "audit:list", get(audit)),
        Route::get(below!("/audit/export"), "audit:export", get(export)),
        Route::get(below!("/audit/key"), "audit:export", get(key)),
    ]
}

impl Route {
    const fn get(
        path: &'static str,
        operation: &'static str,
        handler: MethodRouter<Arc<Deployment>>,
    ) -> Self {
        Self {
            method: "GET",
            path,
            operation,
            handler,
        }
    }

    const fn post(
        path: &'static str,
        operation: &'static str,
        handler: MethodRouter<Arc<Deployment>>,
    ) -> Self {
        Self {
            method: "POST",
            path,
            operation,
            handler,
        }
    }
}

/// Every route as a Markdown table, for the documentation.
pub fn table_markdown() -> String {
    let mut out = String::from("| method | path | operation |\n|---|---|---|\n");
    for Route {
        method,
        path,
        operation,
        ..
    } in routes()
    {
        out.push_str(&format!("| {method} | `{path}` | `{operation}` |\n"));
    }
    out
}

type Shared = State<Arc<Deployment>>;
type Who = Extension<Principal>;
type Place = Path<(String, String)>;
type Thing = Path<(String, String, String)>;

/// The API's router. Whoever serves it puts the authenticated [`Principal`]
/// into each request's extensions.
pub fn router(deployment: Arc<Deployment>) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, route| {
            router.route(route.path, route.handler)
        })
        .layer(DefaultBodyLimit::max(2 * DOCUMENT_BYTES_MAX))
        .fallback(answer::no_such_route)
        .with_state(deployment)
}

/// What a supervisor asks, without a token.
pub(crate) fn health(deployment: Arc<Deployment>, detail: Detail) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move |State(d): Shared| async move { ready(&d, detail) }),
        )
        .with_state(deployment)
}

/// How much a supervisor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Whether it is ready, and whether anything is weaker than it should be.
    Brief,
    /// Each layer of the workers' confinement, too.
    Full,
}

fn ready(d: &Deployment, detail: Detail) -> (StatusCode, String) {
    let workers = d.workers();
    if !workers.are_ready() {
        let nothing = "no worker takes calls\n".to_owned();
        return (StatusCode::SERVICE_UNAVAILABLE, nothing);
    }
    let mut text = "ready\n".to_owned();
    let missing = workers.missing();
    if !missing.is_empty() {
        text.push_str(&format!("weaker workers: {}\n", missing.join(", ")));
    }
    if detail == Detail::Full {
        text.push_str(&workers.shown());
    }
    (StatusCode::OK, text)
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

async fn alarms(State(d): Shared, Extension(who): Who) -> Answer {
    reply(d.alarms(who).await)
}

async fn acknowledge(State(d): Shared, Extension(who): Who, Path(id): Path<String>) -> Answer {
    reply(d.acknowledge_alarm(who, &id).await)
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

async fn limits(State(d): Shared, Extension(who): Who, Path(place): Place) -> Answer {
    reply(d.limits(Caller::at(who, place)).await)
}

async fn set_limits(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_exactly_the_routes_there_are() {
        let documented = include_str!("../../../docs/api.md");
        assert!(
            documented.contains(&table_markdown()),
            "{}",
            table_markdown()
        );
    }

    #[test]
    fn every_route_is_decided_as_an_operation_that_roles_know() {
        for route in routes() {
            let known = keyway_roles::OPERATIONS
                .iter()
                .any(|operation| operation.name == route.operation);
            assert!(known, "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn every_operation_of_the_roles_has_a_route_or_a_reason() {
        // A job asks for the first on the rights of its owner, before each
        // outward call; the second is what `workspace:list` is for a token; the
        // third is the deployment's own.
        const WITHOUT_ROUTE: [&str; 3] = ["connection:use", "workspace:show", "alarm:raise"];
        for operation in keyway_roles::OPERATIONS {
            let has_route = routes()
                .iter()
                .any(|route| route.operation == operation.name);
            assert_ne!(
                has_route,
                WITHOUT_ROUTE.contains(&operation.name),
                "{}",
                operation.name
            );
        }
    }
}
