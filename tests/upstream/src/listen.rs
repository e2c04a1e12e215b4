//! The listener: one task per connection, TLS or clear, HTTP version by ALPN.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::answer::Upstream;
use crate::line::{Cut, Line};
use crate::options::Options;
use crate::tls;

/// How long a TLS handshake or a request's head may take before the connection is dropped.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(30);

/// An order system that listens but does not answer until [`Running::run`] is awaited.
#[derive(Debug)]
pub struct Running {
    port: u16,
    ca: Option<PathBuf>,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    upstream: Arc<Upstream>,
}

/// Starts the order system, prints `{"port":…,"ca":…}` on standard output when it is ready, and serves until the process ends.
///
/// # Errors
/// Those of [`start`] and [`Running::run`].
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let running = start(options).await?;
    let ready = serde_json::json!({ "port": running.port, "ca": running.ca });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ready}")
        .and_then(|()| out.flush())
        .context("cannot write the ready line")?;
    drop(out);
    running.run().await
}

/// Reads the token, makes the certificates, and binds the port.
///
/// # Errors
/// If the token file cannot be read or is empty, the authority cannot be written, or the port is taken.
pub async fn start(options: Options) -> anyhow::Result<Running> {
    let token = std::fs::read_to_string(&options.token_file).with_context(|| {
        format!(
            "cannot read the token file {}",
            options.token_file.display()
        )
    })?;
    let token = token.trim();
    anyhow::ensure!(
        !token.is_empty(),
        "the token file {} is empty",
        options.token_file.display()
    );
    let tls = match &options.ca_out {
        Some(path) => Some(tls::server_config(path)?),
        None => None,
    };
    anyhow::ensure!(
        tls.is_some() || options.clear,
        "name a file for the certificate authority with --ca-out, or say --clear"
    );
    let listener = TcpListener::bind(("127.0.0.1", options.port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{}", options.port))?;
    let port = listener
        .local_addr()
        .context("the listener has no address")?
        .port();
    let upstream = Arc::new(Upstream::new(token));
    Ok(Running {
        port,
        ca: options.ca_out,
        listener,
        tls,
        upstream,
    })
}

impl Running {
    /// The port that was bound.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Accepts connections for ever.
    ///
    /// # Errors
    /// If the listener itself fails; a failure of one connection ends that connection alone.
    pub async fn run(self) -> anyhow::Result<()> {
        loop {
            let (stream, _peer) = self.listener.accept().await.context("cannot accept")?;
            tokio::spawn(connection(
                stream,
                self.tls.clone(),
                Arc::clone(&self.upstream),
            ));
        }
    }
}

/// Serves one connection to its end. Its errors are the peer's business: a test that breaks a connection wants no noise.
async fn connection(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    upstream: Arc<Upstream>,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let cut = Arc::new(Cut::default());
    let line = Line::new(stream, Arc::clone(&cut));
    let serving = async {
        match tls {
            None => http1(line, &upstream, &cut).await,
            Some(config) => {
                let handshake = TlsAcceptor::from(config).accept(line);
                let Ok(Ok(io)) = tokio::time::timeout(HEAD_WAIT_MAX, handshake).await else {
                    return;
                };
                if io.get_ref().1.alpn_protocol() == Some(tls::H2) {
                    http2(io, &upstream, &cut).await;
                } else {
                    http1(io, &upstream, &cut).await;
                }
            }
        }
    };
    tokio::select! {
        () = serving => {}
        () = cut.happened() => {}
    }
}

async fn http1<I>(io: I, upstream: &Arc<Upstream>, cut: &Arc<Cut>)
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(|request| Arc::clone(upstream).answer(request, Arc::clone(cut)));
    let ended = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service)
        .await;
    drop(ended);
}

async fn http2<I>(io: I, upstream: &Arc<Upstream>, cut: &Arc<Cut>)
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(|request| Arc::clone(upstream).answer(request, Arc::clone(cut)));
    let ended = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(io), service)
        .await;
    drop(ended);
}
