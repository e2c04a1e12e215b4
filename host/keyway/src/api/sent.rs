//! An answer that keeps its call's place until it was sent.
//!
//! It goes out in pieces, each when the one before has left for the connection:
//! whoever asks for long answers and reads none of them holds a place for each.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::StatusCode;
use axum::response::Response;
use http_body::{Frame, SizeHint};

use super::answer::told;

/// One piece, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// What is still to be sent, and what is held until it is.
struct Held<P> {
    rest: Bytes,
    _pass: P,
}

/// The answer that holds `pass` as long as something of it was not sent.
pub(super) async fn holding<P>(answer: Response, pass: P) -> Response
where
    P: Send + Unpin + 'static,
{
    let (parts, body) = answer.into_parts();
    match to_bytes(body, usize::MAX).await {
        Ok(rest) => Response::from_parts(parts, Body::new(Held { rest, _pass: pass })),
        Err(error) => {
            tracing::error!(%error, "an answer could not be put together");
            let message = "the answer broke off; what it says is in the log".to_owned();
            told(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
        }
    }
}

impl<P: Unpin> HttpBody for Held<P> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
