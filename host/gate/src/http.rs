//! Follow one HTTP host call: parse, decide, record, inject, send, search,
//! close, answer. In this order, with no way around a step: each needs the
//! value that the one before it made.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyExt;
use keyway_authz::{Closing, Denial, DenialReason, Ending, Entry, HttpSend, OutcomeKind, Permit};
use keyway_egress::{EgressError, Exchange, Length, Reply, RequestBody};
use keyway_ipc::{
    BodyStart, HostReply, HttpReply, HttpRequest, Refusal, RequestId, ToWorker, Trap,
};
use keyway_model::limit::FRAME_BODY_BYTES_MAX;
use keyway_model::net::{Method, NetError, RequestUrl};
use tokio::sync::mpsc;

use crate::body::{Allowance, Broken, Credit};
use crate::credential::{self, InjectError};
use crate::headers::{self, HeaderRefusal};
use crate::invocation::{Bodies, Invocation};
use crate::lane::Line;
use crate::mask::{Mask, MaskStream};
use crate::reply::{masked_headers, without_marks};
use crate::seen::{SeenBodies, SeenRequest, shown};
use crate::transfer::TransferEnds;

/// A part of a request body.
#[derive(Debug)]
pub(crate) enum BodyPart {
    /// More of it.
    Bytes(Bytes),
    /// Its end.
    End,
    /// The guest gave it up: the request must not look complete.
    Aborted,
}

/// How a host call ends for the guest.
enum Answer {
    /// It was answered already, with a body that streams.
    Streamed,
    /// This is the answer.
    Reply(HostReply),
}

impl Invocation {
    /// Serves one HTTP host call from beginning to end.
    pub(crate) async fn http(
        &self,
        line: &Line,
        request: RequestId,
        http: HttpRequest,
        ends: TransferEnds,
    ) {
        let asked = || format!("{} {}", http.method, without_query(&http.url));
        // Counted before it is decided: a flood of denials is a flood, too.
        let _pass = match self.meters.http().await {
            Ok(pass) => pass,
            Err(over) => {
                let (method, place) = (&http.method, place_of(&http.url));
                let (reason, remedy) = (DenialReason::Limit, over.to_string());
                let denial = self.grant.deny_http_because(method, place, reason, remedy);
                self.deny(asked(), denial).await;
                let reply = HostReply::Http(Err(Refusal::Throttled));
                return line.reply(request, reply).await;
            }
        };
        let answer = match self.permit(&http).await {
            Ok(permit) => match permit.record(&self.recorder).await {
                Ok(entry) => self.send(line, request, http, entry, ends).await,
                Err(error) => Answer::Reply(HostReply::Trap(Trap::Host(error.to_string()))),
            },
            Err(denial) => {
                self.deny(asked(), denial).await;
                Answer::Reply(HostReply::Http(Err(Refusal::Denied)))
            }
        };
        if let Answer::Reply(reply) = answer {
            line.reply(request, reply).await;
        }
    }

    /// Decides on the request as it will be sent.
    async fn permit(&self, http: &HttpRequest) -> Result<Permit<HttpSend>, Denial> {
        let deny = |reason, remedy| {
            self.grant
                .deny_http_because(&http.method, place_of(&http.url), reason, remedy)
        };
        if let Err(lost) = self.standing() {
            return Err(deny(lost.reason, lost.remedy));
        }
        let malformed = |error: NetError| deny(DenialReason::Malformed, error.to_string());
        let method: Method = http.method.parse().map_err(malformed)?;
        let url: RequestUrl = http.url.parse().map_err(malformed)?;
        self.grant.decide_http(method, url)
    }

