//! Replies: JSON or bytes in one piece, in pieces, slowly, or for ever.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;
use tokio::time::Sleep;

use crate::encode;
use crate::mode::Mode;

/// Pause between two bytes of a slow body.
const SLOW_PAUSE: Duration = Duration::from_millis(100);
/// Bytes in each piece of an endless body.
const ENDLESS_PIECE: &[u8] = &[b'e'; 16 * 1024];

/// What every handler returns.
pub(crate) type Reply = Response<ReplyBody>;

/// A reply's body.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    /// In one piece, with its length.
    Whole(Bytes),
    /// In pieces of this many bytes, without its length.
    Pieces(Bytes, usize),
    /// One byte at a time, with a pause before each.
    Slow(Bytes, Pin<Box<Sleep>>),
    /// For ever.
    Endless,
}

impl ReplyBody {
    /// The bytes, if the body ends.
    fn into_bytes(self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) | Self::Pieces(bytes, _) | Self::Slow(bytes, _) => Some(bytes),
            Self::Endless => None,
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match self.get_mut() {
            Self::Whole(rest) => std::mem::take(rest),
            Self::Pieces(rest, size) => rest.split_to((*size).min(rest.len())),
            Self::Slow(rest, pause) => {
                if pause.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                pause
                    .as_mut()
                    .reset(tokio::time::Instant::now() + SLOW_PAUSE);
                rest.split_to(rest.len().min(1))
            }
            Self::Endless => Bytes::from_static(ENDLESS_PIECE),
        };
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(rest) | Self::Pieces(rest, _) | Self::Slow(rest, _) => rest.is_empty(),
            Self::Endless => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(rest) | Self::Slow(rest, _) => SizeHint::with_exact(rest.len() as u64),
            Self::Pieces(..) | Self::Endless => SizeHint::default(),
        }
    }
}

/// A reply of `content_type`, whole.
pub(crate) fn bytes(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Reply {
    let mut reply = Response::new(ReplyBody::Whole(body.into()));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// A JSON reply.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => bytes(status, "application/json", body),
        Err(fault) => bytes(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            fault.to_string(),
        ),
    }
}

/// A refusal with a reason, as JSON.
pub(crate) fn refusal(status: StatusCode, reason: &str) -> Reply {
    json(status, &serde_json::json!({ "error": reason }))
}

/// A reply that never ends.
pub(crate) fn endless() -> Reply {
    let mut reply = bytes(StatusCode::OK, "application/octet-stream", Bytes::new());
    *reply.body_mut() = ReplyBody::Endless;
    reply
}

/// Sends a finished reply in the way that the mode asks for.
pub(crate) fn sent_as(mode: Mode, reply: Reply) -> Reply {
    let (mut head, body) = reply.into_parts();
    let body = match (mode, body) {
        (Mode::Gzip, body) => match body.into_bytes() {
            Some(bytes) => {
                head.headers
                    .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                ReplyBody::Whole(encode::gzip(&bytes).into())
            }
            None => ReplyBody::Endless,
        },
        (Mode::Slow, body) => match body.into_bytes() {
            Some(bytes) => ReplyBody::Slow(bytes, Box::pin(tokio::time::sleep(SLOW_PAUSE))),
            None => ReplyBody::Endless,
        },
        (
            Mode::Up
            | Mode::Down
            | Mode::Hang
            | Mode::Reset
            | Mode::Lost
            | Mode::Silent
            | Mode::Broken
            | Mode::Endless,
            body,
        ) => body,
    };
    Response::from_parts(head, body)
}
