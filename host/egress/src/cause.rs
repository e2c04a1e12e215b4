//! From what the HTTP library reports to what happened.

use std::error::Error;
use std::sync::Arc;

use h2::Reason;
use hyper_util::client::legacy;
use keyway_model::net::Origin;

use crate::config::Limits;
use crate::error::{EgressError, Limit, Sent, Source};
use crate::frames;
use crate::heads::Unclear;

impl EgressError {
    /// What the HTTP client reports before there is a reply.
    pub(crate) fn from_client(origin: &Origin, limits: &Limits, error: legacy::Error) -> Self {
        let header_bytes_max = limits.reply_header_bytes_max;
        let error = Self::from_chain(origin, header_bytes_max, Arc::new(error));
        if let Self::Protocol { source, .. } = &error
            && has_too_many_interims(source)
        {
            return Self::TooLarge {
                limit: Limit::ReplyInterims,
                max: limits.reply_interims_max.into(),
                sent: Sent::Maybe,
            };
        }
        error
    }

    /// What HTTP reports while the reply's body arrives.
    pub(crate) fn from_body(origin: &Origin, limit: u32, error: hyper::Error) -> Self {
        Self::from_chain(origin, limit, Arc::new(error))
    }

    /// Finds what happened among the causes: our own error first, from the
    /// dialler or the request's body, then what hyper says.
    fn from_chain(origin: &Origin, limit: u32, source: Source) -> Self {
        let (mut sent, mut malformed) = (Sent::Maybe, false);
        for error in causes(&*source) {
            if let Some(ours) = error.downcast_ref::<Self>() {
                return ours.clone();
            }
            malformed |= error
                .downcast_ref::<std::io::Error>()
                .is_some_and(is_unclear);
            malformed |= error.downcast_ref::<h2::Error>().is_some_and(is_misframed);
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

/// Whether what arrived was read, and is wrong.
fn is_unclear(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    let unclear = error.get_ref().is_some_and(|inner| inner.is::<Unclear>());
    unclear || matches!(error.kind(), InvalidData | InvalidInput | frames::INTERIMS)
}

fn causes<'a>(first: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(first), |error: &&'a (dyn Error + 'static)| {
        (*error).source()
    })
}

/// Whether HTTP/2, or who counts its frames, found what the upstream sent wrong.
/// What the upstream says that we did wrong is a connection that broke.
fn is_misframed(error: &h2::Error) -> bool {
    if let Some(io) = error.get_io() {
        return is_unclear(io);
    }
    // Canceled and refused streams are what we do ourselves.
    let ours = matches!(
        error.reason(),
        Some(Reason::CANCEL | Reason::NO_ERROR | Reason::REFUSED_STREAM)
    );
    error.is_library() && !ours
}

fn has_too_many_interims(source: &Source) -> bool {
    causes(&**source)
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == frames::INTERIMS)
}
