//! From what the HTTP library reports to what happened.

use std::error::Error;
use std::sync::Arc;

use hyper_util::client::legacy;
use keyway_model::net::Origin;

use crate::error::{EgressError, Limit, Sent, Source};
use crate::heads::Unclear;

impl EgressError {
    /// What the HTTP client reports before there is a reply.
    pub(crate) fn from_client(origin: &Origin, limit: u32, error: legacy::Error) -> Self {
        Self::from_chain(origin, limit, Arc::new(error))
    }

    /// What HTTP reports while the reply's body arrives.
    pub(crate) fn from_body(origin: &Origin, limit: u32, error: hyper::Error) -> Self {
        Self::from_chain(origin, limit, Arc::new(error))
    }

    /// Finds what happened among the causes: our own error first, from the
    /// dialler or the request's body, then what hyper says.
    fn from_chain(origin: &Origin, limit: u32, source: Source) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*source);
        let (mut sent, mut malformed) = (Sent::Maybe, false);
        while let Some(error) = cause {
            if let Some(ours) = error.downcast_ref::<Self>() {
                return ours.clone();
            }
            let unclear = error
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref)
                .is_some_and(|inner| inner.is::<Unclear>());
            malformed |= unclear;
            if let Some(http) = error.downcast_ref::<hyper::Error>() {
                if http.is_parse_too_large() {
                    let limit_kind = Limit::ReplyHeaderBytes;
                    return Self::TooLarge {
                        limit: limit_kind,
                        max: limit.into(),
                        sent,
                    };
                }
                malformed |= http.is_parse();
                // hyper gives a request back as canceled only if it was never started.
                if http.is_canceled() {
                    sent = Sent::No;
                }
            }
            cause = error.source();
        }
        let origin = origin.clone();
        if malformed {
            Self::Protocol { origin, source }
        } else {
            Self::Reset {
                origin,
                sent,
                source,
            }
        }
    }
}
