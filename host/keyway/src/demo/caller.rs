//! An ordinary HTTP client: the shop that posts orders, and a look at the
//! upstream's own counter.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Posts JSON to a webhook: status and answer.
pub(super) fn post(url: &str, body: &Value) -> Result<(u16, Value)> {
    let rest = url.strip_prefix("http://").context("a webhook's URL")?;
    let (authority, path) = rest.split_once('/').context("a webhook's URL has a path")?;
    let request = request(Method::POST, authority, &format!("/{path}"), body)?;
    block_on(async { exchange(connect(authority).await?, request).await })
}

/// Asks the upstream's own control page, over TLS.
pub(super) fn control(
    port: u16,
    ca: &Path,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<Value> {
    let authority = format!("localhost:{port}");
    let request = request(method, &authority, path, body)?;
    let ca = CertificateDer::from_pem_file(ca)
        .map_err(|error| anyhow!("the upstream's authority: {error}"))?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (_, answer) = block_on(async {
        let stream = connect(&authority).await?;
        let name = ServerName::try_from("localhost")?;
        exchange(
            TlsConnector::from(Arc::new(tls))
                .connect(name, stream)
                .await?,
            request,
        )
        .await
    })?;
    Ok(answer)
}

fn request(
    method: Method,
    authority: &str,
    path: &str,
    body: &Value,
) -> Result<Request<Full<Bytes>>> {
    let body = if body.is_null() {
        Bytes::new()
    } else {
        serde_json::to_vec(body)?.into()
    };
    Ok(Request::builder()
        .method(method)
        .uri(path)
        .header("host", authority)
        .header("content-type", "application/json")
        .body(Full::new(body))?)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the demo plays the shop; this is no part of a deployment"
)]
async fn connect(authority: &str) -> Result<TcpStream> {
    Ok(TcpStream::connect(authority).await?)
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(u16, Value)>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let reply = sender.send_request(request).await?;
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await?.to_bytes();
    driver.abort();
    let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok((status, answer))
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}
