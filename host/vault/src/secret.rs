//! Values that must not show: [`Secret`] and [`Plaintext`].
//!
//! Both are wiped when they are dropped, and neither prints. A secret has one
//! door, [`Secret::expose`], so that a search for that word finds every use.
//!
//! A secret can be used where its bytes are needed:
//!
//! ```
//! # use keyway_vault::Secret;
//! fn length(secret: &Secret) -> usize { secret.expose().len() }
//! ```
//!
//! It cannot be shown as text, copied, compared, or written out:
//!
//! ```compile_fail,E0277
//! # use keyway_vault::Secret;
//! fn show(secret: &Secret) -> String { format!("{}", secret) }
//! ```
//! ```compile_fail,E0599
//! # use keyway_vault::Secret;
//! fn copy(secret: &Secret) -> Secret { Secret::clone(secret) }
//! ```
//! ```compile_fail,E0369
//! # use keyway_vault::Secret;
//! fn same(a: &Secret, b: &Secret) -> bool { a == b }
//! ```
//! ```compile_fail,E0277
//! # use keyway_vault::Secret;
//! fn needs_serialize<T: serde::Serialize>(_: &T) {}
//! fn write(secret: &Secret) { needs_serialize(secret) }
//! ```
//!
//! The twins of these compile for text that is no secret:
//!
//! ```
//! fn show(text: &String) -> String { format!("{}", text) }
//! fn copy(text: &String) -> String { String::clone(text) }
//! fn same(a: &String, b: &String) -> bool { a == b }
//! fn needs_serialize<T: serde::Serialize>(_: &T) {}
//! fn write(text: &String) { needs_serialize(text) }
//! ```

use std::fmt;

use zeroize::Zeroizing;

/// A credential or a key: bytes that never show.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes these bytes. The caller's copies, if it made any, stay its own.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) const fn from_wiped(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes. The only way to them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(•••)")
    }
}

/// What an envelope of ordinary data held. Wiped on drop; does not print.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    pub(crate) const fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let secret = Secret::from("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(•••)");
        assert_eq!(secret.expose(), b"hunter2");
    }

    #[test]
    fn a_plaintext_prints_only_its_length() {
        let plaintext = Plaintext::new(Zeroizing::new(b"hunter2".to_vec()));
        assert_eq!(format!("{plaintext:?}"), "Plaintext(7 bytes)");
    }
}
