//! A plain client for the tests: one connection per request, TLS checked against the authority that was written.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyway_upstream::Options;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    Clear,
    Tls,
    TlsHttp2,
}

pub(crate) struct Shop {
    port: u16,
    transport: Transport,
    token: String,
    ca: Option<CertificateDer<'static>>,
    _folder: tempfile::TempDir,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

impl Shop {
    pub(crate) async fn open(transport: Transport) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (token_file, ca_file) = (folder.path().join("token"), folder.path().join("ca.pem"));
        std::fs::write(&token_file, "tok-51b8f3a0/+=\n").unwrap();
        let clear = transport == Transport::Clear;
        let ca_out = (!clear).then(|| ca_file.clone());
        let running = keyway_upstream::start(Options {
            port: 0,
            token_file,
            ca_out,
            clear,
        })
        .await
        .unwrap();
        let port = running.port();
        tokio::spawn(running.run());
        let ca = (!clear).then(|| CertificateDer::from_pem_file(&ca_file).unwrap());
        Self {
            port,
            transport,
            token: "tok-51b8f3a0/+=".into(),
            ca,
            _folder: folder,
        }
    }

    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = token.into();
        self
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, Vec::new(), &[]).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Reply {
        self.try_post(path, body, headers).await.unwrap()
    }

    pub(crate) async fn try_post(
        &self,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Reply> {
        self.send("POST", path, body.to_string().into_bytes(), headers)
            .await
    }

    pub(crate) async fn counters(&self) -> Value {
        self.get("/control/effects").await.json()
    }

    pub(crate) async fn set_mode(&self, mode: &str) {
        let set = self
            .post("/control/mode", &serde_json::json!({ "mode": mode }), &[])
            .await;
        assert_eq!(set.status, 200);
    }

    /// Reads a body until it has `wanted` bytes or ends.
    pub(crate) async fn reads_at_least(&self, path: &str, wanted: usize) -> bool {
        let mut reply = self.exchange("GET", path, Vec::new(), &[]).await.unwrap();
        let mut read = 0;
        while read < wanted {
            let Some(Ok(frame)) = reply.body_mut().frame().await else {
                return false;
            };
            read += frame.into_data().map_or(0, |data| data.len());
        }
        true
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Reply> {
        let (head, body) = self
            .exchange(method, path, body, headers)
            .await?
            .into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<hyper::Response<hyper::body::Incoming>> {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        let uri = match self.transport {
            Transport::TlsHttp2 => format!("{scheme}://localhost:{}{path}", self.port),
            Transport::Clear | Transport::Tls => path.to_owned(),
        };
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", format!("Bearer {}", self.token));
        if self.transport != Transport::TlsHttp2 {
            request = request.header("host", format!("localhost:{}", self.port));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let io = TokioIo::new(self.dial().await?);
        if self.transport == Transport::TlsHttp2 {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Ok(sender.send_request(request).await?)
        } else {
            let (mut sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            Ok(sender.send_request(request).await?)
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the test's own client, towards loopback"
    )]
    async fn dial(&self) -> anyhow::Result<Box<dyn Io>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let Some(ca) = &self.ca else {
            return Ok(Box::new(stream));
        };
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca.clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let wanted: &[u8] = if self.transport == Transport::TlsHttp2 {
            b"h2"
        } else {
            b"http/1.1"
        };
        config.alpn_protocols = vec![wanted.to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector
            .connect(ServerName::try_from("localhost")?, stream)
            .await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(wanted));
        Ok(Box::new(stream))
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        Some(self.headers.get(name)?.to_str().ok()?.to_owned())
    }
}
