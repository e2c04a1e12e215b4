//! Injects a credential: after the decision, at the manifest's slot, and
//! nowhere else. The same step says what must be kept from coming back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use keyway_authz::HttpSend;
use keyway_egress::{Exchange, QuerySecret};
use keyway_model::CredentialSlot;
use keyway_model::limit::{CREDENTIAL_BYTES_MAX, CREDENTIAL_BYTES_MIN};
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
            travelling.extend(alone(bytes).map(|word| Zeroizing::new(word.to_vec())));
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

/// What stands for a password where the user is the secret; so does one byte, or none.
const PLACEHOLDERS: [&[u8]; 6] = [
    b"api_token",
    b"none",
    b"null",
    b"unused",
    b"x-api-key",
    b"x-oauth-basic",
];

/// What is secret of `user:password`: the password, or the user where there is none.
fn secret_of(pair: &[u8]) -> Option<&[u8]> {
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let (user, password) = (pair.get(..colon)?, pair.get(colon + 1..)?);
    let is_placeholder = password.len() <= 1
        || PLACEHOLDERS
            .iter()
            .any(|placeholder| password.eq_ignore_ascii_case(placeholder));
    match is_placeholder {
        true => Some(user),
        false => Some(password),
    }
}

/// What of a pair comes back alone: what is secret of it. Of one from before that was held
/// to its length, whose password is too short to be told from other text, the user, too.
fn alone(pair: &[u8]) -> impl Iterator<Item = &[u8]> {
    let secret = secret_of(pair);
    let is_short = secret.is_some_and(|secret| secret.len() < CREDENTIAL_BYTES_MIN);
    let colon = pair.iter().position(|byte| *byte == b':');
    let user = colon.and_then(|colon| pair.get(..colon));
    secret.into_iter().chain(user.filter(|_| is_short))
}

/// The secret part of a credential for this slot.
pub fn secret_part<'c>(slot: &CredentialSlot, credential: &'c [u8]) -> &'c [u8] {
    match slot {
        CredentialSlot::Basic => secret_of(credential).unwrap_or(credential),
        CredentialSlot::Bearer
        | CredentialSlot::Header(_)
        | CredentialSlot::Query(_)
        | CredentialSlot::ClientCertificate => credential,
    }
}

/// Why a credential cannot be kept from coming back, or cannot be sent; for people.
///
/// # Errors
///
/// What is wrong with it, and what to do.
pub fn unless_maskable(slot: &CredentialSlot, credential: &str) -> Result<(), String> {
    if credential.chars().any(char::is_control) {
        let why = "the credential holds a control character, a line's end perhaps: pass it alone";
        return Err(why.to_owned());
    }
    if credential.trim() != credential {
        return Err("white space stands around the credential: pass it alone".to_owned());
    }
    if credential.len() > CREDENTIAL_BYTES_MAX {
        return Err(format!(
            "a credential of more than `CREDENTIAL_BYTES_MAX` ({CREDENTIAL_BYTES_MAX}) bytes is none that travels in a header or a query: pass the credential alone"
        ));
    }
    if secret_part(slot, credential.as_bytes()).len() < CREDENTIAL_BYTES_MIN {
        return Err(format!(
            "a credential, and of `user:password` the password, of fewer than `CREDENTIAL_BYTES_MIN` ({CREDENTIAL_BYTES_MIN}) bytes cannot be masked where it comes back: use a longer one; where the user is the secret, leave the password empty"
        ));
    }
    Ok(())
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

    fn is_taken(slot: &CredentialSlot, credential: &str) -> bool {
        unless_maskable(slot, credential).is_ok()
    }

    #[test]
    fn what_is_secret_of_a_pair_is_as_long_as_any_credential() {
        let basic = |pair: &str| is_taken(&CredentialSlot::Basic, pair);
        // The password alone counts, for it may come back alone.
        assert!(basic("administrator:long enough"));
        assert!(!basic("administrator:a short"));
        assert!(!basic("administrator:ab"));
        assert!(basic("administrator:with:colon"));
        // Where the user is the secret.
        for password in ["", "X", "x-oauth-basic", "API_TOKEN"] {
            assert!(basic(&format!("a-key-of-a-service:{password}")));
            assert!(!basic(&format!("short:{password}")), "{password}");
        }
        assert!(basic("no pair at all") && !basic("a short"));
        assert!(is_taken(&CredentialSlot::Bearer, "a:sevens"));
        assert!(!is_taken(&CredentialSlot::Bearer, "a:seven"));
    }

    #[test]
    fn what_could_not_be_sent_or_found_as_it_is_is_refused() {
        for credential in [
            "a long secret\n",
            " a long secret",
            "a long\u{0}secret",
            "user:ab\n\n\n\n\n\n",
        ] {
            for slot in [CredentialSlot::Bearer, CredentialSlot::Basic] {
                assert!(!is_taken(&slot, credential), "{credential:?}");
            }
        }
    }

    #[test]
    fn what_is_looked_for_is_what_is_secret() {
        let looked_for = |pair: &'static str| -> Vec<&str> {
            let words = alone(pair.as_bytes());
            words
                .filter_map(|word| std::str::from_utf8(word).ok())
                .collect()
        };
        assert_eq!(looked_for("user:the password"), ["the password"]);
        assert_eq!(looked_for("the-long-key:X"), ["the-long-key"]);
        assert_eq!(looked_for("the-long-key:x-oauth-basic"), ["the-long-key"]);
        assert_eq!(looked_for("no pair"), [""; 0]);
        // One that was stored when it was not refused yet.
        assert_eq!(looked_for("the-long-key:ab"), ["ab", "the-long-key"]);
    }
}
