//! Follow one HTTP host call: parse, decide, record, inject, send, search,
//! close, answer. In this order, with no way around a step: each needs the
//! value that the one before it made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use keyway_authz::{
    BodyOut, Carry, Closing, Denial, DenialReason, Ending, Entry, HttpSend, OutcomeKind, Permit,
};
use keyway_egress::{Exchange, Length, Reply, RequestBody, TlsSettings};
use keyway_ipc::{BodyStart, HostReply, HttpRequest, Refusal, RequestId, Trap};
use keyway_model::net::{Method, NetError, RequestUrl};
use tokio::sync::mpsc;

use crate::body::{Allowance, Broken, Credit};
use crate::credential::{self, InjectError};
use crate::deliver::{Delivery, refusal_of};
use crate::flow::Flow;
use crate::grant::Basis;
use crate::headers::{self, HeaderRefusal};
use crate::invocation::{Bodies, Invocation};
use crate::lane::Line;
use crate::mask::Travelling;
use crate::pace;
use crate::redirect::{Asked, Elsewhere, RedirectRefused};
use crate::seen::{SeenBodies, SeenRequest, shown};
use crate::tls::Parts;
use crate::transfer::{TransferEnds, Window};

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

/// The parts of a request body that streams, as they arrive.
struct Upload {
    rest: mpsc::UnboundedReceiver<BodyPart>,
    window: Arc<Window>,
}

/// What comes of one request.
pub(crate) enum Answer {
    /// The guest was answered already, with a body that streams.
    Streamed,
    /// This is the answer.
    Reply(HostReply),
    /// The answer is elsewhere.
    Redirected(Asked),
    /// The answer is said to be elsewhere, and is not looked for.
    Refused(RedirectRefused),
}

/// How a request ends whose answer is elsewhere.
fn redirected(reply: &Reply) -> Ending {
    Ending {
        status: Some(reply.status.as_u16()),
        ..Ending::of(OutcomeKind::Done)
    }
}

impl Invocation {
    /// Serves one HTTP host call from beginning to end: one request, and those
    /// that redirects lead to, each decided and recorded anew.
    pub(crate) async fn http(
        &self,
        line: &Line,
        request: RequestId,
        http: HttpRequest,
        ends: TransferEnds,
    ) {
        let to = Delivery {
            line,
            request,
            credit: &ends.credit,
        };
        let mut upload = Some(Upload {
            rest: ends.body,
            window: ends.window,
        });
        let mut asked = Asked::by_the_guest(http);
        let reply = loop {
            match self.one(&to, &asked, &mut upload).await {
                Answer::Streamed => return,
                Answer::Reply(reply) => break reply,
                Answer::Redirected(next) => asked = next,
                Answer::Refused(refused) => {
                    let RedirectRefused { reason, place, why } = refused;
                    let denial = self.grant.deny_http_because(
                        &asked.http.method,
                        &place,
                        reason,
                        why.to_owned(),
                    );
                    let since = tokio::time::Instant::now();
                    self.deny(format!("redirect to {place}"), denial).await;
                    pace::until_a_moment(since, self.bounds.timeouts.resolve).await;
                    break HostReply::Http(Err(Refusal::Denied));
                }
            }
        };
        line.reply(request, reply).await;
    }

    /// How a body of it flows, which begins.
    pub(crate) fn flow(&self) -> Flow {
        Flow::of(&self.gate.wide_windows, self.basis.scope.tenant)
    }

