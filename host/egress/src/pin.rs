//! Pins: which key a server must have, beside a certificate that holds.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

const PREFIX: &str = "sha256/";

/// The SHA-256 of a certificate's public key (`SubjectPublicKeyInfo`, in DER),
/// written `sha256/` and 44 characters of base64, as RFC 7469 has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpkiPin(pub(crate) [u8; 32]);

/// A text that is no pin.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a pin: write `sha256/` and the base64 of the 32 bytes of SHA-256 of the public key")]
pub struct PinError;

impl SpkiPin {
    /// The pin of a public key in DER.
    pub fn of_spki(der: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, der).as_ref());
        Self(bytes)
    }
}

impl FromStr for SpkiPin {
    type Err = PinError;
    fn from_str(text: &str) -> Result<Self, PinError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(PinError)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| PinError)?;
        Ok(Self(bytes.try_into().map_err(|_| PinError)?))
    }
}

impl fmt::Display for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Asks the ordinary verifier, and then for the pin.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) verifier: Arc<WebPkiServerVerifier>,
    /// One of these; with none, any key.
    pub(crate) pins: Vec<SpkiPin>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let found = SpkiPin::of_spki(&certificate.subject_public_key_info());
        if self.pins.is_empty() || self.pins.contains(&found) {
            return Ok(verified);
        }
        Err(Error::General(format!(
            "the server's key is {found}, which is not among the connection's pins"
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
