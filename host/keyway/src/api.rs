//! The HTTP API, version 1: `/api/v1`; and `/healthz` and `/readyz` beside it.
//!
//! A call is authenticated, passes the turnstile, is read, handed over to the
//! deployment and answered ([`call`]); a handler decides nothing. `docs/api.md`
//! lists every route with the operation that it is decided as.

mod answer;
mod bodies;
mod call;
mod handlers;
mod health;
mod routes;
mod sent;
mod turnstile;
pub mod types;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};

use crate::deployment::Deployment;
use crate::routes::router as router_of;
pub(crate) use answer::told;
use call::Governor;
pub(crate) use handlers::{AuditFilter, JobFilter};
pub(crate) use health::routes as health_routes;
pub(crate) use routes::routes;

/// The API's router. Whoever serves it says in each request's extensions where
/// the connection comes from (a `Peer`) and, if it is known without a token, who
/// calls (a [`keyway_authz::Principal`]).
pub(crate) fn router(deployment: Arc<Deployment>) -> Router {
    let governor = Governor::of(Arc::clone(&deployment));
    let governed = routes().into_iter().map(|route| {
        let governor = governor.for_route(route.operation, route.body_bytes_max);
        let through = middleware::from_fn(move |request, next: Next| {
            let governor = governor.clone();
            async move { governor.call(request, next).await }
        });
        route.behind(|handler| handler.route_layer(through))
    });
    let elsewhere = governor.for_route("api:call", 0);
    let other = move |request: Request| {
        let governor = elsewhere.clone();
        async move { governor.no_such_route(request).await }
    };
    router_of(deployment, governed.chain(health_routes()), other)
}
