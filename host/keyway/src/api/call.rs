//! Follow one call of the API: who calls, the turnstile, the whole body, the
//! handler, and the answer until it is sent.
//!
//! A call that has begun goes on to its end, also when its caller goes away:
//! what is stored and what holds in memory change together or not at all. What
//! waits for a guest, or for the compiler, is told that nobody waits for it, and
//! ends it.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::RequestExt as _;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode, request::Parts};
use axum::middleware::Next;
use axum::response::Response;
use keyway_authz::{DenialReason, Principal};
use keyway_gate::Presence;
use keyway_model::Environment;
use keyway_model::limit::API_BODY_MS_MAX;

use super::answer::{self, told};
use super::bodies::Bodies;
use super::sent;
use super::turnstile::{Caller, Over, Pass, Recording, Turnstile};
use crate::deployment::Deployment;
use crate::strangers::{Ask, Peer};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_millis(API_BODY_MS_MAX);

/// What every call of one route passes through.
#[derive(Clone, Debug)]
pub(super) struct Governor {
    deployment: Arc<Deployment>,
    turnstile: Arc<Turnstile>,
    bodies: Arc<Bodies>,
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
        Self {
            deployment,
            turnstile: Arc::default(),
            bodies: Arc::default(),
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
    pub(super) async fn call(&self, mut request: Request, next: Next) -> Response {
        let named = match request.extract_parts::<RawPathParams>().await {
            Ok(parameters) => environment(&parameters),
            Err(_) => None,
        };
        let (mut parts, body) = request.into_parts();
        let (caller, pass) = match self.enter(&parts, named).await {
            Ok(entered) => entered,
            Err(refusal) => return refusal,
        };
        let principal = caller.principal;
        let body = match self.whole(body, &caller).await {
            Ok(body) => body,
            Err(refused) => return self.refuse(principal, refused).await,
        };
        parts.extensions.insert(principal);
        let (waiting, presence) = Presence::of_a_caller();
        parts.extensions.insert(presence);
        let request = Request::from_parts(parts, Body::from(body));
        let begun = tokio::spawn(async move {
            let answer = next.run(request).await;
            sent::holding(answer, pass)
        });
        let ended = begun.await;
        drop(waiting);
        ended.unwrap_or_else(|error| {
            tracing::error!(%error, operation = self.operation, "an API call broke off");
            let message = "the call broke off; what it says is in the log".to_owned();
            told(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
        })
    }

    /// Answers a call of what is not there: who calls so counts all the same.
    pub(super) async fn no_such_route(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        match self.enter(&parts, None).await {
            Ok(_) => answer::no_such_route(&Request::from_parts(parts, body)),
            Err(refusal) => refusal,
        }
    }

    /// Who calls, and that it may; or what it is told.
    async fn enter(
        &self,
        parts: &Parts,
        named: Option<Environment>,
    ) -> Result<(Caller, Pass), Response> {
        let principal = match parts.extensions.get::<Principal>() {
            Some(known) => *known,
            None => self.authenticated(parts)?,
        };
        let (workspace, limits) = self.deployment.api_limits(principal, named);
        let caller = Caller {
            principal,
            workspace,
            limits,
        };
        match self.turnstile.enter(caller, self.operation, Instant::now()) {
            Ok(pass) => Ok((caller, pass)),
            Err(over) => Err(self.too_many(principal, over).await),
        }
    }

    /// The principal of the token that a request carries.
    #[expect(
        clippy::result_large_err,
        reason = "a response, given once to its caller"
    )]
    fn authenticated(&self, parts: &Parts) -> Result<Principal, Response> {
        let token = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let principal = token.and_then(|token| self.deployment.authenticate(token));
        principal.ok_or_else(|| {
            let refusal = told(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "send `Authorization: Bearer TOKEN` with a token that is valid".to_owned(),
            );
            let peer = Peer::of(&parts.extensions);
            self.deployment.strangers().refuse(peer, Ask::Api, refusal)
        })
    }

    async fn too_many(&self, principal: Principal, over: Over) -> Response {
        let refused = Refused {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: "too-many",
            recording: over.record,
            message: over.to_string(),
        };
        let mut answer = self.refuse(principal, refused).await;
        let headers = answer.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        answer
    }

    /// The whole body, if it is short enough and arrives in time, its turn included.
    async fn whole(&self, body: Body, caller: &Caller) -> Result<Bytes, Refused> {
        let max = self.body_bytes_max;
        let read = async {
            let _place = self.bodies.place(caller, max).await;
            to_bytes(body, max).await
        };
        let (status, code, message) = match tokio::time::timeout(BODY_TIMEOUT, read).await {
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
                format!(
                    "the body, and its turn among others, took longer than {} s",
                    BODY_TIMEOUT.as_secs()
                ),
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

/// The environment that a path names.
fn environment(parameters: &RawPathParams) -> Option<Environment> {
    let named = parameters.iter().find(|(key, _)| *key == "env");
    named.and_then(|(_, value)| value.parse().ok())
}

fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<http_body_util::LengthLimitError>()
}
