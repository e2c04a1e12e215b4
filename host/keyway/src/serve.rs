//! `keyway serve`: a broker, its workers, the API and the webhook listener.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use keyway_authz::Principal;
use keyway_model::limit::{
    LISTENER_BUFFER_BYTES_MAX, LISTENER_CONNECTIONS_MAX, LISTENER_HEAD_MS_MAX,
    LISTENER_IDLE_MS_MAX, LISTENER_LEAVING_MS_MAX, LISTENER_STREAM_WINDOW_BYTES,
    LISTENER_STREAMS_MAX, SOCKET_CONNECTIONS_MAX, UNKNOWN_CALLS_RECORD_SECONDS_MIN,
};
use keyway_model::time::Clock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::api;
use crate::config::Config;
use crate::connections::Connections;
use crate::deployment::Deployment;
use crate::strangers::Peer;
use crate::webhook;
use crate::wire::{Plan, assemble};

/// The API's socket, inside the data directory.
pub const SOCKET: &str = "api.sock";

/// At the latest, so long after a record it is under a signed checkpoint.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// So many of these moments apart, the oldest ended tokens are forgotten.
const TOKENS_FORGOTTEN_EVERY: u32 = 120;

/// How long a client may take over the head of a request, and how long a
/// connection may be silent.
const HEAD_TIMEOUT: Duration = Duration::from_millis(LISTENER_HEAD_MS_MAX);

/// How long a connection may bring no request.
const IDLE_TIMEOUT: Duration = Duration::from_millis(LISTENER_IDLE_MS_MAX);

/// How long to wait after a connection could not be taken, which is so when
/// this process has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A deployment that listens.
#[derive(Debug)]
pub struct Serving {
    /// The deployment.
    pub deployment: Arc<Deployment>,
    /// Where webhooks arrive.
    pub webhook: SocketAddr,
    /// Where the API listens beside its socket.
    pub api: Option<SocketAddr>,
    socket: PathBuf,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // A socket that is left behind is replaced at the next start.
        drop(std::fs::remove_file(&self.socket));
    }
}

/// Tasks between two looks at what has arrived, and between two at what other threads have
/// done, a commit among it. With many tasks that can go on, each of which may take some hundred
/// microseconds, whoever waits for either waits for so many.
const EVENT_INTERVAL: u32 = 7;

