//! Whom the way out trusts.
//!
//! Mozilla's roots, compiled in, and those that the platform's configuration
//! names. Verification cannot be switched off. TLS 1.2 and 1.3, whose suites
//! are all authenticated in this library.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::error::SetupError;

/// Sessions that one place remembers for resumption.
const SESSIONS_MAX: usize = 8;

/// The settings that every place begins with.
#[derive(Clone, Debug)]
pub(crate) struct TlsTemplate(ClientConfig);

impl TlsTemplate {
    pub(crate) fn new(extra_roots_pem: &[String]) -> Result<Self, SetupError> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        for (position, pem) in extra_roots_pem.iter().enumerate() {
            add_roots(&mut roots, pem).map_err(|detail| SetupError::Root {
                index: position + 1,
                detail,
            })?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(config))
    }

    /// The settings of one place, with a memory of sessions of its own: one
    /// tenant's session is never resumed for another.
    pub(crate) fn for_one_place(&self) -> Arc<ClientConfig> {
        let mut config = self.0.clone();
        config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        Arc::new(config)
    }
}

fn add_roots(roots: &mut RootCertStore, pem: &str) -> Result<(), String> {
    let mut found = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        found += 1;
    }
    if found == 0 {
        Err("it holds no certificate".to_owned())
    } else {
        Ok(())
    }
}
