//! Follows a redirect, where the manifest says so: to what request does a reply
//! lead?
//!
//! Only says; that request is then decided, recorded and sent as any other. What
//! is left behind when the origin changes never comes back, even if a later
//! redirect returns: the credential, the idempotency key, and every header but
//! those that say what is sent and wanted.

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use keyway_authz::{Carry, DenialReason, HttpSend};
use keyway_egress::Reply;
use keyway_ipc::{BodyStart, HttpRequest};
use keyway_model::limit::REDIRECTS_MAX;
use keyway_model::manifest::Redirects;
use keyway_model::net::{Method, RequestUrl, Scheme};

use crate::mask::Mask;

/// Headers that go along to another origin.
const KEPT_ELSEWHERE: [&str; 6] = [
    "accept",
    "accept-language",
    "content-encoding",
    "content-language",
    "content-type",
    "user-agent",
];

/// Headers that speak of a body that is no longer sent.
const OF_A_BODY: [&str; 6] = [
    "content-digest",
    "content-encoding",
    "content-language",
    "content-location",
    "content-type",
    "digest",
];

/// A request, and how it came about.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) http: HttpRequest,
    /// Whether it may carry the connection's credential.
    pub(crate) carry: Carry,
    /// Redirects that led here.
    hops: usize,
}

/// Where a reply leads.
#[derive(Debug)]
pub(crate) enum Elsewhere {
    /// Nowhere: it is the answer.
    Nowhere,
    /// To this request.
    Next(Asked),
    /// To where nothing is asked.
    Refused(RedirectRefused),
}

/// Why a redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedirectRefused {
    pub(crate) reason: DenialReason,
    /// Scheme, host and port.
    pub(crate) place: String,
    pub(crate) why: &'static str,
}

impl Asked {
    /// A request as the guest made it.
    pub(crate) const fn by_the_guest(http: HttpRequest) -> Self {
        Self {
            http,
            carry: Carry::Credential,
            hops: 0,
        }
    }

    /// Method and URL up to its query, for people.
    pub(crate) fn shown(&self) -> String {
        let HttpRequest { method, url, .. } = &self.http;
        let place = url.split(['?', '#']).next().unwrap_or_default();
        format!("{method} {place}")
    }

    /// Where `reply`, to this very request, leads. `mask` knows the credential
    /// that went along.
    pub(crate) fn redirected(
        &self,
        sent: &HttpSend,
        reply: &Reply,
        mask: Option<&Mask>,
    ) -> Elsewhere {
        self.leads_to(
            sent.redirects(),
            (sent.method(), sent.url()),
            (reply.status, &reply.headers),
            mask,
        )
    }

    fn leads_to(
        &self,
        redirects: Redirects,
        (method, here): (Method, &RequestUrl),
        (status, headers): (StatusCode, &HeaderMap),
        mask: Option<&Mask>,
    ) -> Elsewhere {
        let refuse = |reason, place: &RequestUrl, why| {
            let place = place.origin.to_string();
            Elsewhere::Refused(RedirectRefused { reason, place, why })
        };
        let locations: Vec<_> = headers.get_all(LOCATION).iter().collect();
        let (Redirects::Follow, 301 | 302 | 303 | 307 | 308) = (redirects, status.as_u16()) else {
            return Elsewhere::Nowhere;
        };
        let location = match locations.as_slice() {
            [] => return Elsewhere::Nowhere,
            [one] => *one,
            _ => return refuse(DenialReason::Malformed, here, "it names several places"),
        };
        if mask.is_some_and(|mask| mask.whole(location.as_bytes()).is_some()) {
            let why = "the place holds the credential, which goes nowhere but to its slot";
            return refuse(DenialReason::Redirect, here, why);
        }
        let text = location.to_str().ok();
        let Some(there) = text.and_then(|text| here.join(text).ok()) else {
            return refuse(DenialReason::Malformed, here, "it names no place to ask at");
        };
        if self.hops >= REDIRECTS_MAX {
            let why = "more redirects than the 5 of `REDIRECTS_MAX` are not followed";
            return refuse(DenialReason::Limit, &there, why);
        }
        if (here.origin.scheme, there.origin.scheme) == (Scheme::Https, Scheme::Http) {
            let why = "a redirect from https to http is not followed";
            return refuse(DenialReason::Cleartext, &there, why);
        }
        let (method, keeps_body) = method_there(method, status);
        if keeps_body && matches!(self.http.body, BodyStart::Stream { .. }) {
            let why = "a body that streamed is gone and cannot be sent again";
            return refuse(DenialReason::Redirect, &there, why);
        }
        Elsewhere::Next(self.to(&there, method, keeps_body, here.origin == there.origin))
    }

    fn to(&self, there: &RequestUrl, method: Method, keeps_body: bool, stays: bool) -> Self {
        let goes_along = |name: &str| {
            let name = name.to_ascii_lowercase();
            (stays || KEPT_ELSEWHERE.contains(&name.as_str()))
                && (keeps_body || !OF_A_BODY.contains(&name.as_str()))
        };
        let headers = self
            .http
            .headers
            .iter()
            .filter(|(name, _)| goes_along(name));
        let body = match &self.http.body {
            BodyStart::Whole(bytes) if keeps_body => BodyStart::Whole(bytes.clone()),
            BodyStart::Whole(_) | BodyStart::Stream { .. } => BodyStart::Whole(bytes::Bytes::new()),
        };
        Self {
            http: HttpRequest {
                method: method.to_string(),
                url: format!("{}{}", there.origin, there.path_and_query()),
                headers: headers.cloned().collect(),
                body,
                first_byte_ms: self.http.first_byte_ms,
            },
            carry: if stays { self.carry } else { Carry::Nothing },
            hops: self.hops + 1,
        }
    }
}

/// RFC 9110 sections 15.4.2 to 15.4.9: the method there, and whether the body
/// goes along.
const fn method_there(method: Method, status: StatusCode) -> (Method, bool) {
    match (status.as_u16(), method) {
        (303, Method::Head) => (Method::Head, false),
        (303, _) | (301 | 302, Method::Post) => (Method::Get, false),
        _ => (method, true),
    }
}

#[cfg(test)]
mod tests;
