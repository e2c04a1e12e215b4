//! Opens connections to one origin: vet, dial that very address, agree on TLS.
//!
//! A socket is opened here and nowhere else. `TcpSocket::connect` takes an
//! address and cannot look a name up, so what was vetted is what is dialled.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use keyway_fair::{Admission, Place, Wish};
use keyway_model::net::Origin;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::address::AddressClass;
use crate::config::{Bounds, Timeouts};
use crate::error::{EgressError, Limit, Sent, Wait};
use crate::metered::Metered;
use crate::pool::Pool;
use crate::quota::{Account, Owner};
use crate::stream::{Stream, Wire};
use crate::vet::{Vetted, Vetting};

/// How long an unused connection may take to close before another one is, too.
const CLOSING: Duration = Duration::from_millis(5);

/// Opens connections to one origin.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) origin: Origin,
    pub(crate) vetting: Arc<Vetting>,
    pub(crate) connections: Admission<Owner>,
    pub(crate) connections_max: usize,
    pub(crate) account: Arc<Account>,
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(crate) pool: Weak<Pool>,
    /// Shared with each connection that is open.
    pub(crate) open: Arc<()>,
}

impl Dialer {
    async fn dial(&self) -> Result<Stream, EgressError> {
        let bounds = self.account.bounds();
        let Bounds { limits, timeouts } = &bounds;
        self.account.connect()?;
        if self.origin.host.ip().is_none() {
            self.account.look_up()?;
        }
        let vetted = self.vetting.vet(&self.origin, &bounds).await?;
        let counted = (
            self.count_one_of_its_owner(timeouts).await?,
            self.count_one(timeouts).await?,
            Arc::clone(&self.open),
        );
        let tcp = self.connect(&vetted, timeouts).await?;
        let tcp = Metered::new(tcp, Arc::clone(&self.account));
        match &self.tls {
            None => Ok(Stream::clear(tcp, counted)),
            Some((config, name)) => {
                let agreed = self.agree_on_tls(tcp, Arc::clone(config), name.clone());
                let tls = match timeout(timeouts.tls, agreed).await {
                    Ok(agreed) => agreed?,
                    Err(_) => return Err(timed_out(Wait::Tls, timeouts.tls)),
                };
                Ok(Stream::tls(tls, limits.reply_interims_max, counted))
            }
        }
    }

    /// Waits until fewer than `connections_each_max` of the same owner are open;
    /// unused ones of its other places make room.
    async fn count_one_of_its_owner(
        &self,
        timeouts: &Timeouts,
    ) -> Result<OwnedSemaphorePermit, EgressError> {
        if let Some(counted) = self.account.connection_now() {
            return Ok(counted);
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.close_unused_of(self.account.owner, &self.origin);
        }
        match timeout(timeouts.connect, self.account.connection()).await {
            Ok(counted) => counted,
            Err(_) => Err(self.account.too_many_connections()),
        }
    }

    /// Waits until fewer than `connections_max` are open, and it is this
    /// workspace's turn; unused ones of other places make room.
    async fn count_one(&self, timeouts: &Timeouts) -> Result<Place<Owner>, EgressError> {
        let owner = self.account.owner;
        let wish = Wish {
            tenant: owner.scope.tenant,
            tenant_max: usize::MAX,
            line: owner,
            line_max: usize::MAX,
        };
        if let Some(counted) = self.connections.enter_now(wish) {
            return Ok(counted);
        }
        let deadline = Instant::now() + timeouts.connect;
        let mut entering = pin!(self.connections.enter(wish));
        loop {
            // One origin's at a time, until that has made room.
            let pool = self.pool.upgrade();
            let is_closing = pool.is_some_and(|pool| pool.close_unused_for(owner, &self.origin));
            let until = match is_closing {
                true => deadline.min(Instant::now() + CLOSING),
                false => deadline,
            };
            if let Ok(counted) = timeout_at(until, &mut entering).await {
                return Ok(counted);
            }
            if until == deadline {
                return Err(EgressError::Quota {
                    limit: Limit::Connections,
                    max: self.connections_max as u64,
                    sent: Sent::No,
                });
            }
        }
    }

    /// Tries the addresses in order; each gets its share of the time left. The first
    /// is counted already, and each further one is a new connection, too.
    async fn connect(
        &self,
        vetted: &Vetted,
        timeouts: &Timeouts,
    ) -> Result<TcpStream, EgressError> {
        let end = Instant::now() + timeouts.connect;
        let mut last = timed_out(Wait::Connect, timeouts.connect);
        let mut left = u32::try_from(vetted.addresses().len()).unwrap_or(u32::MAX);
        for (position, address) in vetted.addresses().iter().enumerate() {
            if position > 0 {
                self.account.connect()?;
            }
            let share = end.saturating_duration_since(Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            match timeout_at(Instant::now() + share, open(*address)).await {
                Ok(Ok(tcp)) => {
                    let local = || tcp.local_addr().ok();
                    if self.vetting.has_come_home(*address, local) {
                        return Err(self.is_own_listener(*address));
                    }
                    return Ok(tcp);
                }
                Ok(Err(error)) => {
                    let origin = self.origin.clone();
                    last = EgressError::Connect {
                        origin,
                        source: Arc::new(error),
                    };
                }
                Err(_) => last = timed_out(Wait::Connect, timeouts.connect),
            }
        }
        Err(last)
    }

    fn is_own_listener(&self, address: SocketAddr) -> EgressError {
        EgressError::AddressDenied {
            host: self.origin.host.clone(),
            port: self.origin.port,
            address: address.ip(),
            class: AddressClass::OwnListener,
        }
    }

    async fn agree_on_tls(
        &self,
        tcp: Wire,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<TlsStream<Wire>, EgressError> {
        let agreed = TlsConnector::from(config).connect(name, tcp).await;
        agreed.map_err(|error| EgressError::Tls {
            origin: self.origin.clone(),
            source: Arc::new(error),
        })
    }
}

const fn timed_out(which: Wait, after: Duration) -> EgressError {
    EgressError::Timeout { which, after }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that dials: an address that was vetted for a recorded operation"
)]
async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    let tcp = socket.connect(address).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// The dialler as the connection pool asks for it. The URI that the pool names
/// is not read: a dialler knows its one origin.
#[derive(Clone, Debug)]
pub(crate) struct Connector(pub(crate) Arc<Dialer>);

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = EgressError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, EgressError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = Arc::clone(&self.0);
        Box::pin(async move { dialer.dial().await })
    }
}