    async fn one(&self, to: &Delivery<'_>, asked: &Asked, upload: &mut Option<Upload>) -> Answer {
        let http = &asked.http;
        // Counted before it is decided: a flood of denials is a flood, too.
        let _pass = match self.meters.http().await {
            Ok(pass) => pass,
            Err(over) => {
                let (method, place) = (&http.method, place_of(&http.url));
                let (reason, remedy) = (DenialReason::Limit, over.to_string());
                let denial = self.grant.deny_http_because(method, place, reason, remedy);
                self.deny(asked.shown(), denial).await;
                return Answer::Reply(HostReply::Http(Err(Refusal::Busy)));
            }
        };
        let since = tokio::time::Instant::now();
        let answer = self.decided(to, asked, upload).await;
        if let Answer::Reply(HostReply::Http(Err(Refusal::Denied))) = answer {
            pace::until_a_moment(since, self.bounds.timeouts.resolve).await;
        }
        answer
    }

    async fn decided(
        &self,
        to: &Delivery<'_>,
        asked: &Asked,
        upload: &mut Option<Upload>,
    ) -> Answer {
        let decided = self.permit(asked).await;
        // From here on it waits: for its record, the upstream, or the moment of refusals.
        self.active.end();
        match decided {
            Ok(permit) => match permit.record(&self.recorder).await {
                Ok(entry) => self.send(to, asked, entry, upload).await,
                Err(error) => Answer::Reply(HostReply::Trap(Trap::Host(error.to_string()))),
            },
            Err(denial) => {
                self.deny(asked.shown(), denial).await;
                Answer::Reply(HostReply::Http(Err(Refusal::Denied)))
            }
        }
    }

    /// Decides on the request as it will be sent.
    async fn permit(&self, asked: &Asked) -> Result<Permit<HttpSend>, Denial> {
        let http = &asked.http;
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
        self.grant.decide_http_carrying(method, url, asked.carry)
    }

