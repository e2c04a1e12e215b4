//! The webhook listener: the one door that takes callers without a principal.
//! Its key is the path, 256 random bits, found by hash.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use keyway_authz::DenialReason;
use keyway_gate::resource::RecipeRecord;
use keyway_jobs::{Accepted, Answer, DriveError, NoRoom, Reply, webhook_event};
use keyway_model::limit::{WEBHOOK_BODY_BYTES_MAX, WEBHOOK_BODY_MS_MAX};
use keyway_model::{JobState, Scope};
use serde_json::json;

use crate::api::told;
use crate::deployment::Deployment;
use crate::routes::{Route, router as router_of};
use crate::strangers::{Ask, Peer};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_millis(WEBHOOK_BODY_MS_MAX);

/// The listener's router.
pub(crate) fn router(deployment: Arc<Deployment>) -> Router {
    router_of(deployment, routes(), unknown)
}

/// The listener's one route.
pub(crate) fn routes() -> Vec<Route> {
    let events = Route::post("/hooks/{path}", "webhook:receive", receive);
    vec![events.taking(WEBHOOK_BODY_BYTES_MAX)]
}

/// An unknown path and a stopped recipe look the same, and so does another method
/// wherever it is used.
async fn unknown(State(deployment): State<Arc<Deployment>>, request: Request) -> Response {
    let refusal = if request.method() == Method::POST {
        let why = "no recipe takes events here";
        told(StatusCode::NOT_FOUND, "not-found", why.to_owned())
    } else {
        let why = "events are sent with POST";
        let (status, code) = (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed");
        ([(ALLOW, "POST")], told(status, code, why.to_owned())).into_response()
    };
    let peer = Peer::of(request.extensions());
    deployment.strangers().refuse(peer, Ask::Webhook, refusal)
}

async fn receive(
    State(deployment): State<Arc<Deployment>>,
    Path(path): Path<String>,
    request: Request,
) -> Response {
    let Some((scope, recipe)) = deployment.hook(&path) else {
        return unknown(State(deployment), request).await;
    };
    let limit = deployment.body_bytes_max(scope, &recipe);
    let (head, body) = request.into_parts();
    let whole = async {
        let place = deployment.body_place(scope, &recipe).await;
        let body = axum::body::to_bytes(body, limit).await;
        body.map(|body| (body, place))
    };
    // The place is held until the event is a job, whose limits it then counts to.
    let (body, place) = match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(body)) => body,
        Err(_) => {
            deployment
                .refused(scope, &recipe, (DenialReason::Limit, "body timeout"))
                .await;
            return told(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                format!("the body took longer than {} s", BODY_TIMEOUT.as_secs()),
            );
        }
        Ok(Err(_)) => return too_large(&deployment, scope, &recipe, limit).await,
    };
    // While the body came, the recipe may have been stopped, or got another version.
    let now = deployment.hook(&path);
    let now = now.filter(|(at, now)| (*at, now.id) == (scope, recipe.id));
    let Some((scope, recipe)) = now else {
        let request = Request::from_parts(head, Body::empty());
        return unknown(State(deployment), request).await;
    };
    let limit = deployment.body_bytes_max(scope, &recipe);
    if body.len() > limit {
        return too_large(&deployment, scope, &recipe, limit).await;
    }
    let mut accepted = match accept(&deployment, scope, &recipe, &body).await {
        Ok(accepted) => accepted,
        Err(refusal) => return refusal,
    };
    drop((body, place));
    let Some(answer) = accepted.answer.take() else {
        return (
            StatusCode::ACCEPTED,
            axum::Json(json!({ "job": accepted.id })),
        )
            .into_response();
    };
    let patience = Duration::from_millis(deployment.config().webhook.reply_ms_max);
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(Answer::Reply(reply))) => respond(reply),
        Ok(Ok(Answer::Ended(state))) => ended(state, &accepted.id.to_string()),
        Ok(Err(_)) => not_accepted(),
        // The job goes on; what is acknowledged before its answer must be durable.
        Err(_) => {
            let store = deployment.gate().store().tenant(scope);
            match accepted.make_durable(&store).await {
                Ok(()) => (
                    StatusCode::ACCEPTED,
                    axum::Json(json!({ "job": accepted.id })),
                )
                    .into_response(),
                Err(error) => {
                    tracing::error!(%error, "an event could not be made durable");
                    not_accepted()
                }
            }
        }
    }
}

/// Refuses a body that is longer than the recipe takes.
async fn too_large(
    deployment: &Deployment,
    scope: Scope,
    recipe: &RecipeRecord,
    limit: usize,
) -> Response {
    let why = (DenialReason::Limit, "webhook body_bytes_max");
    deployment.refused(scope, recipe, why).await;
    let text = format!("the body exceeds webhook body_bytes_max ({limit} bytes)");
    told(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text)
}

/// Makes a body a job. What there is no room for is not looked into.
async fn accept(
    deployment: &Deployment,
    scope: Scope,
    recipe: &RecipeRecord,
    body: &[u8],
) -> Result<Accepted, Response> {
    let engine = deployment.jobs_engine();
    let accepted = match engine.room(scope, body.len()).map(drop) {
        Ok(()) => match webhook_event(body) {
            Ok(event) => engine.accept(scope, recipe, event).await,
            Err(error) => {
                let why = (DenialReason::Malformed, "not JSON");
                deployment.refused(scope, recipe, why).await;
                let text = format!("the body is not JSON: {error}");
                return Err(told(StatusCode::BAD_REQUEST, "invalid", text));
            }
        },
        Err(error) => Err(error),
    };
    match accepted {
        Ok(accepted) => Ok(accepted),
        Err(error @ DriveError::NoRoom(NoRoom { name, .. })) => {
            let why = (DenialReason::Limit, name);
            deployment.refused(scope, recipe, why).await;
            let text = error.to_string();
            Err(told(StatusCode::TOO_MANY_REQUESTS, "too-many", text))
        }
        Err(error) => {
            tracing::error!(%error, "an event was not accepted");
            Err(not_accepted())
        }
    }
}

/// Nothing was promised: the sender keeps the event and sends it again.
fn not_accepted() -> Response {
    told(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "the event could not be made durable: send it again".to_owned(),
    )
}

fn ended(state: JobState, job: &str) -> Response {
    let status = match state {
        JobState::Succeeded => StatusCode::OK,
        JobState::Queued
        | JobState::Running
        | JobState::Failed
        | JobState::Review
        | JobState::Stopped => StatusCode::BAD_GATEWAY,
    };
    (
        status,
        axum::Json(json!({ "job": job, "state": state.as_str() })),
    )
        .into_response()
}

fn respond(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let mut response = (status, axum::Json(reply.body)).into_response();
    for (name, value) in reply.headers {
        let header = HeaderName::try_from(name)
            .ok()
            .zip(HeaderValue::try_from(value).ok());
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
