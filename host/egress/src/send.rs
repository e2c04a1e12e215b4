//! The main path: one recorded operation becomes one exchange.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use keyway_authz::{Entry, HttpSend};
use keyway_model::net::{Origin, Scheme};
use tokio::time::{Instant, timeout_at};

use crate::body::RequestBody;
use crate::config::{Bounds, EgressConfig};
use crate::error::{EgressError, SetupError, Wait};
use crate::interim::Interims;
use crate::pool::{OwnTls, Place, PlaceKey, Pool};
use crate::reply::Reply;
use crate::request::{self, Exchange};
use crate::tls::Known;
use crate::vet::Vetting;

/// The way out. Cheap to clone; clones share connections and limits.
#[derive(Clone)]
pub struct Egress(Arc<Shared>);

struct Shared {
    pool: Arc<Pool>,
    vetting: Arc<Vetting>,
    /// What an exchange is held to that says nothing else.
    bounds: Bounds,
}

impl Egress {
    /// The way out with these rules.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if an extra root cannot be read.
    pub fn new(config: EgressConfig) -> Result<Self, SetupError> {
        let vetting = Arc::new(Vetting::new(&config));
        let pool = Pool::new(&config, Arc::clone(&vetting))?;
        let EgressConfig {
            timeouts, limits, ..
        } = config;
        Ok(Self(Arc::new(Shared {
            pool,
            vetting,
            bounds: Bounds { limits, timeouts },
        })))
    }

    /// From now on, no request reaches this listener, whatever the configuration
    /// allows: it is where this deployment itself listens.
    pub fn never_reach(&self, listener: SocketAddr) {
        self.0.vetting.never_reach(listener);
    }

    /// Sends what the entry records, and gives the reply once its head is
    /// here. Method and target are the entry's; the connection that is used
    /// belongs to the entry's scope and connection alone.
    ///
    /// A future that is dropped before it is ready may have sent something.
    ///
    /// # Errors
    ///
    /// [`EgressError`], whose [`was_sent`](EgressError::was_sent) says whether
    /// the upstream may have seen the request.
    pub async fn send(
        &self,
        entry: &Entry<HttpSend>,
        exchange: Exchange,
    ) -> Result<Reply, EgressError> {
        let bounds = exchange.bounds.as_deref().copied();
        let bounds = bounds.unwrap_or(self.0.bounds);
        let Bounds { limits, timeouts } = &bounds;
        let operation = entry.operation();
        let origin = &operation.url().origin;
        self.refuse_clear_credential(operation, &exchange)?;
        let settings = exchange.tls.clone();
        let tls = OwnTls {
            settings: settings.as_deref(),
            known: if operation.credential().is_some() {
                Known::AsTheConnection
            } else {
                Known::AsNobody
            },
        };
        if origin.scheme == Scheme::Http && tls.shows_a_certificate() {
            return Err(EgressError::Target {
                origin: origin.clone(),
                detail: "a client certificate needs https",
            });
        }
        let key = key_of(entry, origin, tls)?;
        let place = self.0.pool.place(key, tls, &bounds)?;
        place.account.has_paid()?;
        let mut request = request::build(operation, &place, exchange, limits)?;
        let connection = capture_connection(&mut request);
        let started = Instant::now();
        let deadline = started + timeouts.total;
        let head = self
            .head_of(origin, &place, request, &bounds, started)
            .await;
        let reply =
            head.and_then(|response| Reply::receive(response, origin, limits, timeouts, deadline));
        // Where one reply ends and the next begins is in doubt from here on.
        if reply.is_err()
            && let Some(connection) = connection.connection_metadata().as_ref()
        {
            connection.poison();
        }
        reply
    }

    /// Sends, and waits for the reply's head for as long as it may take.
    async fn head_of(
        &self,
        origin: &Origin,
        place: &Place,
        mut request: Request<RequestBody>,
        Bounds { limits, timeouts }: &Bounds,
        started: Instant,
    ) -> Result<Response<Incoming>, EgressError> {
        let interims = Interims::of(&mut request, limits.reply_interims_max);
        let (which, after) = if timeouts.total < timeouts.head {
            (Wait::Total, timeouts.total)
        } else {
            (Wait::Head, timeouts.head)
        };
        tokio::select! {
            head = timeout_at(started + after, place.client.request(request)) => match head {
                Ok(Ok(response)) => interims.check().map(|()| response),
                Ok(Err(error)) => {
                    Err(EgressError::from_client(origin, limits, error))
                }
                Err(_) => Err(EgressError::Timeout { which, after }),
            },
            over = interims.too_many() => Err(over),
        }
    }

    /// The decision looked at this already; here it is looked at again with
    /// what is about to be sent in hand.
    fn refuse_clear_credential(
        &self,
        operation: &HttpSend,
        exchange: &Exchange,
    ) -> Result<(), EgressError> {
        let origin = &operation.url().origin;
        let carries = operation.credential().is_some() || exchange.query_secret.is_some();
        if origin.scheme == Scheme::Http
            && carries
            && !self.0.vetting.allows_clear_credential(origin)
        {
            return Err(EgressError::Cleartext {
                origin: origin.clone(),
            });
        }
        Ok(())
    }
}

fn key_of(
    entry: &Entry<HttpSend>,
    origin: &Origin,
    tls: OwnTls<'_>,
) -> Result<PlaceKey, EgressError> {
    let scope = entry.scope().ok_or_else(|| EgressError::Target {
        origin: origin.clone(),
        detail: "its entry is closed",
    })?;
    Ok(PlaceKey {
        scope,
        connection: entry.operation().connection(),
        connector: entry.operation().connector(),
        origin: origin.clone(),
        tls: tls.settings.map(|settings| settings.id(tls.known)),
    })
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress")
            .field("pool", &self.0.pool)
            .finish_non_exhaustive()
    }
}
