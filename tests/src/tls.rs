//! Connections with TLS settings of their own, through the whole, to a server
//! that notes which certificate it was shown.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::harness::{Stage, secret, with_manifest};
use crate::listener::reply;

/// An authority, a server that it signed, and what clients have shown it.
struct Server {
    port: u16,
    issuer: Issuer<'static, KeyPair>,
    authority_pem: String,
    shown: Arc<Mutex<Vec<Option<CertificateDer<'static>>>>>,
}

impl Server {
    fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let config = Arc::new(server_config(&issuer, &authority_pem));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&shown);
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut tls = StreamOwned::new(session, tcp.unwrap());
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                // A client that does not trust this server sends no request.
                while !request.ends_with(b"\r\n\r\n") {
                    match tls.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(read) => request.extend_from_slice(&buffer[..read]),
                    }
                }
                if request.is_empty() {
                    continue;
                }
                let chain = tls.conn.peer_certificates().unwrap_or_default();
                noted
                    .lock()
                    .unwrap()
                    .push(chain.first().cloned().map(CertificateDer::into_owned));
                let answer = reply("200 OK", "content-type: application/json\r\n", "{}");
                drop(tls.write_all(answer.as_bytes()));
                tls.conn.send_close_notify();
                drop(tls.flush());
            }
        });
        Self {
            port,
            issuer,
            authority_pem,
            shown,
        }
    }

    /// A client's certificate and key, in PEM.
    fn client(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["keyway".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A deployment that may reach this server, with the `http` connector and
    /// the files that connections are made of.
    fn stage(&self, auth: &str) -> Stage {
        let stage = Stage::configured(&format!(
            "[[egress.allow]]\nhost = \"localhost\"\nport = {}\n",
            self.port
        ));
        let artifact = with_manifest("http.wasm", |manifest| {
            let title = manifest.replacen("title = \"HTTP\"", "title = \"HTTP over TLS\"", 1);
            title.replacen("scheme = \"bearer\"", &format!("scheme = \"{auth}\""), 1)
        });
        let file = stage.write("tls.wasm", artifact);
        stage.ok("workspace create acme");
        stage.install_file(&file, "http");
        let (certificate, key) = self.client();
        stage.write("ca.pem", &self.authority_pem);
        stage.write("client.pem", certificate);
        secret(&stage.dir.path().join("client-key.pem"), &key);
        stage
    }

    fn create(&self, name: &str, more: &str) -> String {
        format!(
            "connection create {name} --connector http --parameter host=localhost --parameter port={} --parameter scheme=https {more}",
            self.port
        )
    }

    fn requests(&self) -> usize {
        self.shown.lock().unwrap().len()
    }
}

fn server_config(issuer: &Issuer<'static, KeyPair>, authority_pem: &str) -> ServerConfig {
    let mut clients = RootCertStore::empty();
    clients
        .add(CertificateDer::from_pem_slice(authority_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(clients), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

#[test]
fn a_connection_trusts_its_own_roots_and_keys() {
    let server = Server::start();
    let stage = server.stage("bearer");
    stage.ok(&server.create("plain", "--credential-file token.txt"));
    let said = stage.refused("connection check plain");
    assert!(said.contains("UnknownIssuer"), "{said}");
    stage.ok(&server.create("rooted", "--credential-file token.txt --ca-file ca.pem"));
    stage.ok("connection check rooted");

    let other = format!("--pin sha256/{}=", "A".repeat(43));
    let with_ca = "--credential-file token.txt --ca-file ca.pem";
    stage.ok(&server.create("misplaced", &format!("{with_ca} {other}")));
    let said = stage.refused("connection check misplaced");
    assert_eq!(
        server.requests(),
        1,
        "only the one that trusts it has asked: {said}"
    );
    let found = said
        .split_whitespace()
        .map(|word| word.trim_end_matches(','))
        .find(|word| word.starts_with("sha256/"))
        .unwrap_or_else(|| panic!("{said}"))
        .to_owned();
    stage.ok(&server.create("pinned", &format!("{with_ca} {other} --pin {found}")));
    stage.ok("connection check pinned");
    let listed = stage.json("connection list");
    let pinned = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["name"] == "pinned")
        .unwrap();
    assert_eq!(pinned["own_roots"], true, "{pinned}");
    assert_eq!(pinned["pins"][1], found.as_str(), "{pinned}");
}

#[test]
fn a_client_certificate_is_a_credential_that_never_comes_back() {
    let server = Server::start();
    let stage = server.stage("bearer");
    let client =
        "--ca-file ca.pem --client-certificate client.pem --client-key-file client-key.pem";
    stage.ok(&server.create("known", &format!("--credential-file token.txt {client}")));
    stage.ok("connection check known");
    stage.ok(&server.create("unknown", "--credential-file token.txt --ca-file ca.pem"));
    stage.ok("connection check unknown");
    let certificate = std::fs::read(stage.dir.path().join("client.pem")).unwrap();
    let expected = CertificateDer::from_pem_slice(&certificate).unwrap();
    assert_eq!(*server.shown.lock().unwrap(), [Some(expected), None]);

    let key = std::fs::read_to_string(stage.dir.path().join("client-key.pem")).unwrap();
    let canary = key.lines().nth(1).unwrap();
    let listed = stage.json("connection list");
    assert_eq!(listed[0]["has_client_certificate"], true, "{listed}");
    let audit = stage.json("--workspace acme audit list --limit 1000");
    for shown in [listed, audit] {
        assert!(!shown.to_string().contains(canary));
    }
    for entry in std::fs::read_dir(stage.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = memchr::memmem::find(&bytes, canary.as_bytes());
            assert!(found.is_none(), "the key is in {}", path.display());
        }
    }
}

#[test]
fn a_connector_may_be_known_by_its_client_certificate_alone() {
    let server = Server::start();
    let stage = server.stage("client-certificate");
    let said = stage.refused(&server.create("none", "--no-credential --ca-file ca.pem"));
    assert!(said.contains("--client-certificate"), "{said}");
    let client =
        "--ca-file ca.pem --client-certificate client.pem --client-key-file client-key.pem";
    let said =
        stage.refused(&server.create("both", &format!("--credential-file token.txt {client}")));
    assert!(said.contains("--no-credential"), "{said}");
    stage.ok(&server.create("known", &format!("--no-credential {client}")));
    stage.ok("connection check known");
    assert!(matches!(server.shown.lock().unwrap().as_slice(), [Some(_)]));
}

#[test]
fn tls_settings_that_cannot_be_used_are_refused_when_the_connection_is_made() {
    let server = Server::start();
    let stage = server.stage("bearer");
    secret(&stage.dir.path().join("other-key.pem"), &server.client().1);
    stage.write("open-key.pem", server.client().1);
    stage.write("many.pem", server.authority_pem.repeat(201));
    for (more, words) in [
        ("--ca-file many.pem", "`TLS_ROOTS_MAX` (200)"),
        ("--pin sha1/AAAA", "not a pin"),
        ("--ca-file token.txt", "no certificate"),
        ("--client-certificate client.pem", "--client-key-file"),
        (
            "--client-certificate client.pem --client-key-file other-key.pem",
            "TLS",
        ),
        (
            "--client-certificate client.pem --client-key-file token.txt",
            "not a private key",
        ),
        (
            "--client-certificate client.pem --client-key-file open-key.pem",
            "chmod 600",
        ),
    ] {
        let said =
            stage.refused(&server.create("wrong", &format!("--credential-file token.txt {more}")));
        assert!(said.contains(words), "{more}: {said}");
        assert!(!said.contains(&stage.upstream.token), "{more}: {said}");
    }
    assert_eq!(stage.json("connection list").as_array().unwrap().len(), 0);
}
