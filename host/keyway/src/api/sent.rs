//! An answer that keeps its call's place until it was sent.
//!
//! It goes out in pieces, each when the one before has left for the connection:
//! whoever asks for long answers and reads none of them holds a place for each, until
//! they are cut off.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use keyway_model::limit::ANSWER_STALL_MS_MAX;
use parking_lot::Mutex;

/// One piece, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// How long a client may take nothing of an answer.
const STALL: Duration = Duration::from_millis(ANSWER_STALL_MS_MAX);

/// An answer on its way.
struct Held<P>(Arc<Mutex<Sending<P>>>);

struct Sending<P> {
    /// `None` once it is cut off.
    left: Option<Left<P>>,
    /// Pieces that the connection has taken.
    taken: u64,
    /// What is to be sent next is not there yet: nobody but this side is late.
    waits: bool,
}

/// What is still to be sent, and what is held until it is.
struct Left<P> {
    body: Body,
    /// What is left of what the body gave last.
    rest: Bytes,
    _pass: P,
}

/// The answer that holds `pass` as long as something of it was not sent, and is not
/// read as slowly as if nobody did.
pub(super) fn holding<P>(answer: Response, pass: P) -> Response
where
    P: Send + 'static,
{
    holding_for(answer, pass, STALL)
}

fn holding_for<P>(answer: Response, pass: P, stall: Duration) -> Response
where
    P: Send + 'static,
{
    answer.map(|body| {
        let length = body.size_hint().exact();
        let sending = Arc::new(Mutex::new(Sending {
            left: Some(Left {
                body,
                rest: Bytes::new(),
                _pass: pass,
            }),
            taken: 0,
            waits: false,
        }));
        if length.is_none_or(|length| length > PIECE_BYTES as u64) {
            tokio::spawn(cut_off_when_stalled(Arc::downgrade(&sending), stall));
        }
        Body::new(Held(sending))
    })
}

/// Takes an answer, and the places that it holds, from whoever takes nothing of it.
async fn cut_off_when_stalled<P>(sending: Weak<Mutex<Sending<P>>>, stall: Duration) {
    let mut before = None;
    loop {
        tokio::time::sleep(stall).await;
        let Some(sending) = sending.upgrade() else {
            return;
        };
        let mut sending = sending.lock();
        let now = (!sending.waits).then_some(sending.taken);
        if now.is_some() && now == before {
            let left = sending.left.take();
            drop(sending);
            drop(left);
            tracing::debug!("an answer was cut off: nothing of it was taken");
            return;
        }
        before = now;
    }
}

impl<P> HttpBody for Held<P> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut sending = self.0.lock();
        sending.taken += 1;
        let polled = match &mut sending.left {
            Some(left) => left.poll_piece(context),
            None => Poll::Ready(Some(Err("nothing of it was taken for too long".into()))),
        };
        sending.waits = polled.is_pending();
        polled
    }

    fn is_end_stream(&self) -> bool {
        let sending = self.0.lock();
        let left = sending.left.as_ref();
        left.is_some_and(|left| left.rest.is_empty() && left.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let sending = self.0.lock();
        let Some(left) = &sending.left else {
            return SizeHint::default();
        };
        let (rest, of_body) = (left.rest.len() as u64, left.body.size_hint());
        match of_body.exact() {
            Some(exact) => SizeHint::with_exact(exact.saturating_add(rest)),
            None => SizeHint::default(),
        }
    }
}

impl<P> Left<P> {
    fn poll_piece(
        &mut self,
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
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn an_answer_of_which_nothing_is_taken_is_cut_off_with_its_place_and_no_other() {
        let stall = Duration::from_millis(20);
        let answer = || Response::new(Body::from(vec![7; 8 * PIECE_BYTES]));
        let (held, place) = tokio::sync::oneshot::channel::<()>();
        let mut stalled = holding_for(answer(), held, stall).into_body();
        assert!(stalled.frame().await.unwrap().is_ok());
        // The place is free when its other end is gone.
        assert!(place.await.is_err());
        assert!(stalled.frame().await.unwrap().is_err());
        let taken = holding_for(answer(), (), stall).into_body();
        let whole = taken.collect().await.unwrap().to_bytes();
        assert_eq!(whole.len(), 8 * PIECE_BYTES);
    }

    #[tokio::test]
    async fn an_answer_that_this_side_is_late_with_is_not_cut_off() {
        let (give, given) = tokio::sync::oneshot::channel::<Bytes>();
        let stream = futures_util::stream::once(given);
        let stall = Duration::from_millis(5);
        let mut body = holding_for(Response::new(Body::from_stream(stream)), (), stall).into_body();
        let reader = tokio::spawn(async move { body.frame().await.unwrap().is_ok() });
        let mut looks = tokio::time::interval(stall);
        for _ in 0..10 {
            looks.tick().await;
        }
        give.send(Bytes::from_static(b"late")).unwrap();
        assert!(reader.await.unwrap());
    }
}
