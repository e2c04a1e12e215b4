//! What a supervisor asks, without a token: whether the node lives and is ready.
//! Nothing of it is recorded, since it says nothing of anybody.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use crate::deployment::Deployment;
use crate::routes::Route;
use crate::strangers::{Ask, Peer};

/// The routes beside the API.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/healthz", "health:show", lives),
        Route::get("/readyz", "health:show", is_ready),
    ]
}

async fn lives(State(d): State<Arc<Deployment>>, Extension(peer): Extension<Peer>) -> Response {
    match d.strangers().pass(peer, Ask::Health, Instant::now()) {
        Ok(()) => "ok\n".into_response(),
        Err(too_often) => too_often.told(),
    }
}

async fn is_ready(State(d): State<Arc<Deployment>>, Extension(peer): Extension<Peer>) -> Response {
    match d.strangers().pass(peer, Ask::Health, Instant::now()) {
        Ok(()) => readiness(&d, peer).into_response(),
        Err(too_often) => too_often.told(),
    }
}

/// Whether it is ready, and whether anything is weaker than it should be; which engine
/// runs guests, and each layer of the workers' confinement, for the platform
/// administrator alone.
fn readiness(d: &Deployment, peer: Peer) -> (StatusCode, String) {
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
    if peer == Peer::Socket {
        text.push_str(&format!("engine: {}\n", keyway_runtime::ENGINE));
        text.push_str(&workers.shown());
    }
    (StatusCode::OK, text)
}
