//! The HTTP API, version 1: `/api/v1`.
//!
//! A call passes the turnstile, is read, authenticated, handed over to the
//! deployment and answered ([`call`]); a handler decides nothing. `docs/api.md`
//! lists every route with the operation that it is decided as.

mod answer;
mod call;
mod handlers;
mod routes;
mod turnstile;
pub mod types;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::routing::get;

use crate::deployment::Deployment;
pub(crate) use answer::told;
use call::Governor;
pub(crate) use handlers::{AuditFilter, JobFilter};
use routes::routes;
pub use routes::table_markdown;

/// The API's router. Whoever serves it puts the authenticated
/// [`keyway_authz::Principal`] into each request's extensions.
pub fn router(deployment: Arc<Deployment>) -> Router {
    let governor = Governor::of(Arc::clone(&deployment));
    routes()
        .into_iter()
        .fold(Router::new(), |router, route| {
            let governor = governor.for_route(route.operation, route.body_bytes_max);
            let governed = middleware::from_fn(move |request, next: Next| {
                let governor = governor.clone();
                async move { governor.call(request, next).await }
            });
            router.route(route.path, route.handler.route_layer(governed))
        })
        // Read and held to its limit before the handler begins.
        .layer(DefaultBodyLimit::disable())
        .fallback(answer::no_such_route)
        .with_state(deployment)
}

/// What a supervisor asks, without a token.
pub(crate) fn health(deployment: Arc<Deployment>, detail: Detail) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move |State(d): State<Arc<Deployment>>| async move { ready(&d, detail) }),
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