    async fn send(
        &self,
        to: &Delivery<'_>,
        asked: &Asked,
        mut entry: Entry<HttpSend>,
        upload: &mut Option<Upload>,
    ) -> Answer {
        let started = Instant::now();
        let http = &asked.http;
        let mut seen = SeenRequest::of(&entry, http);
        let out = match &http.body {
            BodyStart::Whole(bytes) => BodyOut::Whole(bytes.len() as u64),
            BodyStart::Stream { .. } => BodyOut::Counted(Arc::default()),
        };
        let exchange = match self.exchange(to, asked, &entry, (upload, &out)).await {
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
                    InjectError::Header(_)
                    | InjectError::Vault(_)
                    | InjectError::Unfit
                    | InjectError::Tls(_)
                    | InjectError::Unsearched
                    | InjectError::Gone => Refusal::Denied,
                };
                return Answer::Reply(HostReply::Http(Err(refusal)));
            }
        };
        if self.bodies == Bodies::Shown {
            let (BodyStart::Whole(body) | BodyStart::Stream { first: body, .. }) = &http.body;
            let bodies = seen.bodies.get_or_insert(SeenBodies::nothing());
            let masked = self.mask.get().and_then(|mask| mask.whole(body));
            bodies.request = shown(masked.as_ref().map_or(body, |(masked, _)| masked));
            if let BodyStart::Stream { .. } = http.body {
                bodies.request.push('…');
            }
        }
        self.sent.store(true, Ordering::Release);
        entry.sends(out);
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
        let mask = self.mask.get().map(Arc::as_ref);
        let elsewhere = asked.redirected(entry.operation(), &reply, mask);
        let (answer, ending) = match elsewhere {
            Elsewhere::Nowhere => self.deliver(to, reply, &mut seen).await,
            Elsewhere::Next(next) => (Answer::Redirected(next), redirected(&reply)),
            Elsewhere::Refused(refused) => {
                seen.failed = Some(refused.why.to_owned());
                (Answer::Refused(refused), redirected(&reply))
            }
        };
        self.finish(seen, started, entry.close(ending));
        answer
    }

    /// What goes out: the guest's headers and body, and the credential.
    async fn exchange(
        &self,
        to: &Delivery<'_>,
        asked: &Asked,
        entry: &Entry<HttpSend>,
        (upload, out): (&mut Option<Upload>, &BodyOut),
    ) -> Result<Exchange, credential::InjectError> {
        let http = &asked.http;
        let reserved: Vec<String> = entry
            .operation()
            .credential()
            .and_then(|slot| slot.header())
            .into_iter()
            .chain(self.idempotency.as_ref().map(|(header, _)| header.as_str()))
            .map(str::to_ascii_lowercase)
            .collect();
        let mut headers = headers::checked(&http.headers, &reserved, &self.limits)?;
        if let Some((name, key)) = &self.idempotency
            && asked.carry == Carry::Credential
        {
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
                    left: counter(out),
                };
                let length = length.map_or(Length::Unknown, Length::Known);
                // A body that streams is sent once: no redirect is followed with it.
                let Upload { rest, window } = upload.take().ok_or(credential::InjectError::Gone)?;
                let credit = Credit {
                    line: to.line.clone(),
                    request: to.request,
                    window,
                };
                RequestBody::stream(
                    crate::body::request(first.clone(), rest, allowance, credit, self.flow()),
                    length,
                )
            }
        };
        let mut exchange = Exchange {
            headers,
            query_secret: None,
            body,
            tls: None,
            bounds: Some(Arc::clone(&self.bounds)),
        };
        if entry.operation().credential().is_some() {
            let secret = self
                .store
                .open_credential(entry)
                .await
                .map_err(credential::InjectError::vault)?;
            let tls = &self.basis.connection.tls;
            let parts = Parts::of(&secret, tls).ok_or(credential::InjectError::Unfit)?;
            let travelling =
                credential::inject(&mut exchange, entry.operation(), parts.credential)?;
            if !travelling.is_empty() {
                self.search_for(travelling).await?;
            }
            exchange.tls = self.own_tls(parts.client_key_pem)?;
        } else {
            exchange.tls = self.own_tls(None)?;
        }
        Ok(exchange)
    }

    /// From here on, what comes back is searched for these secrets, also in bodies that are
    /// open: so it is done before they leave. For those of the call's first request, if it
    /// had some.
    async fn search_for(&self, secrets: Vec<Travelling>) -> Result<(), InjectError> {
        if self.mask.get().is_some() {
            return Ok(());
        }
        let (owner, id) = (self.basis.scope.tenant, self.basis.connection.id);
        let made = self.gate.masks.of(owner, id, secrets).await;
        let made = made.map_err(|_| InjectError::Unsearched)?;
        self.mask.get_or_init(|| made);
        Ok(())
    }

    /// What the connection says about TLS, if anything.
    fn own_tls(
        &self,
        client_key_pem: Option<&str>,
    ) -> Result<Option<Arc<TlsSettings>>, InjectError> {
        let Basis {
            scope, connection, ..
        } = &self.basis;
        let own = self.gate.identities.of(*scope, connection, client_key_pem);
        own.map_err(InjectError::Tls)
    }

    /// How a request ends that got no whole reply.
    pub(crate) fn ending_of(&self, error: &Broken) -> Ending {
        let sent = match error {
            Broken::Egress(error) => error.was_sent(),
            Broken::Over(_) => keyway_egress::Sent::Maybe,
        };
        let kind = match sent {
            keyway_egress::Sent::No => OutcomeKind::Refused,
            // It may have had its effect: nobody knows.
            keyway_egress::Sent::Maybe => {
                self.unsure.store(true, Ordering::Release);
                OutcomeKind::Unknown
            }
        };
        Ending::of(kind).because(error.operator_text())
    }

    fn finish(&self, mut seen: SeenRequest, started: Instant, closing: Closing) {
        seen.micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.seen.lock().requested(seen);
        self.unit.close(closing);
    }
}

/// Where what leaves of a body that streams is counted.
fn counter(out: &BodyOut) -> Arc<AtomicU64> {
    match out {
        BodyOut::Counted(left) => Arc::clone(left),
        BodyOut::Whole(_) => Arc::default(),
    }
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
