//! From a request to a reply: count it, check the credential, misbehave if told to, then route.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{AUTHORIZATION, LOCATION};
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
    authorization: String,
    pub(crate) book: Mutex<Book>,
}

/// A request whose body has been read.
pub(crate) type Asked = Request<Bytes>;

impl Upstream {
    pub(crate) fn new(token: &str) -> Self {
        Self {
            authorization: format!("Bearer {token}"),
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

    fn is_authorized(&self, asked: &Asked) -> bool {
        asked
            .headers()
            .get(AUTHORIZATION)
            .is_some_and(|given| given == self.authorization.as_str())
    }
}

/// The value of one query parameter.
pub(crate) fn query(asked: &Asked, name: &str) -> Option<String> {
    url::form_urlencoded::parse(asked.uri().query().unwrap_or_default().as_bytes())
        .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
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
