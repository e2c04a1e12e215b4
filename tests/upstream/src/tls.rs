//! Certificates made at start: an authority that is written to a file, and a server certificate that it signs.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The ALPN name of HTTP/2.
pub(crate) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// The names that the server certificate is good for.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// Makes an authority and a server certificate, writes the authority to `ca_out` as PEM, and returns what the listener needs.
pub(crate) fn server_config(ca_out: &Path) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let ca_key = KeyPair::generate().context("cannot make the authority's key")?;
    let ca_params = authority()?;
    let ca = ca_params
        .self_signed(&ca_key)
        .context("cannot sign the authority")?;
    let issuer = Issuer::new(ca_params, ca_key);

    let key = KeyPair::generate().context("cannot make the server's key")?;
    let mut params = CertificateParams::new(NAMES.map(String::from))
        .context("cannot name the server's certificate")?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Demo Shop");
    let certificate = params
        .signed_by(&key, &issuer)
        .context("cannot sign the server")?;

    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("no usable TLS version")?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone(), ca.der().clone()], private)
        .context("the server's certificate does not fit its key")?;
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];

    std::fs::write(ca_out, ca.pem())
        .with_context(|| format!("cannot write the authority to {}", ca_out.display()))?;
    Ok(Arc::new(config))
}

fn authority() -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).context("cannot describe the authority")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "Demo Shop test authority");
    Ok(params)
}
