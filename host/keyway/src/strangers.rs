//! Calls that no token vouches for: of the API without a valid one, of a path
//! that is no webhook's, of `/healthz` and `/readyz`.
//!
//! Each address has a rate for each of these. Whoever has a valid token never
//! comes here, so a flood from behind the same proxy takes nothing from it. What
//! is refused is counted, and recorded once in a while: a record each would make
//! a flood of calls one of the log.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use axum::http::header::RETRY_AFTER;
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse as _, Response};
use keyway_authz::DenialReason;
use keyway_fair::Spent;
use keyway_model::limit::ADDRESSES_KEPT_MAX;
use parking_lot::Mutex;

use crate::api::told;

const LIMIT: &str = "calls_without_token_per_second_max";

/// Where a call comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// The deployment's socket.
    Socket,
    /// This address; of the sixth version, its network of 64 bits, which whoever
    /// has one address there has whole.
    Address(IpAddr),
}

/// What it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Ask {
    /// Anything of the API.
    Api,
    /// To take an event.
    Webhook,
    /// How the node is.
    Health,
}

/// How often it is looked which rates are needed no more, while there are too many.
const LOOK_EACH: Duration = Duration::from_millis(10);

/// The rates of strangers, and what was refused to them since the last record.
#[derive(Debug)]
pub(crate) struct Strangers {
    per_second_max: u32,
    rates: Mutex<HashMap<(Option<Peer>, Ask), Spent>>,
    /// When it was last looked which of them are needed no more.
    looked: Mutex<Option<Instant>>,
    refused: Mutex<BTreeMap<(Ask, Why), Refused>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Unknown,
    Over,
}

/// Calls that were refused for one reason.
#[derive(Debug, Default)]
struct Refused {
    calls: u64,
    peers: HashSet<Peer>,
    /// One of them.
    example: Option<Peer>,
}

/// What is to be recorded of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) operation: &'static str,
    pub(crate) reason: DenialReason,
    /// One of those who called.
    pub(crate) peer: Option<String>,
    pub(crate) text: String,
}

/// A stranger that calls too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("calls from your address exceed `{LIMIT}` ({max}): wait a second and try again")]
pub(crate) struct TooOften {
    max: u32,
}

