//! Hands a reply to the guest, searched for the credential: whole, or as a
//! stream. Nothing of a reply goes to a guest by any other way.

use bytes::Bytes;
use http_body_util::BodyExt;
use keyway_authz::{Ending, OutcomeKind};
use keyway_egress::{EgressError, Reply, Wait};
use keyway_ipc::{BodyStart, HostReply, HttpReply, Refusal, RequestId, ToWorker};
use keyway_model::limit::FRAME_BODY_BYTES_MAX;

use crate::body::Broken;
use crate::headers;
use crate::http::Answer;
use crate::invocation::Invocation;
use crate::lane::Line;
use crate::mask::{ReplyStream, Search};
use crate::reply::{masked_headers, without_marks};
use crate::seen::{SeenRequest, shown};

/// Where a reply goes.
pub(crate) struct Delivery<'a> {
    pub(crate) line: &'a Line,
    pub(crate) request: RequestId,
    pub(crate) credit: &'a tokio::sync::Semaphore,
}

impl Invocation {
    /// Searches the reply and hands it to the guest.
    pub(crate) async fn deliver(
        &self,
        to: &Delivery<'_>,
        reply: Reply,
        seen: &mut SeenRequest,
    ) -> (Answer, Ending) {
        let status = reply.status.as_u16();
        if let Err(over) = headers::checked_reply(&reply.headers, &self.limits) {
            return self.withheld(Broken::Over(over), (status, 0), seen);
        }
        // Where there is no mask, no credential has left: a head that is here holds none.
        let mut search = self.mask.get().map(|mask| Search::of(mask));
        let (mut headers, mut masked) = masked_headers(&reply.headers, search.as_mut());
        let mut body = reply.body;
        let mut searched = ReplyStream::under(&self.mask);
        let (mut first, mut bytes_in, mut ended) = (Vec::new(), 0_u64, false);
        while !ended && first.len() <= FRAME_BODY_BYTES_MAX {
            match body.frame().await {
                None => {
                    first.extend(searched.finish());
                    ended = true;
                }
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    bytes_in += data.len() as u64;
                    let counted = self.traffic.received(data.len(), bytes_in, &self.limits);
                    if let Err(over) = counted {
                        return self.withheld(Broken::Over(over), (status, bytes_in), seen);
                    }
                    first.extend(searched.push(&data));
                }
                Some(Err(error)) => {
                    return self.withheld(Broken::Egress(error), (status, bytes_in), seen);
                }
            }
        }
        if let Some(bodies) = &mut seen.bodies {
            bodies.reply = shown(&first);
        }
        let done = Ending {
            status: Some(status),
            bytes_in,
            ..Ending::of(OutcomeKind::Done)
        };
        if ended {
            masked += searched.count();
            seen.masked = masked;
            if masked > 0 {
                without_marks(&mut headers, Some(first.len()));
            }
            let body = BodyStart::Whole(first.into());
            let reply = HostReply::Http(Ok(HttpReply {
                status,
                headers,
                body,
            }));
            return (Answer::Reply(reply), Ending { masked, ..done });
        }
        if self.mask.get().is_some_and(|mask| !mask.is_empty()) {
            without_marks(&mut headers, None);
        }
        let body_start = BodyStart::Stream {
            first: Bytes::new(),
            length: None,
        };
        let head = HostReply::Http(Ok(HttpReply {
            status,
            headers,
            body: body_start,
        }));
        to.line.reply(to.request, head).await;
        let mut so_far = bytes_in;
        let count = |bytes: usize| {
            so_far += bytes as u64;
            self.traffic.received(bytes, so_far, &self.limits)
        };
        let streamed =
            crate::body::stream(to, self.flow(), first, &mut body, &mut searched, count).await;
        masked += searched.count();
        seen.masked = masked;
        let bytes_in = bytes_in + streamed.bytes_in;
        let ending = match &streamed.failed {
            None => Ending {
                masked,
                bytes_in,
                ..done
            },
            Some(error) => {
                seen.failed = Some(error.operator_text());
                Ending {
                    status: Some(status),
                    masked,
                    bytes_in,
                    ..self.ending_of(error)
                }
            }
        };
        let failed = streamed.failed.as_ref().map(refusal_of);
        let end = ToWorker::ChunkEnd {
            call: to.line.call,
            request: to.request,
            failed,
        };
        to.line.send(end).await;
        (Answer::Streamed, ending)
    }

    /// A reply that the guest does not get.
    fn withheld(
        &self,
        why: Broken,
        (status, bytes_in): (u16, u64),
        seen: &mut SeenRequest,
    ) -> (Answer, Ending) {
        seen.failed = Some(why.operator_text());
        let ending = Ending {
            status: Some(status),
            bytes_in,
            ..self.ending_of(&why)
        };
        let refusal = HostReply::Http(Err(refusal_of(&why)));
        (Answer::Reply(refusal), ending)
    }
}

/// What the guest may know of an error. That a name does not resolve and that
/// its address is private are the same to it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else it is, to the guest it was denied"
)]
pub(crate) fn refusal_of(error: &Broken) -> Refusal {
    let error = match error {
        Broken::Egress(error) => error,
        Broken::Over(_) => return Refusal::TooLarge,
    };
    match error {
        // A name server that does not answer looks as one that knows no address.
        EgressError::Timeout {
            which: Wait::Resolve,
            ..
        } => Refusal::Denied,
        EgressError::Timeout { .. } => Refusal::Timeout,
        EgressError::TooLarge { .. } => Refusal::TooLarge,
        EgressError::Quota { .. } => Refusal::Busy,
        EgressError::Connect { .. }
        | EgressError::Tls { .. }
        | EgressError::Reset { .. }
        | EgressError::RequestBody { .. } => Refusal::Connection,
        EgressError::Protocol { .. } | EgressError::ContentCoding { .. } => Refusal::Protocol,
        _ => Refusal::Denied,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keyway_egress::{AddressClass, Limit, Sent};

    use super::*;

    #[test]
    fn a_guest_cannot_tell_a_name_without_an_answer_from_an_address_that_is_not_public() {
        let host = || "a.test".parse().expect("a host");
        let timeout = |which| EgressError::Timeout {
            which,
            after: Duration::ZERO,
        };
        for error in [
            EgressError::Unresolvable {
                host: host(),
                detail: "no such name".to_owned(),
            },
            EgressError::AddressDenied {
                host: host(),
                port: 80,
                address: [127, 0, 0, 1].into(),
                class: AddressClass::Loopback,
            },
            timeout(Wait::Resolve),
        ] {
            let said = error.to_string();
            assert_eq!(
                refusal_of(&Broken::Egress(error)),
                Refusal::Denied,
                "{said}"
            );
        }
        let quota = EgressError::Quota {
            limit: Limit::ConnectionsEach,
            max: 1,
            sent: Sent::No,
        };
        assert_eq!(refusal_of(&Broken::Egress(quota)), Refusal::Busy);
        for which in [
            Wait::Connect,
            Wait::Tls,
            Wait::Head,
            Wait::Idle,
            Wait::Total,
        ] {
            assert_eq!(
                refusal_of(&Broken::Egress(timeout(which))),
                Refusal::Timeout
            );
        }
    }
}
