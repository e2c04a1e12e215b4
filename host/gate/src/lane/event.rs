//! What a worker says about one of its calls, and what it costs the broker to
//! keep until it is read.

use bytes::Bytes;
use keyway_ipc::{BodyStart, CallOutcome, HostCall, RequestId, Usage};
use keyway_model::limit::{
    FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES_MAX, METHOD_BYTES_MAX, URL_BYTES_MAX,
};

/// What a guest call's worker says about it.
#[derive(Debug)]
pub(crate) enum Event {
    /// The guest asks for something.
    Host(RequestId, HostCall),
    /// More of a request body; `None` is its end.
    Body(RequestId, Option<Bytes>),
    /// The guest gave a request body up.
    BodyAborted(RequestId),
    /// The guest takes so many more bytes of a response body.
    Credit(RequestId, u32),
    /// The guest no longer wants a response body.
    Forget(RequestId),
    /// The call has ended.
    Done(CallOutcome, Usage),
}

impl Event {
    /// Whether no guest could have caused it: a worker refuses what is larger.
    pub(super) fn is_swollen(&self) -> bool {
        match self {
            Self::Host(_, HostCall::Http(request)) => {
                let (body, body_bytes_max) = match &request.body {
                    BodyStart::Whole(body) => (body, FRAME_BODY_BYTES_MAX),
                    // It begins with a frame and a chunk of a guest's.
                    BodyStart::Stream { first, .. } => (first, 2 * FRAME_BODY_BYTES_MAX),
                };
                request.method.len() > METHOD_BYTES_MAX
                    || request.url.len() > URL_BYTES_MAX
                    || body.len() > body_bytes_max
                    || request.header_bytes() > FRAME_HEADER_BYTES_MAX
            }
            Self::Host(_, HostCall::Scratch(call)) => call.refusal().is_some(),
            Self::Host(
                _,
                HostCall::Log(_)
                | HostCall::Parameter
                | HostCall::Scopes
                | HostCall::StateGet { .. }
                | HostCall::StateSet { .. }
                | HostCall::StateDelete { .. },
            )
            | Self::Body(..)
            | Self::BodyAborted(_)
            | Self::Credit(..)
            | Self::Forget(_)
            | Self::Done(..) => false,
        }
    }

    /// What it holds of this process's memory, about.
    pub(super) fn bytes(&self) -> usize {
        const OWN: usize = 128;
        let content = match self {
            Self::Host(_, call) => call.bytes(),
            Self::Body(_, Some(bytes)) => bytes.len(),
            Self::Body(_, None) | Self::BodyAborted(_) | Self::Credit(..) | Self::Forget(_) => 0,
            Self::Done(outcome, _) => outcome.bytes(),
        };
        OWN + content
    }
}
