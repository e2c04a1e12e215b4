//! What comes back: checked, stripped, decoded, limited in size and time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use keyway_model::net::Origin;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::body::BodyError;
use crate::config::{Limits, Timeouts};
use crate::decode::{Decoder, PIECE_BYTES};
use crate::error::{EgressError, Limit, Sent, Wait};
use crate::header;

/// Pieces that are decoded before others have a turn.
const PIECES_AT_ONCE: usize = 16;

/// What an upstream answered.
#[derive(Debug)]
pub struct Reply {
    /// The status; never 1xx.
    pub status: StatusCode,
    /// The headers, without those of one hop and without `content-encoding`.
    pub headers: HeaderMap,
    /// The body, never encoded.
    pub body: ReplyBody,
}

/// The body of a reply. Ends with an error when a limit of size or time is
/// reached; dropping it before its end closes the connection. Trailers are not
/// passed on.
#[derive(Debug)]
pub struct ReplyBody {
    /// `None` after the end.
    incoming: Option<Incoming>,
    decoder: Option<Box<Decoder>>,
    /// Received and not yet decoded.
    encoded: Bytes,
    received: u64,
    rules: Rules,
    /// Armed only while nothing arrives.
    alarm: Option<(Wait, Pin<Box<Sleep>>)>,
}

#[derive(Debug)]
struct Rules {
    origin: Origin,
    header_bytes_max: u32,
    body_bytes_max: u64,
    idle: Duration,
    total: Duration,
    deadline: Instant,
}

impl Reply {
    pub(crate) fn receive(
        response: Response<Incoming>,
        origin: &Origin,
        limits: &Limits,
        timeouts: &Timeouts,
        deadline: Instant,
    ) -> Result<Self, EgressError> {
        let (mut parts, incoming) = response.into_parts();
        let problem = if parts.status.is_informational() {
            Some("it switches protocols without being asked to")
        } else {
            header::framing_problem(&parts.headers)
        };
        if let Some(problem) = problem {
            return Err(EgressError::Protocol {
                origin: origin.clone(),
                source: Arc::from(BodyError::from(problem)),
            });
        }
        header::check_transfer_coding(&parts.headers)?;
        header::strip_reply(&mut parts.headers, limits)?;
        let rules = Rules {
            origin: origin.clone(),
            header_bytes_max: limits.reply_header_bytes_max,
            body_bytes_max: limits.reply_body_bytes_max,
            idle: timeouts.idle,
            total: timeouts.total,
            deadline,
        };
        if incoming.size_hint().lower() > rules.body_bytes_max {
            return Err(rules.too_large());
        }
        let decoder = if incoming.is_end_stream() {
            None
        } else {
            let Limits {
                reply_body_bytes_max,
                reply_expansion_max,
                ..
            } = *limits;
            Decoder::for_reply(
                &mut parts.headers,
                reply_body_bytes_max,
                reply_expansion_max,
            )?
            .map(Box::new)
        };
        let body = ReplyBody {
            incoming: Some(incoming),
            decoder,
            encoded: Bytes::new(),
            received: 0,
            rules,
            alarm: None,
        };
        Ok(Self {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let next = ready!(self.poll_next(cx));
        if !matches!(next, Some(Ok(_))) {
            self.incoming = None;
            self.encoded = Bytes::new();
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.incoming {
            None => true,
            Some(incoming) => self.decoder.is_none() && incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.incoming, &self.decoder) {
            (None, _) => SizeHint::with_exact(0),
            (Some(incoming), None) => incoming.size_hint(),
            (Some(_), Some(_)) => SizeHint::default(),
        }
    }
}

impl ReplyBody {
    /// Bytes received so far, as they came over the wire's framing.
    pub const fn received_bytes(&self) -> u64 {
        self.received
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, EgressError>>> {
        let mut pieces = PIECES_AT_ONCE;
        loop {
            if let Some(piece) = self.decode_next(&mut pieces) {
                return Poll::Ready(Some(piece));
            }
            if pieces == 0 {
                // What decodes to nothing does not keep others waiting either.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Some(incoming) = &mut self.incoming else {
                return Poll::Ready(None);
            };
            let frame = match Pin::new(incoming).poll_frame(cx) {
                Poll::Pending => return self.poll_alarm(cx).map(|error| Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(self.end()),
                Poll::Ready(Some(Err(error))) => {
                    let Rules {
                        origin,
                        header_bytes_max,
                        ..
                    } = &self.rules;
                    let error = EgressError::from_body(origin, *header_bytes_max, error);
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if let Err(error) = self.take(&data) {
                return Poll::Ready(Some(Err(error)));
            }
            if self.decoder.is_none() {
                return Poll::Ready(Some(Ok(data)));
            }
            self.encoded = data;
        }
    }

    fn take(&mut self, data: &Bytes) -> Result<(), EgressError> {
        self.alarm = None;
        self.received = self.received.saturating_add(data.len() as u64);
        if self.received > self.rules.body_bytes_max {
            return Err(self.rules.too_large());
        }
        if Instant::now() >= self.rules.deadline {
            return Err(EgressError::Timeout {
                which: Wait::Total,
                after: self.rules.total,
            });
        }
        Ok(())
    }

    /// The next decoded piece that is not empty, of so many pieces.
    fn decode_next(&mut self, pieces: &mut usize) -> Option<Result<Bytes, EgressError>> {
        let decoder = self.decoder.as_mut()?;
        while *pieces > 0 && !self.encoded.is_empty() {
            *pieces -= 1;
            let piece = self
                .encoded
                .chunk()
                .get(..PIECE_BYTES)
                .unwrap_or(&self.encoded);
            let length = piece.len();
            let decoded = decoder.decode(piece);
            self.encoded.advance(length);
            match decoded {
                Ok(decoded) if decoded.is_empty() => {}
                other => return Some(other),
            }
        }
        None
    }

    fn end(&mut self) -> Option<Result<Bytes, EgressError>> {
        let mut decoder = self.decoder.take()?;
        match decoder.finish() {
            Ok(rest) if rest.is_empty() => None,
            other => {
                self.incoming = None;
                Some(other)
            }
        }
    }

    /// Nothing arrives: waits for the idle limit or the end of the exchange,
    /// whichever is first.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<EgressError> {
        let rules = &self.rules;
        let (which, sleep) = self.alarm.get_or_insert_with(|| {
            let idle_end = Instant::now() + rules.idle;
            let which = if idle_end < rules.deadline {
                Wait::Idle
            } else {
                Wait::Total
            };
            (which, Box::pin(sleep_until(idle_end.min(rules.deadline))))
        });
        ready!(sleep.as_mut().poll(cx));
        let after = if *which == Wait::Idle {
            rules.idle
        } else {
            rules.total
        };
        Poll::Ready(EgressError::Timeout {
            which: *which,
            after,
        })
    }
}

impl Rules {
    const fn too_large(&self) -> EgressError {
        EgressError::TooLarge {
            limit: Limit::ReplyBodyBytes,
            max: self.body_bytes_max,
            sent: Sent::Maybe,
        }
    }
}