/// Runs a deployment until it is told to end.
pub(crate) fn main(data: &Path, config: Option<&Path>) -> Result<ExitCode> {
    init_logs();
    let config = Config::load(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .global_queue_interval(EVENT_INTERVAL)
        .build()?;
    runtime.block_on(async {
        let serving = start(data, config).await?;
        announce(&serving);
        let (mut term, mut int) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::info!("ending");
        serving.deployment.end().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Logs go to standard error; `KEYWAY_LOG` in the style of `RUST_LOG` says
/// how much.
pub(crate) fn init_logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("KEYWAY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // Only the first of several deployments in one process sets the logs up.
    drop(logs.try_init());
}

#[expect(
    clippy::print_stdout,
    reason = "the line that tells a supervisor that the deployment is ready"
)]
fn announce(serving: &Serving) {
    let ready = serde_json::json!({
        "ready": true,
        "webhook": format!("http://{}", serving.webhook),
        "api": serving.api.map(|api| format!("http://{api}")),
        "socket": serving.socket,
        "workers": serving.deployment.workers().pids(),
        "warnings": serving.deployment.own_but_unknown(),
    });
    println!("{ready}");
}

/// Starts a deployment: its jobs go on, its listeners listen.
///
/// # Errors
///
/// What is wrong with the data directory, the configuration or the machine.
pub async fn start(data: &Path, config: Config) -> Result<Serving> {
    let (webhook_address, api_address) = (config.listen.webhook, config.listen.api);
    let program = crate::confined::Confined::this_program();
    let plan = Plan {
        data: data.to_owned(),
        config,
        program,
        clock: Clock::System,
    };
    let deployment = assemble(plan).await?;
    let webhooks = TcpListener::bind(webhook_address)
        .await
        .with_context(|| format!("[listen] webhook = \"{webhook_address}\""))?;
    let webhook = webhooks.local_addr()?;
    deployment.gate().never_reach(webhook);
    deployment.set_webhook_base(format!("http://{webhook}"));
    let socket = data.join(SOCKET);
    let unix = bind_socket(&socket)?;
    let api = api::router(Arc::clone(&deployment));
    tokio::spawn(serve_socket(unix, api.clone()));
    tokio::spawn(serve_listener(
        webhooks,
        webhook::router(Arc::clone(&deployment)),
    ));
    let api = match api_address {
        None => None,
        Some(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("[listen] api = \"{address}\""))?;
            let bound = listener.local_addr()?;
            deployment.gate().never_reach(bound);
            tokio::spawn(serve_listener(listener, api));
            Some(bound)
        }
    };
    tokio::spawn(checkpoints(Arc::clone(&deployment)));
    tokio::spawn(records_of_refusals(Arc::clone(&deployment)));
    for warning in deployment.own_but_unknown() {
        tracing::warn!("{warning}");
    }
    deployment.resume_jobs().await?;
    Ok(Serving {
        deployment,
        webhook,
        api,
        socket,
    })
}

fn bind_socket(path: &Path) -> Result<UnixListener> {
    if path.exists() {
        // The lock on the data directory is ours, so nobody listens there.
        std::fs::remove_file(path).with_context(|| path.display().to_string())?;
    }
    let listener = UnixListener::bind(path).with_context(|| path.display().to_string())?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves the socket. Whoever opens it must be the user that runs the
/// deployment, or root.
async fn serve_socket(listener: UnixListener, router: Router) {
    let own = rustix::process::geteuid().as_raw();
    let room = Arc::new(Semaphore::new(SOCKET_CONNECTIONS_MAX));
    loop {
        let stay = Arc::clone(&room).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let uid = match stream.peer_cred() {
            Ok(peer) if peer.uid() == own || peer.uid() == 0 => peer.uid(),
            _ => {
                tracing::warn!("another user's connection to the socket was refused");
                continue;
            }
        };
        let service = router
            .clone()
            .layer(axum::Extension(Principal::Platform(uid)))
            .layer(axum::Extension(Peer::Socket));
        tokio::spawn(async move {
            serve_connection(stream, service, IDLE_TIMEOUT).await;
            drop(stay);
        });
    }
}

async fn serve_listener(listener: TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(LISTENER_CONNECTIONS_MAX));
    let connections = Connections::default();
    loop {
        // Further connections wait in the kernel's queue.
        let stay = Arc::clone(&room).acquire_owned().await;
        let Ok((stream, from)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Replies are small and must not wait for an acknowledgement.
        drop(stream.set_nodelay(true));
        let peer = Peer::at(from.ip());
        let Some(counted) = connections.enter(peer) else {
            tracing::debug!(%peer, "a connection was closed: its address has so many");
            continue;
        };
        let router = router.clone().layer(axum::Extension(peer));
        tokio::spawn(async move {
            serve_connection(stream, router, IDLE_TIMEOUT).await;
            drop((counted, stay));
        });
    }
}

/// Serves one connection; who takes too long over a request's head, or is
/// silent between requests, is cut off. Who brings no request for as long as `idle`
/// is let go after the answers under way, pings or not.
async fn serve_connection<S>(stream: S, router: Router, idle: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        // The head of a request, and what of an answer waits to be sent.
        .max_buf_size(LISTENER_BUFFER_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT)
        .max_send_buf_size(LISTENER_BUFFER_BYTES_MAX as usize)
        .max_header_list_size(LISTENER_BUFFER_BYTES_MAX)
        // A body that waits for its place leaves the others of its connection room.
        .initial_stream_window_size(LISTENER_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(LISTENER_STREAMS_MAX * LISTENER_STREAM_WINDOW_BYTES)
        .max_concurrent_streams(LISTENER_STREAMS_MAX);
    let requests = Arc::new(AtomicU64::new(0));
    let (router, counted) = (TowerToHyperService::new(router), Arc::clone(&requests));
    let service = service_fn(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        router.call(request)
    });
    // Until the first bytes tell which version it is, no other clock runs.
    let silent = async {
        tokio::time::sleep(HEAD_TIMEOUT).await;
        if requests.load(Ordering::Relaxed) > 0 {
            std::future::pending::<()>().await;
        }
    };
    let idle = async {
        let mut before = None;
        loop {
            let now = requests.load(Ordering::Relaxed);
            if before.replace(now) == Some(now) {
                return;
            }
            tokio::time::sleep(idle).await;
        }
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let served = async {
        let mut connection = pin!(connection);
        tokio::select! {
            ended = &mut connection => return drop(ended),
            () = idle => connection.as_mut().graceful_shutdown(),
        }
        let leaving = Duration::from_millis(LISTENER_LEAVING_MS_MAX);
        drop(tokio::time::timeout(leaving, connection).await);
    };
    tokio::select! {
        // A connection that breaks is its client's to notice.
        () = served => {}
        () = silent => {}
    }
}

/// Records what was refused to callers without a token, and the last of refused
/// events, once in a while.
async fn records_of_refusals(deployment: Arc<Deployment>) {
    let mut tick = tokio::time::interval(Duration::from_secs(UNKNOWN_CALLS_RECORD_SECONDS_MIN));
    loop {
        tick.tick().await;
        deployment.record_strangers().await;
        deployment.record_refused_events().await;
    }
}

/// Signs a checkpoint over what was recorded since the last one, and takes the
/// rights of tokens that have expired meanwhile.
async fn checkpoints(deployment: Arc<Deployment>) {
    let mut tick = tokio::time::interval(CHECKPOINT_EVERY);
    let mut ticks = 0_u32;
    loop {
        tick.tick().await;
        if let Err(error) = deployment.gate().store().make_checkpoints().await {
            tracing::error!(%error, "a checkpoint could not be made");
        }
        deployment.end_expired_tokens();
        if ticks.is_multiple_of(TOKENS_FORGOTTEN_EVERY) {
            deployment.forget_ended_tokens();
        }
        ticks = ticks.wrapping_add(1);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    mod room;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const GO_AWAY: u8 = 7;
    const ACK: u8 = 1;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        let head = [0, 0, length, kind, flags, 0, 0, 0, stream];
        [&head, payload].concat()
    }

    #[tokio::test]
    async fn a_connection_that_answers_pings_and_asks_nothing_is_closed() {
        let (mut client, server) = tokio::io::duplex(64 << 10);
        let idle = Duration::from_millis(50);
        let serving = tokio::spawn(serve_connection(server, Router::default(), idle));
        // `GET /` of `x`, in HTTP/2.
        let request = [0x82, 0x86, 0x84, 0x41, 1, b'x'];
        let hello = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
            &frame(SETTINGS, 0, 0, &[]),
            &frame(HEADERS, 5, 1, &request),
        ];
        client.write_all(&hello.concat()).await.unwrap();
        let mut kinds = Vec::new();
        let mut head = [0; 9];
        while client.read_exact(&mut head).await.is_ok() {
            let [_, high, low, kind, flags, ..] = head;
            let mut payload = vec![0; usize::from(high) << 8 | usize::from(low)];
            client.read_exact(&mut payload).await.unwrap();
            if matches!(kind, SETTINGS | PING) && flags & ACK == 0 {
                let back = if kind == PING {
                    payload.as_slice()
                } else {
                    &[]
                };
                let back = frame(kind, ACK, 0, back);
                // It may be closing already.
                drop(client.write_all(&back).await);
            }
            kinds.push(kind);
        }
        // It was answered, and let go after that.
        let first = |wanted| kinds.iter().position(|kind| *kind == wanted).unwrap();
        assert!(first(HEADERS) < first(GO_AWAY), "{kinds:?}");
        serving.await.unwrap();
    }
}
