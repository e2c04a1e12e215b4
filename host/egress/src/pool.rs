//! Connections that are kept, each for one tenant's one connection.
//!
//! The key of a place is scope, connection, origin, and what the connection says
//! about TLS. Each place has an HTTP client with a pool of its own and TLS
//! settings with a memory of sessions of its own, so neither a socket nor a
//! session crosses from one to another.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use http::uri::{Authority, Scheme as UriScheme};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use keyway_fair::Admission;
use keyway_model::limit::{UPSTREAM_CONNECTION_WINDOW_BYTES, UPSTREAM_STREAM_WINDOW_BYTES};
use keyway_model::net::{HostName, Origin, Scheme};
use keyway_model::{ConnectionId, Digest, Scope, TenantId};
use parking_lot::Mutex;
use rustls_pki_types::ServerName;

use crate::body::RequestBody;
use crate::config::{Bounds, EgressConfig, Limits, Timeouts};
use crate::dial::{Connector, Dialer};
use crate::error::{EgressError, SetupError};
use crate::identity::{TlsId, TlsSettings};
use crate::quota::{Account, Accounts, Owner};
use crate::seldom::Seldom;
use crate::tls::{Known, TlsTemplate};
use crate::vet::Vetting;

/// Whose connections, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlaceKey {
    pub(crate) scope: Scope,
    pub(crate) connection: ConnectionId,
    pub(crate) connector: Option<Digest>,
    pub(crate) origin: Origin,
    pub(crate) tls: Option<TlsId>,
}

impl PlaceKey {
    const fn owner(&self) -> Owner {
        Owner {
            scope: self.scope,
            connector: self.connector,
        }
    }
}

/// How a place speaks TLS, where its connection says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnTls<'a> {
    pub(crate) settings: Option<&'a TlsSettings>,
    pub(crate) known: Known,
}

impl OwnTls<'_> {
    /// Whether a request shows the connection's client certificate.
    pub(crate) fn shows_a_certificate(self) -> bool {
        let has_one = |settings: &TlsSettings| settings.has_client_certificate();
        self.known == Known::AsTheConnection && self.settings.is_some_and(has_one)
    }
}

/// One origin, as one connection of one tenant reaches it.
pub(crate) struct Place {
    pub(crate) client: Client<Connector, RequestBody>,
    pub(crate) scheme: UriScheme,
    pub(crate) authority: Authority,
    pub(crate) account: Arc<Account>,
    /// Shared with its dialer, and with each connection that is open.
    open: Arc<()>,
}

impl Place {
    /// Whether a connection is open, used or not.
    fn is_connected(&self) -> bool {
        const OWN: usize = 2;
        Arc::strong_count(&self.open) > OWN
    }
}

/// All places. Where there are too many, the workspace that has most of them
/// gives way, with the one that it has not used for longest.
pub(crate) struct Pool {
    this: Weak<Self>,
    tls: TlsTemplate,
    vetting: Arc<Vetting>,
    timeouts: Timeouts,
    limits: Limits,
    /// By turns of workspaces, and of the owners of each.
    connections: Admission<Owner>,
    accounts: Accounts,
    places: Mutex<Places>,
    /// Warnings that unused connections are closed: for all owners, for one.
    told_of_all: Seldom,
    told_of_one: Seldom,
}

#[derive(Default)]
struct Places {
    known: HashMap<PlaceKey, Kept>,
    uses: u64,
}

struct Kept {
    place: Arc<Place>,
    last_use: u64,
}

