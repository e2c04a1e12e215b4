//! An answer that keeps its call's place until it was sent.
//!
//! It goes out in pieces, each when the one before has left for the connection:
//! whoever asks for long answers and reads none of them holds a place for each.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::{Frame, SizeHint};

/// One piece, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// What is still to be sent, and what is held until it is.
struct Held<P> {
    body: Body,
    /// What is left of what the body gave last.
    rest: Bytes,
    _pass: P,
}

/// The answer that holds `pass` as long as something of it was not sent.
pub(super) fn holding<P>(answer: Response, pass: P) -> Response
where
    P: Send + Unpin + 'static,
{
    answer.map(|body| {
        Body::new(Held {
            body,
            rest: Bytes::new(),
            _pass: pass,
        })
    })
}

impl<P: Unpin> HttpBody for Held<P> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => self.rest = piece,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, of_body) = (self.rest.len() as u64, self.body.size_hint());
        match of_body.exact() {
            Some(exact) => SizeHint::with_exact(exact.saturating_add(rest)),
            None => SizeHint::default(),
        }
    }
}
