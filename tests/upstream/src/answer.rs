//! From a request to a reply: count it, check the credential, misbehave if told to, then route.

use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::LOCATION;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use parking_lot::Mutex;

use crate::book::Book;
use crate::line::Cut;
use crate::mode::Mode;
use crate::reply::{self, Reply};
use crate::{control, orders, reflect};

/// Bytes of a request's body that are read before the order system refuses it.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The order system: a credential and a book.
#[derive(Debug)]
pub(crate) struct Upstream {
    token: String,
    pub(crate) book: Mutex<Book>,
}

/// A request whose body has been read.
pub(crate) type Asked = Request<Bytes>;

impl Upstream {
    pub(crate) fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            book: Mutex::default(),
        }
    }

    /// Answers one request of one connection.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        cut: Arc<Cut>,
    ) -> Result<Reply, Infallible> {
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                return Ok(reply::refusal(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the body is too long",
                ));
            }
        };
        let asked = Request::from_parts(head, body);
        if asked.uri().path().starts_with("/control/") {
            return Ok(control::answer(&self.book, &asked));
        }
        let mode = {
            let mut book = self.book.lock();
            book.count_request(asked.uri().path());
            book.mode
        };
        Ok(match mode {
            Mode::Down => reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "the shop is closed"),
            Mode::Broken => reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, "the shop is broken"),
            Mode::Endless => reply::endless(),
            Mode::Hang => std::future::pending().await,
            Mode::Reset => match cut.now().await {},
            Mode::Lost => {
                self.route(&asked);
                match cut.now().await {}
            }
            Mode::Silent => {
                self.route(&asked);
                std::future::pending().await
            }
            Mode::Up | Mode::Gzip | Mode::Slow => reply::sent_as(mode, self.route(&asked)),
        })
    }

    /// The routes behind the credential.
    fn route(&self, asked: &Asked) -> Reply {
        if !self.is_authorized(asked) {
            self.book.lock().count_refusal();
            let mut reply = reply::refusal(StatusCode::UNAUTHORIZED, "a bearer token is needed");
            reply
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return reply;
        }
        match (asked.method(), asked.uri().path()) {
            (&Method::POST, "/orders") => orders::create(&self.book, asked),
            (&Method::GET, "/orders") => orders::list(&self.book, asked),
            (&Method::GET, "/account") => {
                reply::json(StatusCode::OK, &serde_json::json!({ "name": "Demo Shop" }))
            }
            (&Method::GET, "/reflect") => reflect::answer(asked),
            (&Method::GET, "/redirect") => redirect(asked),
            (&Method::GET, "/numbers") => numbers(asked),
            (&Method::POST, "/echo") => echo(asked),
            (&Method::POST, "/length") => reply::json(
                StatusCode::OK,
                &serde_json::json!({ "bytes": asked.body().len() }),
            ),
            (_, "/anything") => reply::json(StatusCode::OK, &serde_json::json!({ "ok": true })),
            (&Method::GET, path) => match path.strip_prefix("/orders/") {
                Some(id) => orders::show(&self.book, id),
                None => reply::refusal(StatusCode::NOT_FOUND, "there is no such page"),
            },
            (_, "/orders" | "/account" | "/reflect" | "/redirect") => reply::refusal(
                StatusCode::METHOD_NOT_ALLOWED,
                "this page does not take that method",
            ),
            _ => reply::refusal(StatusCode::NOT_FOUND, "there is no such page"),
        }
    }

    /// The token in any of the places where APIs want one: bearer, basic (as the password of `shop`), the header
    /// `x-api-key`, the query's `api_key`.
    fn is_authorized(&self, asked: &Asked) -> bool {
        let header = |name: &str| {
            asked
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let basic = STANDARD.encode(format!("shop:{}", self.token));
        let is_authorization = header("authorization").is_some_and(|given| {
            given.strip_prefix("Bearer ") == Some(&self.token)
                || given.strip_prefix("Basic ") == Some(&basic)
        });
        is_authorization
            || header("x-api-key") == Some(&self.token)
            || query(asked, "api_key").as_ref() == Some(&self.token)
    }
}

/// The value of one query parameter.
pub(crate) fn query(asked: &Asked, name: &str) -> Option<String> {
    url::form_urlencoded::parse(asked.uri().query().unwrap_or_default().as_bytes())
        .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

/// `GET /numbers?offset=N`: a list of 25 numbers, ten a page, with a `Link` to the next page.
fn numbers(asked: &Asked) -> Reply {
    const COUNT: usize = 25;
    const PAGE: usize = 10;
    let offset = query(asked, "offset").and_then(|offset| offset.parse::<usize>().ok());
    let from = offset.unwrap_or(0).min(COUNT);
    let to = from.saturating_add(PAGE).min(COUNT);
    let mut reply = reply::json(StatusCode::OK, &(from..to).collect::<Vec<_>>());
    if to < COUNT
        && let Ok(link) = HeaderValue::try_from(format!("</numbers?offset={to}>; rel=\"next\""))
    {
        reply.headers_mut().insert(header::LINK, link);
    }
    reply
}

/// `POST /echo`: what was sent, as text.
fn echo(asked: &Asked) -> Reply {
    let given = |name: header::HeaderName| {
        let value = asked.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    reply::json(
        StatusCode::OK,
        &serde_json::json!({
            "content_type": given(header::CONTENT_TYPE),
            "body": String::from_utf8_lossy(asked.body()),
        }),
    )
}

/// 302 to wherever the caller says: an open redirect, on purpose.
fn redirect(asked: &Asked) -> Reply {
    let Some(Ok(to)) = query(asked, "to").map(HeaderValue::try_from) else {
        return reply::refusal(StatusCode::BAD_REQUEST, "say where to with ?to=URL");
    };
    let mut reply = reply::bytes(StatusCode::FOUND, "text/plain", "moved");
    reply.headers_mut().insert(LOCATION, to);
    reply
}
