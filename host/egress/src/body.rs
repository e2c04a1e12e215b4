//! The body of a request: whole or streamed, held to its length and a limit.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use crate::error::{EgressError, HeaderProblem, Limit, Sent};
use crate::header;

/// Why a body ended early, in the words of whoever makes it.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// How long a streamed body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Exactly so many bytes; fewer or more abort the exchange.
    Known(u64),
    /// Known when it ends.
    Unknown,
}

/// The body of a request.
#[derive(Debug, Default)]
pub struct RequestBody(Kind);

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Done,
    Whole(Bytes),
    Stream(Streamed),
}

#[derive(Debug)]
struct Streamed {
    body: UnsyncBoxBody<Bytes, BodyError>,
    length: Length,
    passed: u64,
    max: u64,
    /// The piece that completes a known length, until the stream has ended.
    last: Option<Bytes>,
}

impl RequestBody {
    /// No body.
    pub const fn empty() -> Self {
        Self(Kind::Done)
    }

    /// A body that is all here.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::empty()
        } else {
            Self(Kind::Whole(bytes))
        }
    }

    /// A body that arrives piece by piece.
    pub fn stream(body: UnsyncBoxBody<Bytes, BodyError>, length: Length) -> Self {
        Self(Kind::Stream(Streamed {
            body,
            length,
            passed: 0,
            max: u64::MAX,
            last: None,
        }))
    }

    fn length(&self) -> Length {
        match &self.0 {
            Kind::Done => Length::Known(0),
            Kind::Whole(bytes) => Length::Known(bytes.len() as u64),
            Kind::Stream(streamed) => streamed.length,
        }
    }

    /// Holds the body to the limit and to the length that the guest's
    /// `content-length` named.
    pub(crate) fn limited(mut self, max: u64, named: Option<u64>) -> Result<Self, EgressError> {
        match (self.length(), named) {
            (Length::Known(length), Some(named)) if length != named => {
                return Err(header::refuse(&CONTENT_LENGTH, HeaderProblem::WrongLength));
            }
            (Length::Known(length), _) | (Length::Unknown, Some(length)) if length > max => {
                let limit = Limit::RequestBodyBytes;
                return Err(EgressError::TooLarge {
                    limit,
                    max,
                    sent: Sent::No,
                });
            }
            _ => {}
        }
        if let Kind::Stream(streamed) = &mut self.0 {
            streamed.max = max;
            streamed.length = named.map_or(streamed.length, Length::Known);
        }
        Ok(self)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        match &mut self.0 {
            Kind::Done => Poll::Ready(None),
            Kind::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Done;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Stream(streamed) => {
                let next = ready!(streamed.poll_next(cx));
                if !matches!(next, Some(Ok(_))) {
                    self.0 = Kind::Done;
                }
                Poll::Ready(next.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Done => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(streamed) => streamed.size_hint(),
        }
    }
}

impl Streamed {
    /// The next piece. The piece that completes a known length is held until
    /// the stream has ended: HTTP stops reading a body that is complete, and
    /// would not notice one that goes on.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, EgressError>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(self.end()),
                Some(Err(source)) => return Poll::Ready(Some(Err(body_error(source)))),
                Some(Ok(frame)) => frame,
            };
            let Ok(piece) = frame.into_data() else {
                return Poll::Ready(Some(Err(body_error(
                    "it has trailers, which are not sent".into(),
                ))));
            };
            if piece.is_empty() {
                continue;
            }
            if let Err(error) = self.count(piece.len() as u64) {
                return Poll::Ready(Some(Err(error)));
            }
            if self.length == Length::Known(self.passed) {
                self.last = Some(piece);
                continue;
            }
            return Poll::Ready(Some(Ok(piece)));
        }
    }

    fn count(&mut self, bytes: u64) -> Result<(), EgressError> {
        self.passed = self.passed.saturating_add(bytes);
        if let Length::Known(length) = self.length
            && self.passed > length
        {
            return Err(body_error("it is longer than its content-length".into()));
        }
        if self.passed > self.max {
            let limit = Limit::RequestBodyBytes;
            return Err(EgressError::TooLarge {
                limit,
                max: self.max,
                sent: Sent::Maybe,
            });
        }
        Ok(())
    }

    fn end(&mut self) -> Option<Result<Bytes, EgressError>> {
        match (self.last.take(), self.length) {
            (Some(piece), _) => Some(Ok(piece)),
            (None, Length::Known(length)) if self.passed < length => Some(Err(body_error(
                "it is shorter than its content-length".into(),
            ))),
            (None, _) => None,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.last.as_ref().map_or(0, |piece| piece.len() as u64);
        match self.length {
            Length::Known(length) => {
                SizeHint::with_exact(length.saturating_sub(self.passed).saturating_add(held))
            }
            Length::Unknown => SizeHint::default(),
        }
    }
}

fn body_error(source: BodyError) -> EgressError {
    EgressError::RequestBody {
        source: Arc::from(source),
    }
}
