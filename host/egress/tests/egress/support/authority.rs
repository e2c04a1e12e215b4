//! A certificate authority, and TLS upstreams with certificates of every kind.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use keyway_egress::{ClientSpec, SpkiPin};
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, PublicKeyData, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::{Seen, Upstream};

/// What a TLS upstream has seen of one request.
#[derive(Clone, Debug)]
pub(crate) struct TlsRequest {
    pub(crate) server_name: Option<String>,
    pub(crate) resumed: bool,
    /// The client's certificate, if it showed one.
    pub(crate) client: Option<Vec<u8>>,
    pub(crate) version: Version,
    pub(crate) authority: Option<String>,
    pub(crate) headers: HeaderMap,
}

/// An authority that signs what a test wants.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::changed(|_| {})
    }

    /// An authority whose own certificate is changed.
    pub(crate) fn changed(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Settings of a server whose certificate names `host`, after `change`.
    pub(crate) fn server(
        &self,
        host: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        server_config(certificate.der().clone(), &key)
    }
}

impl Authority {
    /// A list that says that the certificate with this number was revoked.
    pub(crate) fn revoking(&self, number: u64) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(number),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// Settings of the same server, which wants a certificate of this authority
    /// from its clients.
    pub(crate) fn server_for_known_clients(&self, host: &str) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        let own = CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap();
        roots.add(own).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        server_config_for(clients, certificate.der().clone(), &key)
    }

    /// A client's certificate, also in DER, with its key.
    pub(crate) fn client(&self, name: &str) -> (ClientSpec, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let client = ClientSpec {
            chain_pem: certificate.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
        };
        (client, certificate.der().to_vec())
    }
}

/// Settings of a server that signed its own certificate.
pub(crate) fn self_signed(host: &str) -> ServerConfig {
    self_signed_by(host, &KeyPair::generate().unwrap())
}

/// The same, and the pin of its key.
pub(crate) fn self_signed_and_pin(host: &str) -> (ServerConfig, SpkiPin) {
    let key = KeyPair::generate().unwrap();
    let pin = SpkiPin::of_spki(&key.subject_public_key_info());
    (self_signed_by(host, &key), pin)
}

fn self_signed_by(host: &str, key: &KeyPair) -> ServerConfig {
    let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = params.self_signed(key).unwrap();
    server_config(certificate.der().clone(), key)
}

fn server_config(certificate: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    server_config_for(WebPkiClientVerifier::no_client_auth(), certificate, key)
}

fn server_config_for(
    clients: Arc<dyn ClientCertVerifier>,
    certificate: CertificateDer<'static>,
    key: &KeyPair,
) -> ServerConfig {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A TLS upstream on loopback, and what it has seen.
pub(crate) struct TlsUpstream {
    pub(crate) upstream: Upstream,
    pub(crate) requests: Arc<Mutex<Vec<TlsRequest>>>,
}

impl TlsUpstream {
    /// Answers every request with its body, until the connection is closed.
    pub(crate) async fn echoing(config: ServerConfig) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&requests);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let upstream = Upstream::scripted(move |tcp, _: Seen| {
            serve(tcp, acceptor.clone(), Arc::clone(&noted))
        })
        .await;
        Self { upstream, requests }
    }

    pub(crate) fn port(&self) -> u16 {
        self.upstream.port
    }
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, noted: Arc<Mutex<Vec<TlsRequest>>>) {
    let Ok(tls) = acceptor.accept(tcp).await else {
        return;
    };
    let session = tls.get_ref().1;
    let server_name = session.server_name().map(str::to_owned);
    let resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    let client = session
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|certificate| certificate.to_vec());
    let answer = service_fn(move |request: Request<Incoming>| {
        noted.lock().push(TlsRequest {
            client: client.clone(),
            server_name: server_name.clone(),
            resumed,
            version: request.version(),
            authority: request.uri().authority().map(ToString::to_string),
            headers: request.headers().clone(),
        });
        async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"over tls")))) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    // A client that goes away is an error here, and no concern of the test.
    builder
        .serve_connection(TokioIo::new(tls), answer)
        .await
        .unwrap_or_default();
}
