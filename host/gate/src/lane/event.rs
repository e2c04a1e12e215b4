//! What a worker says about one of its calls, and what it costs the broker to
//! keep until it is read.

use bytes::Bytes;
use keyway_ipc::{CallOutcome, HostCall, RequestId, Usage};
use keyway_model::limit::FRAME_HEADERS_MAX;

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
    /// Whether no guest could have caused it: a section of headers that a worker
    /// takes has far fewer.
    pub(super) fn is_swollen(&self) -> bool {
        matches!(self, Self::Host(_, HostCall::Http(request)) if request.headers.len() > FRAME_HEADERS_MAX)
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
