//! Injects a credential: after the decision, at the manifest's slot, and
//! nowhere else. The same step says what must be kept from coming back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use keyway_authz::HttpSend;
use keyway_egress::{Exchange, QuerySecret};
use keyway_model::CredentialSlot;
use keyway_model::limit::CREDENTIAL_BYTES_MIN;
use zeroize::Zeroizing;

use crate::headers::HeaderRefusal;
use crate::mask::Travelling;
use crate::over::Over;

/// Why a request could not be completed. Never holds a part of a secret.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum InjectError {
    /// The guest's headers cannot be sent.
    #[error(transparent)]
    Header(#[from] HeaderRefusal),
    /// The request is over a limit.
    #[error(transparent)]
    Over(#[from] Over),
    /// The credential cannot be opened.
    #[error("the connection's credential cannot be opened: {0}")]
    Vault(String),
    /// The credential does not fit into its slot.
    #[error(
        "the connection's credential cannot be a header value: it holds a control character; create the connection again"
    )]
    Unfit,
    /// What the connection says about TLS cannot be used.
    #[error("the connection's TLS settings cannot be used: {0}; create the connection again")]
    Tls(String),
    /// What replies are to be searched for was not made.
    #[error("replies could not be searched for the credential, so nothing was sent: try again")]
    Unsearched,
    /// The body streams and was sent already.
    #[error("the body of the request was sent already and cannot be sent again")]
    Gone,
}

impl InjectError {
    pub(crate) fn vault(error: impl std::fmt::Display) -> Self {
        Self::Vault(error.to_string())
    }
}

/// Fills the slot of `send` and answers with what must not come back.
pub(crate) fn inject(
    exchange: &mut Exchange,
    send: &HttpSend,
    bytes: &[u8],
) -> Result<Vec<Travelling>, InjectError> {
    let mut travelling = vec![Zeroizing::new(bytes.to_vec())];
    match send.credential() {
        None | Some(CredentialSlot::ClientCertificate) => return Ok(Vec::new()),
        Some(CredentialSlot::Bearer) => {
            let value = Zeroizing::new([b"Bearer ", bytes].concat());
            put(&mut exchange.headers, "authorization", &value)?;
        }
        Some(CredentialSlot::Basic) => {
            let encoded = Zeroizing::new(STANDARD.encode(bytes).into_bytes());
            let value = Zeroizing::new([b"Basic ", encoded.as_slice()].concat());
            put(&mut exchange.headers, "authorization", &value)?;
            // What travels is encoded already, and may come back encoded again.
            travelling.push(encoded);
            travelling.extend(secret_of(bytes).map(|word| Zeroizing::new(word.to_vec())));
        }
        Some(CredentialSlot::Header(name)) => put(&mut exchange.headers, name, bytes)?,
        Some(CredentialSlot::Query(name)) => {
            let text = std::str::from_utf8(bytes).map_err(|_| InjectError::Unfit)?;
            exchange.query_secret = Some(QuerySecret {
                name: name.clone(),
                value: Zeroizing::new(text.to_owned()),
            });
        }
    }
    Ok(travelling)
}

/// A password that is no longer is none: where the user is the secret, some services want
/// one all the same.
const PLACEHOLDER_BYTES: usize = 1;

/// What is secret of `user:password`: the password, or the user where there is none.
fn secret_of(pair: &[u8]) -> Option<&[u8]> {
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let (user, password) = (pair.get(..colon)?, pair.get(colon + 1..)?);
    match password.len() > PLACEHOLDER_BYTES {
        true => Some(password),
        false => Some(user),
    }
}

/// Whether what is secret of a credential is long enough to be told from what else a reply
/// holds, wherever it comes back.
pub fn is_maskable(slot: &CredentialSlot, credential: &[u8]) -> bool {
    let secret = match slot {
        CredentialSlot::Basic => secret_of(credential).unwrap_or(credential),
        CredentialSlot::Bearer
        | CredentialSlot::Header(_)
        | CredentialSlot::Query(_)
        | CredentialSlot::ClientCertificate => credential,
    };
    secret.len() >= CREDENTIAL_BYTES_MIN
}

/// Sets a header of the host's own, in the place of any that is there. Its
/// value is marked as sensitive, so that HTTP/2 does not index it.
pub(crate) fn put(headers: &mut HeaderMap, name: &str, value: &[u8]) -> Result<(), InjectError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| InjectError::Unfit)?;
    let mut value = HeaderValue::from_bytes(value).map_err(|_| InjectError::Unfit)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_of_a_pair_is_as_long_as_any_credential() {
        let basic = |pair: &str| is_maskable(&CredentialSlot::Basic, pair.as_bytes());
        // The password alone counts, for it may come back alone.
        assert!(basic("administrator:long enough"));
        assert!(!basic("administrator:a short"));
        assert!(!basic("administrator:ab"));
        assert!(basic("administrator:with:colon"));
        // Where the user is the secret.
        assert!(basic("a-key-of-a-service:") && basic("a-key-of-a-service:X"));
        assert!(!basic("short:") && !basic("short:X"));
        assert!(basic("no pair at all") && !basic("a short"));
        assert!(is_maskable(&CredentialSlot::Bearer, b"a:sevens"));
        assert!(!is_maskable(&CredentialSlot::Bearer, b"a:seven"));
    }

    #[test]
    fn what_is_looked_for_is_what_is_secret() {
        let secret = |pair: &str| {
            let word = secret_of(pair.as_bytes()).map(<[u8]>::to_vec);
            word.and_then(|word| String::from_utf8(word).ok())
        };
        assert_eq!(secret("user:the password").as_deref(), Some("the password"));
        assert_eq!(secret("the-key:X").as_deref(), Some("the-key"));
        assert_eq!(secret("the-key:").as_deref(), Some("the-key"));
        assert_eq!(secret("no pair"), None);
    }
}