    async fn send(
        &self,
        line: &Line,
        request: RequestId,
        http: HttpRequest,
        entry: Entry<HttpSend>,
        ends: TransferEnds,
    ) -> Answer {
        let started = Instant::now();
        let mut seen = SeenRequest::of(&entry, &http);
        let credit = Credit {
            line: line.clone(),
            request,
        };
        let exchange = match self.exchange(&http, &entry, ends.body, credit).await {
            Ok(exchange) => exchange,
            Err(refused) => {
                seen.failed = Some(refused.to_string());
                self.finish(
                    seen,
                    started,
                    entry.close(Ending::of(OutcomeKind::Refused).because(refused.to_string())),
                );
                let refusal = match refused {
                    InjectError::Header(HeaderRefusal::Over(_)) | InjectError::Over(_) => {
                        Refusal::TooLarge
                    }
                    InjectError::Header(_) | InjectError::Vault(_) | InjectError::Unfit => {
                        Refusal::Denied
                    }
                };
                return Answer::Reply(HostReply::Http(Err(refusal)));
            }
        };
        let sent = match &http.body {
            BodyStart::Whole(bytes) => bytes.len() as u64,
            BodyStart::Stream { length, .. } => length.unwrap_or(0),
        };
        if self.bodies == Bodies::Shown {
            let (BodyStart::Whole(body) | BodyStart::Stream { first: body, .. }) = &http.body;
            let bodies = seen.bodies.get_or_insert(SeenBodies::nothing());
            let mask = self.mask.lock().clone();
            let masked = mask.and_then(|mask| mask.whole(body));
            bodies.request = shown(masked.as_ref().map_or(body, |(masked, _)| masked));
            if let BodyStart::Stream { .. } = http.body {
                bodies.request.push('…');
            }
        }
        self.sent.store(true, std::sync::atomic::Ordering::Release);
        let result = self.gate.egress.send(&entry, exchange).await;
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => {
                let error = Broken::Egress(error);
                seen.failed = Some(error.operator_text());
                self.finish(seen, started, entry.close(self.ending_of(&error)));
                return Answer::Reply(HostReply::Http(Err(refusal_of(&error))));
            }
        };
        seen.status = Some(reply.status.as_u16());
        let delivery = Delivery {
            line,
            request,
            credit: &ends.credit,
        };
        let (answer, ending) = self.deliver(delivery, reply, &mut seen).await;
        self.finish(
            seen,
            started,
            entry.close(Ending {
                bytes_out: sent,
                ..ending
            }),
        );
        answer
    }

    /// What goes out: the guest's headers and body, and the credential.
    async fn exchange(
        &self,
        http: &HttpRequest,
        entry: &Entry<HttpSend>,
        rest: mpsc::UnboundedReceiver<BodyPart>,
        credit: Credit,
    ) -> Result<Exchange, credential::InjectError> {
        let reserved: Vec<String> = entry
            .operation()
            .credential()
            .and_then(|slot| slot.header())
            .into_iter()
            .chain(self.idempotency.as_ref().map(|(header, _)| header.as_str()))
            .map(str::to_ascii_lowercase)
            .collect();
        let mut headers = headers::checked(&http.headers, &reserved, &self.limits)?;
        if let Some((name, key)) = &self.idempotency {
            credential::put(&mut headers, name, key.as_bytes())?;
        }
        let body = match &http.body {
            BodyStart::Whole(bytes) => {
                let all = bytes.len();
                self.traffic.sent(all, all as u64, &self.limits)?;
                RequestBody::whole(bytes.clone())
            }
            BodyStart::Stream { first, length } => {
                let allowance = Allowance {
                    limits: self.limits,
                    traffic: Arc::clone(&self.traffic),
                };
                let length = length.map_or(Length::Unknown, Length::Known);
                RequestBody::stream(
                    crate::body::request(first.clone(), rest, allowance, credit),
                    length,
                )
            }
        };
        let mut exchange = Exchange {
            headers,
            query_secret: None,
            body,
        };
        if entry.operation().credential().is_some() {
            let secret = self
                .store
                .open_credential(entry)
                .await
                .map_err(credential::InjectError::vault)?;
            let travelling = credential::inject(&mut exchange, entry.operation(), &secret)?;
            let mask = self.gate.masks.of(self.basis.connection.id, travelling);
            self.mask.lock().get_or_insert(mask);
        }
        Ok(exchange)
    }

    /// Searches the reply and hands it to the guest.
    async fn deliver(
        &self,
        to: Delivery<'_>,
        reply: Reply,
        seen: &mut SeenRequest,
    ) -> (Answer, Ending) {
        let mask = self
            .mask
            .lock()
            .clone()
            .unwrap_or_else(|| Arc::new(Mask::nothing()));
        let status = reply.status.as_u16();
        if let Err(over) = headers::checked_reply(&reply.headers, &self.limits) {
            return self.withheld(Broken::Over(over), (status, 0), seen);
        }
        let (mut headers, mut masked) = masked_headers(&reply.headers, &mask);
        let mut body = reply.body;
        let mut searched = MaskStream::new(&mask);
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
        if !mask.is_empty() {
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
        let streamed = crate::body::stream(&to, first, &mut body, &mut searched, count).await;
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

    /// How a request ends that got no whole reply.
    fn ending_of(&self, error: &Broken) -> Ending {
        let sent = match error {
            Broken::Egress(error) => error.was_sent(),
            Broken::Over(_) => keyway_egress::Sent::Maybe,
        };
        let kind = match sent {
            keyway_egress::Sent::No => OutcomeKind::Refused,
            // It may have had its effect: nobody knows.
            keyway_egress::Sent::Maybe => {
                self.unsure
                    .store(true, std::sync::atomic::Ordering::Release);
                OutcomeKind::Unknown
            }
        };
        Ending::of(kind).because(error.operator_text())
    }

    fn finish(&self, mut seen: SeenRequest, started: Instant, closing: Closing) {
        seen.micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.seen.lock().requests.push(seen);
        self.unit.close(closing);
    }
}

/// Where a reply goes.
pub(crate) struct Delivery<'a> {
    pub(crate) line: &'a Line,
    pub(crate) request: RequestId,
    pub(crate) credit: &'a tokio::sync::Semaphore,
}

/// Scheme, host and port of a URL that may be none, for records: what follows
/// is the guest's to write, and may be anything.
fn place_of(url: &str) -> &str {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "not a URL";
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    // What stands before an `@` may be a secret.
    if authority.contains('@') {
        return "a URL with user information";
    }
    url.get(..scheme.len() + "://".len() + authority.len())
        .unwrap_or_default()
}

/// The URL up to its query, for people.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// What the guest may know of an error. That a name does not resolve and that
/// its address is private are the same to it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else it is, to the guest it was denied"
)]
fn refusal_of(error: &Broken) -> Refusal {
    let error = match error {
        Broken::Egress(error) => error,
        Broken::Over(_) => return Refusal::TooLarge,
    };
    match error {
        EgressError::Timeout { .. } => Refusal::Timeout,
        EgressError::TooLarge { .. } => Refusal::TooLarge,
        EgressError::Connect { .. }
        | EgressError::Tls { .. }
        | EgressError::Reset { .. }
        | EgressError::RequestBody { .. } => Refusal::Connection,
        EgressError::Protocol { .. } | EgressError::ContentCoding { .. } => Refusal::Protocol,
        _ => Refusal::Denied,
    }
}