impl Strangers {
    pub(crate) fn new(per_second_max: u32) -> Self {
        Self {
            per_second_max,
            looked: Mutex::default(),
            rates: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// Lets a call that needs no token go on.
    pub(crate) fn pass(&self, peer: Peer, ask: Ask, now: Instant) -> Result<(), TooOften> {
        let passed = self.spend(peer, ask, now);
        if passed.is_err() {
            self.count(peer, (ask, Why::Over));
        }
        passed
    }

    /// Counts a call that is refused, since nobody knows who calls; answers with
    /// `refusal`, or that there are too many.
    pub(crate) fn refuse(&self, peer: Peer, ask: Ask, refusal: Response) -> Response {
        match self.pass(peer, ask, Instant::now()) {
            Ok(()) => {
                self.count(peer, (ask, Why::Unknown));
                refusal
            }
            Err(too_often) => too_often.told(),
        }
    }

    fn spend(&self, peer: Peer, ask: Ask, now: Instant) -> Result<(), TooOften> {
        let max = self.per_second_max;
        let mut rates = self.rates.lock();
        if rates.len() >= ADDRESSES_KEPT_MAX && !rates.contains_key(&(Some(peer), ask)) {
            let mut looked = self.looked.lock();
            if looked.is_none_or(|then| now.saturating_duration_since(then) >= LOOK_EACH) {
                *looked = Some(now);
                rates.retain(|_, spent| !spent.is_nothing(now));
            }
        }
        let own = Some(peer).filter(|peer| {
            rates.len() < ADDRESSES_KEPT_MAX || rates.contains_key(&(Some(*peer), ask))
        });
        let spent = rates
            .entry((own, ask))
            .or_insert_with(|| Spent::nothing(now));
        if !spent.has_room(now, max) {
            return Err(TooOften { max });
        }
        spent.spend(now, max);
        Ok(())
    }

    fn count(&self, peer: Peer, what: (Ask, Why)) {
        let mut refused = self.refused.lock();
        let refused = refused.entry(what).or_default();
        refused.calls += 1;
        refused.example.get_or_insert(peer);
        if refused.peers.len() < ADDRESSES_KEPT_MAX {
            refused.peers.insert(peer);
        }
    }

    /// What was refused since this was asked last.
    pub(crate) fn take_refused(&self) -> Vec<Summary> {
        let refused = std::mem::take(&mut *self.refused.lock());
        let summaries = refused.into_iter().map(|((ask, why), refused)| Summary {
            operation: ask.operation(),
            reason: match why {
                Why::Unknown => DenialReason::Unknown,
                Why::Over => DenialReason::Limit,
            },
            peer: refused.example.map(|peer| peer.to_string()),
            text: self.text(ask, why, &refused),
        });
        summaries.collect()
    }

    fn text(&self, ask: Ask, why: Why, refused: &Refused) -> String {
        let (calls, peers) = (refused.calls, refused.peers.len());
        let more = match peers {
            ADDRESSES_KEPT_MAX.. => " or more",
            _ => "",
        };
        let of = format!("calls: {calls}, addresses: {peers}{more}");
        match (why, ask) {
            (Why::Over, _) => format!("over `{LIMIT}` ({}); {of}", self.per_second_max),
            (Why::Unknown, Ask::Webhook) => format!("no recipe takes events there; {of}"),
            (Why::Unknown, Ask::Api | Ask::Health) => format!("no valid token; {of}"),
        }
    }
}

impl TooOften {
    /// What the caller is told.
    pub(crate) fn told(self) -> Response {
        let refusal = told(StatusCode::TOO_MANY_REQUESTS, "too-many", self.to_string());
        ([(RETRY_AFTER, "1")], refusal).into_response()
    }
}

impl Ask {
    const fn operation(self) -> &'static str {
        match self {
            Self::Api => "api:call",
            Self::Webhook => "webhook:receive",
            Self::Health => "health:show",
        }
    }
}

impl Peer {
    /// Where a request comes from. What nobody has said counts as one address.
    pub(crate) fn of(request: &Extensions) -> Self {
        let unsaid = Self::Address(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        request.get().copied().unwrap_or(unsaid)
    }

    /// Whoever has this address.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket => f.write_str("the socket"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(number: u32) -> Peer {
        Peer::at(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn each_address_has_a_rate_of_its_own_for_each_thing_it_asks() {
        let (strangers, now) = (Strangers::new(2), Instant::now());
        let passes = |peer, ask, now| strangers.pass(peer, ask, now).is_ok();
        let (one, other) = (address(1), address(2));
        let passed = [0; 3].map(|_| passes(one, Ask::Api, now));
        assert_eq!(passed, [true, true, false]);
        for (peer, ask) in [
            (other, Ask::Api),
            (one, Ask::Health),
            (Peer::Socket, Ask::Api),
        ] {
            assert!(passes(peer, ask, now), "{peer:?} {ask:?}");
        }
        assert!(passes(one, Ask::Api, now + Duration::from_secs(1)));
    }

    #[test]
    fn one_network_of_64_bits_is_one_address_and_so_is_an_address_in_the_others_clothes() {
        let at = |text: &str| text.parse().ok().map(Peer::at);
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }

    #[test]
    fn a_flood_from_many_addresses_is_counted_in_bounded_memory_and_shares_one_rate() {
        let (strangers, now) = (Strangers::new(2), Instant::now());
        let many = u32::try_from(3 * ADDRESSES_KEPT_MAX).unwrap_or(u32::MAX);
        let passed = (0..many).filter(|n| strangers.pass(address(*n), Ask::Api, now).is_ok());
        assert_eq!(passed.count(), ADDRESSES_KEPT_MAX + 2);
        assert!(strangers.rates.lock().len() <= ADDRESSES_KEPT_MAX + 3);
        let summaries = strangers.take_refused();
        let said: Vec<_> = summaries.iter().map(|one| one.text.as_str()).collect();
        let expected = format!(
            "over `calls_without_token_per_second_max` (2); calls: {}, addresses: 4096 or more",
            2 * ADDRESSES_KEPT_MAX - 2
        );
        assert_eq!(said, [expected.as_str()]);
        // Those that have gone are forgotten.
        let later = now + Duration::from_secs(2);
        assert!(strangers.pass(address(many), Ask::Api, later).is_ok());
        assert_eq!(strangers.rates.lock().len(), 1);
    }

    #[test]
    fn what_was_refused_is_told_once_with_how_much_it_was() {
        let strangers = Strangers::new(2);
        let refuse = |peer| {
            let unknown = StatusCode::UNAUTHORIZED.into_response();
            strangers.refuse(peer, Ask::Api, unknown).status()
        };
        let statuses = [1, 1, 1, 1, 2].map(|number| refuse(address(number)).as_u16());
        assert_eq!(statuses, [401, 401, 429, 429, 401]);
        let summary = |reason, text: &str| Summary {
            operation: "api:call",
            reason,
            peer: Some("0.0.0.1".to_owned()),
            text: text.to_owned(),
        };
        let expected = [
            summary(
                DenialReason::Unknown,
                "no valid token; calls: 3, addresses: 2",
            ),
            summary(
                DenialReason::Limit,
                "over `calls_without_token_per_second_max` (2); calls: 2, addresses: 1",
            ),
        ];
        assert_eq!(strangers.take_refused(), expected);
        assert_eq!(strangers.take_refused(), []);
    }
}
