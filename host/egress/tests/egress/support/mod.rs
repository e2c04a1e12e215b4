//! What the tests share: a bench that makes entries, and upstreams to reach.

mod authority;
mod bench;
mod dns;
pub(crate) mod frames;
mod upstream;

pub(crate) use authority::{Authority, TlsUpstream, self_signed, self_signed_and_pin};
pub(crate) use bench::{Bench, BenchBuilder, Credential};
pub(crate) use dns::{ByTcp, DnsAnswer, DnsRecord, NameServer};
pub(crate) use upstream::{Seen, Upstream, next_request, reply};

use bytes::Bytes;
use http_body_util::BodyExt;
use keyway_egress::{EgressError, Reply};

/// The whole body of a reply.
pub(crate) async fn read(reply: Reply) -> Result<Bytes, EgressError> {
    Ok(reply.body.collect().await?.to_bytes())
}
