//! What travels beside a message: a descriptor, or a long piece of a body.

use bytes::Bytes;

use crate::message::{BodyStart, HostCall, HostReply, ToBroker, ToWorker};

/// What a link carries.
pub trait Message {
    /// Whether descriptors travel with any of these messages.
    const MAY_BRING_DESCRIPTORS: bool;

    /// Whether a descriptor travels with this message.
    fn brings_descriptor(&self) -> bool;

    /// What of a body is in this message: travels beside it, if it is long.
    fn body(&mut self) -> Option<&mut Bytes>;
}

impl Message for ToWorker {
    const MAY_BRING_DESCRIPTORS: bool = true;

    fn brings_descriptor(&self) -> bool {
        matches!(self, Self::Load { .. })
    }

    fn body(&mut self) -> Option<&mut Bytes> {
        match self {
            Self::Chunk { bytes, .. } => Some(bytes),
            Self::Reply {
                reply: HostReply::Http(Ok(reply)),
                ..
            } => Some(reply.body.bytes()),
            Self::Load { .. }
            | Self::Unload { .. }
            | Self::Invoke(_)
            | Self::Reply { .. }
            | Self::ChunkEnd { .. }
            | Self::Credit { .. }
            | Self::Cancel { .. } => None,
        }
    }
}

impl Message for ToBroker {
    const MAY_BRING_DESCRIPTORS: bool = false;

    fn brings_descriptor(&self) -> bool {
        false
    }

    fn body(&mut self) -> Option<&mut Bytes> {
        match self {
            Self::Chunk { bytes, .. } => Some(bytes),
            Self::Host {
                host_call: HostCall::Http(request),
                ..
            } => Some(request.body.bytes()),
            Self::Ready(_)
            | Self::Loaded { .. }
            | Self::Host { .. }
            | Self::ChunkEnd { .. }
            | Self::Credit { .. }
            | Self::Forget { .. }
            | Self::Done { .. } => None,
        }
    }
}

impl BodyStart {
    /// What is there of it.
    const fn bytes(&mut self) -> &mut Bytes {
        let (Self::Whole(bytes) | Self::Stream { first: bytes, .. }) = self;
        bytes
    }
}
