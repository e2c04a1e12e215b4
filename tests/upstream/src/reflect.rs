//! `GET /reflect`: an upstream that throws the caller's own headers and query back, encoded so that a secret is hard to recognize.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use crate::answer::{Asked, query};
use crate::encode;
use crate::reply::{self, Reply, ReplyBody};

/// Reflects the request's headers.
///
/// `encoding` is absent (raw text, one header a line), `base64`, `hex`, `percent` or `json` (every character escaped);
/// `shift=N` puts N bytes before the text, which moves its base64 alignment; `chunks=N` sends pieces of N bytes;
/// `header=NAME` reflects the credential's header into a response header of that name as well.
pub(crate) fn answer(asked: &Asked) -> Reply {
    let mut text = shift(asked);
    for (name, value) in asked.headers() {
        text.push_str(&format!(
            "{name}: {}\n",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    text.push_str(asked.uri().query().unwrap_or_default());
    let (content_type, body) = match query(asked, "encoding").as_deref() {
        None | Some("raw") => ("text/plain", text),
        Some("base64") => ("text/plain", STANDARD.encode(text)),
        Some("hex") => ("text/plain", hex::encode(text)),
        Some("percent") => ("text/plain", encode::percent(text.as_bytes())),
        Some("json") => (
            "application/json",
            format!("{{\"headers\":{}}}", encode::json_escaped(&text)),
        ),
        Some(_) => {
            return reply::refusal(
                StatusCode::BAD_REQUEST,
                "`encoding` is one of raw, base64, hex, percent, json",
            );
        }
    };
    let mut reply = reply::bytes(StatusCode::OK, content_type, body);
    if let Some(name) = query(asked, "header") {
        let given = asked.headers().get(http::header::AUTHORIZATION).cloned();
        if let (Ok(name), Some(value)) = (http::HeaderName::try_from(name), given) {
            reply.headers_mut().insert(name, value);
        }
    }
    in_pieces(asked, reply)
}

/// Up to two filler bytes.
fn shift(asked: &Asked) -> String {
    let count = query(asked, "shift")
        .and_then(|count| count.parse::<usize>().ok())
        .unwrap_or(0);
    ".".repeat(count.min(2))
}

fn in_pieces(asked: &Asked, reply: Reply) -> Reply {
    let size = query(asked, "chunks").and_then(|size| size.parse::<usize>().ok());
    let Some(size) = size.filter(|size| *size > 0) else {
        return reply;
    };
    reply.map(|body| match body {
        ReplyBody::Whole(bytes) => ReplyBody::Pieces(bytes, size),
        other @ (ReplyBody::Pieces(..) | ReplyBody::Slow(..) | ReplyBody::Endless) => other,
    })
}
