//! What one connection of a tenant says about TLS: whom it trusts, and as whom
//! it is known.
//!
//! Its digest is part of the key of the pool, so that connections which differ
//! in any of this share neither a socket nor a session. A client certificate is
//! a credential: it is shown only by a request that carries the connection's
//! credential, and its key does not print.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use keyway_model::limit::{TLS_CLIENT_BYTES_MAX, TLS_PINS_MAX, TLS_ROOTS_BYTES_MAX, TLS_ROOTS_MAX};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::error::SetupError;
use crate::pin::SpkiPin;
use crate::tls::{Known, TlsTemplate, certificates};

/// What a connection says about TLS, as texts.
#[derive(Debug, Default)]
pub struct TlsSpec {
    /// Certificates in PEM that replace every other root.
    pub roots_pem: Option<String>,
    /// The server's key must be one of these, if any is named.
    pub pins: Vec<SpkiPin>,
    /// A client certificate with its key.
    pub client: Option<ClientSpec>,
}

/// A client certificate with its key. Does not print its key.
pub struct ClientSpec {
    /// The certificate, then what it was signed with, in PEM.
    pub chain_pem: String,
    /// The key, in PEM.
    pub key_pem: Zeroizing<String>,
}

/// What a connection says about TLS, read and found usable.
pub struct TlsSettings {
    pub(crate) roots: Option<Arc<RootCertStore>>,
    pub(crate) pins: Vec<SpkiPin>,
    pub(crate) client: Option<Client>,
    id: [u8; 32],
}

pub(crate) struct Client {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// What tells one way of speaking TLS from another, in the key of the pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TlsId([u8; 32], Known);

impl TlsSettings {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if a text cannot be read, or if the key is not that of the
    /// certificate.
    pub fn new(spec: &TlsSpec) -> Result<Self, SetupError> {
        fits(spec)?;
        let mut id = Context::new(&SHA256);
        let mut note = |kind: u8, bytes: &[u8]| {
            id.update(&[kind]);
            id.update(&(bytes.len() as u64).to_be_bytes());
            id.update(bytes);
        };
        let mut roots = None;
        if let Some(pem) = &spec.roots_pem {
            let mut store = RootCertStore::empty();
            let all = certificates(pem).map_err(SetupError::Roots)?;
            within("TLS_ROOTS_MAX", TLS_ROOTS_MAX, all.len(), "roots")?;
            for certificate in all {
                note(1, &certificate);
                let added = store.add(certificate);
                added.map_err(|error| SetupError::Roots(error.to_string()))?;
            }
            roots = Some(Arc::new(store));
        }
        for pin in &spec.pins {
            note(2, &pin.0);
        }
        let client = spec.client.as_ref().map(Client::read).transpose()?;
        for certificate in client.iter().flat_map(|client| &client.chain) {
            note(3, certificate);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(id.finish().as_ref());
        let settings = Self {
            roots,
            pins: spec.pins.clone(),
            client,
            id: bytes,
        };
        // Finds out now whether certificate and key belong together.
        TlsTemplate::new(&[], &[])?.for_one_place(Some(&settings), Known::AsTheConnection)?;
        Ok(settings)
    }

    /// Whether there is a client certificate to show.
    pub const fn has_client_certificate(&self) -> bool {
        self.client.is_some()
    }

    pub(crate) const fn id(&self, known: Known) -> TlsId {
        TlsId(self.id, known)
    }
}

/// Looks at sizes before anything is read.
fn fits(spec: &TlsSpec) -> Result<(), SetupError> {
    let roots = spec.roots_pem.as_ref().map_or(0, String::len);
    let chain = spec.client.as_ref().map_or(0, |it| it.chain_pem.len());
    within(
        "TLS_ROOTS_BYTES_MAX",
        TLS_ROOTS_BYTES_MAX,
        roots,
        "bytes of roots",
    )?;
    within("TLS_PINS_MAX", TLS_PINS_MAX, spec.pins.len(), "pins")?;
    within(
        "TLS_CLIENT_BYTES_MAX",
        TLS_CLIENT_BYTES_MAX,
        chain,
        "bytes of client certificates",
    )
}

fn within(name: &'static str, max: usize, count: usize, of: &str) -> Result<(), SetupError> {
    if count <= max {
        return Ok(());
    }
    Err(SetupError::TooMuch {
        name,
        max,
        what: format!("the connection brings {count} {of}; name only those of its upstream"),
    })
}

impl Client {
    fn read(spec: &ClientSpec) -> Result<Self, SetupError> {
        let chain = certificates(&spec.chain_pem).map_err(SetupError::ClientCertificate)?;
        // The reader's error could repeat a part of the key.
        let key = PrivateKeyDer::from_pem_slice(spec.key_pem.as_bytes())
            .map_err(|_| SetupError::ClientKey)?;
        Ok(Self { chain, key })
    }
}

impl fmt::Debug for ClientSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSpec(•••)")
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("roots", &self.roots.as_ref().map(|roots| roots.len()))
            .field("pins", &self.pins)
            .field("client", &self.client.is_some())
            .finish_non_exhaustive()
    }
}
