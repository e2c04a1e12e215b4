//! Answers and problems of the API, and the strict reading of bodies.

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyway_gate::ControlError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::types::{Problem, ProblemText};

/// What a handler gives.
pub(super) type Answer = Response;

/// JSON for a result, or its problem.
pub(super) fn reply<T: Serialize>(result: Result<T, ControlError>) -> Answer {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => problem(&error),
    }
}

/// The status and text of an error.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other error is ours to look at"
)]
pub(super) fn problem(error: &ControlError) -> Response {
    let (status, code) = match error {
        ControlError::Denied { .. } => (StatusCode::FORBIDDEN, "denied"),
        ControlError::NotFound(_) => (StatusCode::NOT_FOUND, "not-found"),
        ControlError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        ControlError::Limit(_) => (StatusCode::TOO_MANY_REQUESTS, "too-many"),
        ControlError::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
        // Nobody reads it.
        ControlError::Cancelled => (StatusCode::REQUEST_TIMEOUT, "cancelled"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    };
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(%error, "an API call failed");
    }
    told(status, code, error.to_string())
}

/// A problem with its status.
pub(crate) fn told(status: StatusCode, code: &str, message: String) -> Response {
    let error = ProblemText {
        code: code.to_owned(),
        message,
    };
    (status, Json(Problem { error })).into_response()
}

/// The answer where there is no route.
pub(super) fn no_such_route(request: &Request) -> Response {
    let message = format!("there is no {} {}", request.method(), request.uri().path());
    told(StatusCode::NOT_FOUND, "not-found", message)
}

/// A JSON body in which nothing is unknown.
#[derive(Debug)]
pub(super) struct Strict<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Strict<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let bytes = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(|rejection| told(rejection.status(), "invalid", rejection.body_text()))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            told(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                format!("the body is not what this route takes: {error}"),
            )
        })
    }
}
