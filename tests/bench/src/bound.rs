//! The native bounds of W1 and W2: a hyper service that does the work in process, without history (n) or with (d).

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::history::History;
use crate::work::{Receipt, Respond, ShopOrder};

/// Idle connections that are kept towards the order system.
const IDLE_MAX: usize = 256;

/// How a bound is started.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// File of the durable history: bound (d). Without it: bound (n).
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Base URL of the order system: W1. Without it: W2.
    #[arg(long, requires = "token_file")]
    pub upstream: Option<Uri>,
    /// File with the order system's bearer token.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Threads of the runtime; 1 is a current-thread runtime.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
}

/// The service, bound to its port.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    work: Arc<Work>,
}

#[derive(Debug)]
struct Work {
    orders: Option<Orders>,
    history: Option<History>,
    jobs: AtomicU64,
}

/// The way to the order system.
#[derive(Debug)]
struct Orders {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    authorization: HeaderValue,
}

impl Bound {
    /// Opens the history and binds the port.
    ///
    /// # Errors
    /// If the token, the history or the port cannot be had.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let orders = match (&options.upstream, &options.token_file) {
            (Some(upstream), Some(file)) => Some(Orders::new(upstream, file)?),
            _ => None,
        };
        let history = options.history.as_deref().map(History::open).transpose()?;
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        Ok(Self {
            listener,
            work: Arc::new(Work {
                orders,
                history,
                jobs: AtomicU64::new(0),
            }),
        })
    }

    /// The port that was bound.
    ///
    /// # Errors
    /// If the socket has no address.
    pub fn port(&self) -> std::io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn run(self) -> anyhow::Result<()> {
        loop {
            let (stream, _peer) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            let work = Arc::clone(&self.work);
            tokio::spawn(async move {
                let service = service_fn(|request| Arc::clone(&work).answer(request));
                let io = TokioIo::new(stream);
                // A broken connection is the load generator's to count.
                drop(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await,
                );
            });
        }
    }
}

impl Orders {
    fn new(upstream: &Uri, token_file: &std::path::Path) -> anyhow::Result<Self> {
        let token = std::fs::read_to_string(token_file)
            .with_context(|| format!("cannot read the token file {}", token_file.display()))?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        let url = format!("{}/orders", upstream.to_string().trim_end_matches('/')).parse()?;
        let authorization = HeaderValue::try_from(format!("Bearer {}", token.trim()))?;
        Ok(Self {
            client,
            url,
            authorization,
        })
    }

    async fn post(&self, key: u64, body: Bytes) -> anyhow::Result<Bytes> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("idempotency-key", format!("bound-{key}"))
            .body(Full::new(body))?;
        let reply = self.client.request(request).await?;
        anyhow::ensure!(
            reply.status() == StatusCode::CREATED,
            "the order system said {}",
            reply.status()
        );
        Ok(reply.into_body().collect().await?.to_bytes())
    }
}

impl Work {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(match self.job(request).await {
            Ok(body) => {
                let mut reply = Response::new(Full::new(body));
                let json = HeaderValue::from_static("application/json");
                reply.headers_mut().insert(CONTENT_TYPE, json);
                reply
            }
            Err(fault) => {
                let mut reply = Response::new(Full::from(format!("{fault:#}")));
                *reply.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                reply
            }
        })
    }

    /// webhook → transform → action → if → history → respond.
    async fn job(&self, request: Request<Incoming>) -> anyhow::Result<Bytes> {
        let input = request.into_body().collect().await?.to_bytes();
        let shop: ShopOrder<'_> = serde_json::from_slice(&input)?;
        let order = shop.transformed().context("the total is out of range")?;
        let output = match &self.orders {
            Some(orders) => {
                let body = serde_json::to_vec(&order)?;
                let key = self.jobs.fetch_add(1, Ordering::Relaxed);
                let answer = orders.post(key, body.into()).await?;
                let receipt: Receipt<'_> = serde_json::from_slice(&answer)?;
                anyhow::ensure!(
                    receipt.status == "accepted",
                    "the order is {}",
                    receipt.status
                );
                respond(&receipt.id, order.reference, order.total_cents)?
            }
            None => {
                anyhow::ensure!(order.total_cents > 0, "the order is empty");
                respond(order.reference, order.reference, order.total_cents)?
            }
        };
        if let Some(history) = &self.history {
            let row = if self.orders.is_some() {
                output.clone()
            } else {
                serde_json::to_vec(&order)?.into()
            };
            anyhow::ensure!(
                history.commit(input.clone(), row).await,
                "the history is gone"
            );
        }
        Ok(output)
    }
}

fn respond(id: &str, reference: &str, total_cents: i64) -> serde_json::Result<Bytes> {
    serde_json::to_vec(&Respond {
        id,
        reference,
        total_cents,
    })
    .map(Bytes::from)
}
