//! Whom the way out trusts, and as whom it is known.
//!
//! Mozilla's roots, compiled in, and those that the platform's configuration
//! names; or, for a connection with [`TlsSettings`] of its own, only the roots
//! that it names. Verification cannot be switched off: pins are asked for
//! beside it, never in its place. What an authority has revoked is known from the
//! lists that the configuration names. TLS 1.2 and 1.3, whose suites are all
//! authenticated in this library; certificates are not accepted compressed.

use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use crate::error::SetupError;
use crate::identity::TlsSettings;
use crate::pin::Pinned;

/// Sessions that one place remembers for resumption.
const SESSIONS_MAX: usize = 8;

/// The settings that every place begins with.
#[derive(Clone, Debug)]
pub(crate) struct TlsTemplate {
    roots: Arc<RootCertStore>,
    /// Lists of certificates that their authorities have revoked.
    revoked: Vec<CertificateRevocationListDer<'static>>,
    plain: ClientConfig,
}

/// Whether a place may show the connection's client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Known {
    /// The request carries the connection's credential.
    AsTheConnection,
    /// It does not, and so shows no certificate.
    AsNobody,
}

impl TlsTemplate {
    pub(crate) fn new(
        extra_roots_pem: &[String],
        revoked_pem: &[String],
    ) -> Result<Self, SetupError> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        for (position, pem) in extra_roots_pem.iter().enumerate() {
            let refuse = |detail| SetupError::Root {
                index: position + 1,
                detail,
            };
            for certificate in certificates(pem).map_err(refuse)? {
                let added = roots.add(certificate);
                added.map_err(|error| refuse(error.to_string()))?;
            }
        }
        let roots = Arc::new(roots);
        let revoked = revocation_lists(revoked_pem)?;
        let plain = base()?
            .with_webpki_verifier(verifier(&roots, &revoked)?)
            .with_no_client_auth();
        Ok(Self {
            roots,
            revoked,
            plain,
        })
    }

    /// The settings of one place, with a memory of sessions of its own: one
    /// tenant's session is never resumed for another.
    pub(crate) fn for_one_place(
        &self,
        own: Option<&TlsSettings>,
        known: Known,
    ) -> Result<Arc<ClientConfig>, SetupError> {
        let mut config = match own {
            None => self.plain.clone(),
            Some(own) => self.with(own, known)?,
        };
        config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn with(&self, own: &TlsSettings, known: Known) -> Result<ClientConfig, SetupError> {
        let roots = own.roots.as_ref().unwrap_or(&self.roots);
        let pinned = Pinned {
            verifier: verifier(roots, &self.revoked)?,
            pins: own.pins.clone(),
        };
        // "Dangerous" is what the library calls any verifier of one's own; this
        // one asks the library's first.
        let builder = base()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pinned));
        Ok(match (&own.client, known) {
            (Some(client), Known::AsTheConnection) => {
                builder.with_client_auth_cert(client.chain.clone(), client.key.clone_key())?
            }
            _ => builder.with_no_client_auth(),
        })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Asks for roots, and for the lists of what was revoked. An authority that has
/// no list here is believed without one.
fn verifier(
    roots: &Arc<RootCertStore>,
    revoked: &[CertificateRevocationListDer<'static>],
) -> Result<Arc<WebPkiServerVerifier>, SetupError> {
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider());
    let builder = if revoked.is_empty() {
        builder
    } else {
        builder
            .with_crls(revoked.iter().cloned())
            .allow_unknown_revocation_status()
    };
    builder
        .build()
        .map_err(|error| SetupError::Roots(error.to_string()))
}

fn revocation_lists(
    pem: &[String],
) -> Result<Vec<CertificateRevocationListDer<'static>>, SetupError> {
    let mut lists = Vec::new();
    for (position, pem) in pem.iter().enumerate() {
        let refuse = |detail: String| SetupError::Revoked {
            index: position + 1,
            detail,
        };
        let before = lists.len();
        for list in CertificateRevocationListDer::pem_slice_iter(pem.as_bytes()) {
            lists.push(list.map_err(|error| refuse(error.to_string()))?);
        }
        if lists.len() == before {
            return Err(refuse("it holds no list".to_owned()));
        }
    }
    Ok(lists)
}

fn base() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, SetupError> {
    Ok(
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])?,
    )
}

/// The certificates of a PEM text, of which there is at least one.
pub(crate) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(found)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::identity::TlsSpec;
    use crate::pin::SpkiPin;

    #[test]
    fn every_setting_of_tls_is_the_one_that_was_reviewed() {
        let template = TlsTemplate::new(&[], &[]).unwrap();
        let pinned = TlsSettings::new(&TlsSpec {
            pins: vec![SpkiPin([0; 32])],
            ..TlsSpec::default()
        })
        .unwrap();
        for (own, verifier) in [
            (None, "WebPkiServerVerifier { roots"),
            (
                Some(&pinned),
                "Pinned { verifier: WebPkiServerVerifier { roots",
            ),
        ] {
            for known in [Known::AsNobody, Known::AsTheConnection] {
                let config = template.for_one_place(own, known).unwrap();
                let shown = format!("{config:?}");
                let (_, shown) = shown.split_once("verifier: ").unwrap();
                assert!(shown.starts_with(verifier), "{verifier}");
                assert_eq!(config.alpn_protocols, [b"h2".as_slice(), b"http/1.1"]);
                assert!(config.enable_sni, "the name is said");
                assert!(
                    !config.enable_early_data,
                    "nothing is sent that can be replayed"
                );
                assert!(
                    !config.enable_secret_extraction,
                    "no key leaves the library"
                );
                assert!(
                    !config.key_log.will_log("CLIENT_RANDOM"),
                    "no key is written down"
                );
                assert!(config.cert_decompressors.is_empty());
                assert!(config.cert_compressors.is_empty());
                assert!(!config.client_auth_cert_resolver.has_certs());
                assert_eq!(config.max_fragment_size, None);
                let suites = &config.crypto_provider().cipher_suites;
                assert_eq!(suites.len(), 9, "{suites:?}");
            }
        }
    }
}
