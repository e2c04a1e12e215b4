//! What a connection says about TLS, as it is kept: roots, pins and the client
//! certificate with the connection's record, its key with the credential, under
//! the credential's seal.
//!
//! The key is opened for an entry that names the credential, and for no other.

use keyway_egress::{ClientSpec, TlsSettings, TlsSpec};
use keyway_vault::Secret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What a connection says about TLS. By default, nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsRecord {
    /// Certificates in PEM that replace every other root.
    pub roots_pem: Option<String>,
    /// Pins; the server's key must be one of them, if there is any.
    pub pins: Vec<String>,
    /// The client certificate and what it was signed with, in PEM.
    pub client_chain_pem: Option<String>,
}

impl TlsRecord {
    /// Whether the platform's settings hold.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The settings for egress; with the client certificate only if its key is
    /// given.
    ///
    /// # Errors
    ///
    /// What is wrong, in words without any of the key.
    pub fn settings(&self, client_key_pem: Option<&str>) -> Result<TlsSettings, String> {
        let pins = self
            .pins
            .iter()
            .map(|pin| pin.parse().map_err(|error| format!("pin `{pin}`: {error}")));
        let client = self.client_chain_pem.as_ref().zip(client_key_pem);
        let spec = TlsSpec {
            roots_pem: self.roots_pem.clone(),
            pins: pins.collect::<Result<_, String>>()?,
            client: client.map(|(chain, key)| ClientSpec {
                chain_pem: chain.clone(),
                key_pem: Zeroizing::new(key.to_owned()),
            }),
        };
        TlsSettings::new(&spec).map_err(|error| error.to_string())
    }
}

/// Credential and client key in one secret, as it is sealed.
pub fn bundled(credential: &[u8], client_key_pem: &str) -> Secret {
    let length = u32::try_from(credential.len()).unwrap_or(u32::MAX);
    Secret::new([&length.to_be_bytes(), credential, client_key_pem.as_bytes()].concat())
}

/// The parts of an opened secret.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) credential: &'a [u8],
    pub(crate) client_key_pem: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Takes a secret apart; only that of a connection with a client
    /// certificate has two parts.
    pub(crate) fn of(secret: &'a Secret, tls: &TlsRecord) -> Option<Self> {
        let bytes = secret.expose();
        if tls.client_chain_pem.is_none() {
            return Some(Self {
                credential: bytes,
                client_key_pem: None,
            });
        }
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (credential, key) = rest.split_at_checked(length)?;
        Some(Self {
            credential,
            client_key_pem: Some(std::str::from_utf8(key).ok()?),
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_comes_apart_as_it_was_made_and_nothing_else_does() {
        let with_certificate = TlsRecord {
            client_chain_pem: Some("chain".to_owned()),
            ..TlsRecord::default()
        };
        for credential in [&b""[..], b"token", &[0, 0, 0, 9]] {
            let secret = bundled(credential, "key");
            let parts = Parts::of(&secret, &with_certificate).unwrap();
            assert_eq!(parts.credential, credential);
            assert_eq!(parts.client_key_pem, Some("key"));
        }
        for bytes in [
            &b""[..],
            b"\0\0",
            b"\0\0\0\x09key",
            b"\xff\xff\xff\xffkey",
            b"\0\0\0\0\xff",
        ] {
            let secret = Secret::new(bytes.to_vec());
            assert!(Parts::of(&secret, &with_certificate).is_none(), "{bytes:?}");
        }
        let alone = Secret::new(b"token".to_vec());
        let parts = Parts::of(&alone, &TlsRecord::default()).unwrap();
        assert_eq!(
            (parts.credential, parts.client_key_pem),
            (&b"token"[..], None)
        );
    }
}