impl Pool {
    pub(crate) fn new(
        config: &EgressConfig,
        vetting: Arc<Vetting>,
    ) -> Result<Arc<Self>, SetupError> {
        let tls = TlsTemplate::new(&config.extra_roots_pem, &config.revoked_pem)?;
        let now = Instant::now();
        Ok(Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            tls,
            vetting,
            timeouts: config.timeouts,
            limits: config.limits,
            connections: Admission::of(config.limits.connections_max),
            accounts: Accounts::default(),
            places: Mutex::default(),
            told_of_all: Seldom::from(now),
            told_of_one: Seldom::from(now),
        }))
    }

    /// The place with this key, whose TLS identity is that of `tls`, for an
    /// exchange that is held to `bounds`.
    pub(crate) fn place(
        &self,
        key: PlaceKey,
        tls: OwnTls<'_>,
        bounds: &Bounds,
    ) -> Result<Arc<Place>, EgressError> {
        let mut places = self.places.lock();
        places.uses += 1;
        let now = places.uses;
        if let Some(known) = places.known.get_mut(&key) {
            known.last_use = now;
            known.place.account.hold_to(bounds);
            return Ok(Arc::clone(&known.place));
        }
        let account = self.accounts.of(key.owner(), bounds);
        let place = Arc::new(self.open(&key.origin, tls, account)?);
        if places.known.len() >= self.limits.places_max {
            places.make_room_for(key.scope.tenant);
        }
        places.known.insert(
            key,
            Kept {
                place: Arc::clone(&place),
                last_use: now,
            },
        );
        Ok(place)
    }

    /// Closes the unused connections of one place, for an owner that waits for one
    /// to `origin`; says whether there was one. The workspace that holds most
    /// gives way, and its own alone where it has its share. Those in use end with
    /// their exchange.
    pub(crate) fn close_unused_for(&self, owner: Owner, origin: &Origin) -> bool {
        let comer = owner.scope.tenant;
        let is_at_its_share = self.connections.is_at_its_share(comer);
        let may_go = |key: &PlaceKey, kept: &Kept| {
            let is_asked_for = key.owner() == owner && key.origin == *origin;
            let may_be = !is_at_its_share || key.scope.tenant == comer;
            !is_asked_for && may_be && kept.place.is_connected()
        };
        let held = |tenant| self.connections.held(tenant);
        let gone = self.places.lock().give_way(comer, held, may_go);
        if gone.is_some() && self.told_of_all.is_due(Instant::now()) {
            tracing::warn!(
                is_at_its_share,
                "upstream_connections_max is reached: unused connections are closed"
            );
        }
        gone.is_some()
    }

    /// Closes the unused connections of one owner to every other origin.
    pub(crate) fn close_unused_of(&self, owner: Owner, except: &Origin) {
        let places = self.close_unused(|key| key.owner() == owner && key.origin != *except);
        if places > 0 && self.told_of_one.is_due(Instant::now()) {
            tracing::warn!(
                places,
                "connections_per_connector_max is reached: unused connections of its owner are closed"
            );
        }
    }

    fn close_unused(&self, which: impl Fn(&PlaceKey) -> bool) -> usize {
        let forgotten: Vec<Kept> = {
            let mut places = self.places.lock();
            places
                .known
                .extract_if(|key, _| which(key))
                .map(|(_, known)| known)
                .collect()
        };
        forgotten.len()
    }

    fn open(
        &self,
        origin: &Origin,
        own: OwnTls<'_>,
        account: Arc<Account>,
    ) -> Result<Place, EgressError> {
        let refuse = |detail| EgressError::Target {
            origin: origin.clone(),
            detail,
        };
        let tls = match origin.scheme {
            Scheme::Http => None,
            Scheme::Https => {
                let name = ServerName::try_from(origin.host.as_str().to_owned())
                    .map_err(|_| refuse("TLS cannot name this host"))?;
                let config = self.tls.for_one_place(own.settings, own.known);
                Some((config.map_err(|_| refuse("TLS cannot be set up"))?, name))
            }
        };
        let open = Arc::default();
        let dialer = Dialer {
            origin: origin.clone(),
            vetting: Arc::clone(&self.vetting),
            connections: self.connections.clone(),
            connections_max: self.limits.connections_max,
            account: Arc::clone(&account),
            tls,
            pool: Weak::clone(&self.this),
            open: Arc::clone(&open),
        };
        Ok(Place {
            account,
            open,
            client: self.client(dialer),
            scheme: match origin.scheme {
                Scheme::Http => UriScheme::HTTP,
                Scheme::Https => UriScheme::HTTPS,
            },
            authority: authority_of(origin)
                .ok_or_else(|| refuse("the host is not an authority"))?,
        })
    }

    /// The client retries a request only if the connection was a kept one and
    /// HTTP gave the whole request back unstarted, not one byte of it written
    /// (`TrySendError::take_message`). That has no effect upstream, so it is
    /// safe for every effect class, and without it each connection that an
    /// upstream closes while unused would fail a request.
    fn client(&self, dialer: Dialer) -> Client<Connector, RequestBody> {
        let header_bytes = self.limits.reply_header_bytes_max;
        Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.timeouts.keep)
            .pool_max_idle_per_host(self.limits.idle_connections_max)
            .retry_canceled_requests(true)
            .http1_max_buf_size(
                usize::try_from(header_bytes)
                    .unwrap_or(usize::MAX)
                    .max(8 << 10),
            )
            .http2_max_header_list_size(header_bytes)
            .http2_initial_stream_window_size(UPSTREAM_STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(UPSTREAM_CONNECTION_WINDOW_BYTES)
            .build(Connector(Arc::new(dialer)))
    }
}

impl Places {
    /// Makes room for one more place of `comer`.
    fn make_room_for(&mut self, comer: TenantId) {
        let mut places: HashMap<TenantId, usize> = HashMap::new();
        for key in self.known.keys() {
            *places.entry(key.scope.tenant).or_default() += 1;
        }
        let held = |tenant| places.get(&tenant).copied().unwrap_or_default();
        drop(self.give_way(comer, held, |_, _| true));
    }

    /// Takes away one of the places that may go: of the tenant that holds most,
    /// the one that was used longest ago. What `comer` asks for counts as held,
    /// and among equals it is `comer` who gives way.
    fn give_way(
        &mut self,
        comer: TenantId,
        held: impl Fn(TenantId) -> usize,
        may_go: impl Fn(&PlaceKey, &Kept) -> bool,
    ) -> Option<Kept> {
        let mut shares: HashMap<TenantId, usize> = HashMap::new();
        let candidates = self.known.iter().filter(|(key, kept)| may_go(key, kept));
        let (key, _) = candidates.max_by_key(|(key, kept)| {
            let tenant = key.scope.tenant;
            let is_comer = tenant == comer;
            let share = shares.entry(tenant).or_insert_with(|| held(tenant));
            (
                *share + usize::from(is_comer),
                is_comer,
                Reverse(kept.last_use),
            )
        })?;
        let key = key.clone();
        self.known.remove(&key)
    }
}

/// `host` or `host:port`, without the scheme's own port: the same text in
/// `Host`, in `:authority`, and, without the port, in SNI.
fn authority_of(origin: &Origin) -> Option<Authority> {
    let host = bracketed(&origin.host);
    let text = if origin.port == origin.scheme.default_port() {
        host
    } else {
        format!("{host}:{}", origin.port)
    };
    text.parse().ok()
}

fn bracketed(host: &HostName) -> String {
    if host.as_str().contains(':') {
        format!("[{host}]")
    } else {
        host.to_string()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("places", &self.places.lock().known.len())
            .field("connections", &self.connections.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
