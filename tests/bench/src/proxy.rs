//! The bound of `stream`: a native proxy that reads the body of one hyper exchange and sends it as that of another, on
//! one thread, with nothing in between.

use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

/// How the bound is measured.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// The upstream's port on 127.0.0.1.
    #[arg(long)]
    pub port: u16,
    /// The body, in MiB.
    #[arg(long, default_value_t = 1024)]
    pub mib: u32,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Of the body, once.
    pub mib_per_s: f64,
}

/// Moves the body once to warm up, in small, and once to measure; wants a runtime.
///
/// # Errors
/// If the upstream does not take all of it.
pub async fn run(options: Options) -> anyhow::Result<Outcome> {
    pump(options.port, options.mib.min(16)).await?;
    let started = Instant::now();
    pump(options.port, options.mib).await?;
    let mib_per_s = f64::from(options.mib) / started.elapsed().as_secs_f64();
    Ok(Outcome { mib_per_s })
}

async fn pump(port: u16, mib: u32) -> anyhow::Result<()> {
    let bytes = u64::from(mib) << 20;
    let mut source = connect(port).await?;
    let get = request(
        port,
        Method::GET,
        &format!("/bytes?count={bytes}"),
        Empty::<Bytes>::new(),
    )?;
    let reply = source.send_request(get).await?;
    let mut target = connect(port).await?;
    let post = request(port, Method::POST, "/discard", reply.into_body())?;
    let answer = target.send_request(post).await?;
    anyhow::ensure!(
        answer.status() == StatusCode::OK,
        "the upstream said {}",
        answer.status()
    );
    let taken = answer.into_body().collect().await?.to_bytes();
    anyhow::ensure!(taken == bytes.to_string(), "not all of the body arrived");
    Ok(())
}

fn request<B>(port: u16, method: Method, path: &str, body: B) -> anyhow::Result<Request<B>> {
    let host = HeaderValue::try_from(format!("127.0.0.1:{port}"))?;
    Ok(Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, host)
        .header(AUTHORIZATION, HeaderValue::from_static("Bearer bench"))
        .body(body)?)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the bound is outside the product; it is what there would be without a gate"
)]
async fn connect<B>(port: u16) -> anyhow::Result<SendRequest<B>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .context("cannot connect")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
