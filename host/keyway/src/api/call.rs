//! Follow one call of the API: the turnstile, the whole body, the handler.
//!
//! A call that has begun goes on to its end, also when its caller goes away:
//! what is stored and what holds in memory change together or not at all. What
//! waits for a guest is told that nobody waits for it, and ends it.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use keyway_authz::{DenialReason, Principal};
use keyway_gate::Presence;
use keyway_model::limit::API_BODY_MS_MAX;

use super::answer::told;
use super::turnstile::{Recording, Turnstile};
use crate::deployment::Deployment;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_millis(API_BODY_MS_MAX);

/// What every call of one route passes through.
#[derive(Clone, Debug)]
pub(super) struct Governor {
    deployment: Arc<Deployment>,
    turnstile: Arc<Turnstile>,
    operation: &'static str,
    body_bytes_max: usize,
}

/// A call that is refused before it begins.
struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
    recording: Recording,
}

impl Governor {
    pub(super) fn of(deployment: Arc<Deployment>) -> Self {
        let turnstile = Arc::new(Turnstile::of(deployment.config().api));
        Self {
            deployment,
            turnstile,
            operation: "",
            body_bytes_max: 0,
        }
    }

    pub(super) fn for_route(&self, operation: &'static str, body_bytes_max: usize) -> Self {
        Self {
            operation,
            body_bytes_max,
            ..self.clone()
        }
    }

    /// Serves one call.
    pub(super) async fn call(&self, request: Request, next: Next) -> Response {
        let Some(principal) = request.extensions().get::<Principal>().copied() else {
            return told(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "nobody knows who calls".to_owned(),
            );
        };
        let pass = match self.turnstile.enter(principal, self.operation) {
            Ok(pass) => pass,
            Err(over) => {
                let refused = Refused {
                    status: StatusCode::TOO_MANY_REQUESTS,
                    code: "too-many",
                    recording: over.record,
                    message: over.to_string(),
                };
                let mut answer = self.refuse(principal, refused).await;
                let headers = answer.headers_mut();
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
                return answer;
            }
        };
        let (mut parts, body) = request.into_parts();
        let body = match self.whole(body).await {
            Ok(body) => body,
            Err(refused) => return self.refuse(principal, refused).await,
        };
        let (waiting, presence) = Presence::of_a_caller();
        parts.extensions.insert(presence);
        let request = Request::from_parts(parts, Body::from(body));
        let begun = tokio::spawn(async move {
            let answer = next.run(request).await;
            drop(pass);
            answer
        });
        let ended = begun.await;
        drop(waiting);
        ended.unwrap_or_else(|error| {
            tracing::error!(%error, operation = self.operation, "an API call broke off");
            let message = "the call broke off; what it says is in the log".to_owned();
            told(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
        })
    }

    /// The whole body, if it is short enough and arrives in time.
    async fn whole(&self, body: Body) -> Result<Bytes, Refused> {
        let max = self.body_bytes_max;
        let (status, code, message) =
            match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, max)).await {
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(error)) if error.source().is_some_and(is_too_long) => (
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too-large",
                    match max {
                        0 => "this route takes no body: send none".to_owned(),
                        max => format!("the body exceeds what this route takes ({max} bytes)"),
                    },
                ),
                Ok(Err(error)) => (
                    StatusCode::BAD_REQUEST,
                    "invalid",
                    format!("the body did not arrive: {error}"),
                ),
                Err(_) => (
                    StatusCode::REQUEST_TIMEOUT,
                    "timeout",
                    format!("the body took longer than {} s", BODY_TIMEOUT.as_secs()),
                ),
            };
        Err(Refused {
            status,
            code,
            message,
            recording: Recording::Due,
        })
    }

    async fn refuse(&self, principal: Principal, refused: Refused) -> Response {
        if refused.recording == Recording::Due {
            let reason = match refused.status {
                StatusCode::BAD_REQUEST => DenialReason::Malformed,
                _ => DenialReason::Limit,
            };
            let why = (reason, refused.message.as_str());
            let deployment = &self.deployment;
            deployment
                .refused_call(principal, self.operation, why)
                .await;
        }
        told(refused.status, refused.code, refused.message)
    }
}

fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<http_body_util::LengthLimitError>()
}
