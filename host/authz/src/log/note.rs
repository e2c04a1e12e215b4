//! Signed notes (C2SP `signed-note`) with Ed25519.
//!
//! A note is text that ends in a line feed, an empty line, and signature lines
//! `— <name> <base64(key hash ‖ signature)>`. The key hash is the first four
//! bytes of SHA-256(name ‖ LF ‖ 0x01 ‖ public key).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::tree::Hash;

const ED25519_CODE: u8 = 1;
const SIGNATURE_MARK: &str = "\u{2014} ";

/// Why a note or a key is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// The key is not one.
    #[error("not a verifier key: write `name+hash+base64`, as `keyway audit export` writes it")]
    NotAKey,
    /// The text is not a signed note.
    #[error("not a signed note: it lacks the empty line and the signature line after the text")]
    NotANote,
    /// None of the signatures is by this key.
    #[error(
        "the note is signed by {found}, and not by {wanted}: it is of another log, or the key is not this log's"
    )]
    OtherKey {
        /// Whose signature was wanted.
        wanted: String,
        /// Whose are there.
        found: String,
    },
    /// The signature is by this key's name, and wrong.
    #[error("the signature of {0} does not hold: the note was changed")]
    BadSignature(String),
}

/// The public key of one log, with its name.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// The key `public` under `name`, which has no space and no `+`.
    ///
    /// # Errors
    ///
    /// [`NoteError::NotAKey`] for another name.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        let fits = !name.is_empty() && !name.contains('+') && !name.contains(char::is_whitespace);
        fits.then(|| Self {
            name: name.to_owned(),
            public,
        })
        .ok_or(NoteError::NotAKey)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn hash(&self) -> [u8; 4] {
        let whole = Hash::of(&[self.name.as_bytes(), b"\n", &[ED25519_CODE], &self.public]);
        whole.as_bytes().first_chunk().copied().unwrap_or_default()
    }

    /// Checks the signature of `note` and answers with its text.
    ///
    /// # Errors
    ///
    /// Says whether it is another key's, or changed.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let (text, signatures) = split(note)?;
        let mut found = Vec::new();
        for line in signatures.lines() {
            let (name, signed) = parse_signature(line).ok_or(NoteError::NotANote)?;
            let Some((hash, signature)) = signed.split_first_chunk::<4>() else {
                return Err(NoteError::NotANote);
            };
            if name != self.name || *hash != self.hash() {
                found.push(name.to_owned());
                continue;
            }
            return UnparsedPublicKey::new(&ED25519, self.public)
                .verify(text.as_bytes(), signature)
                .map(|()| text)
                .map_err(|_| NoteError::BadSignature(self.name.clone()));
        }
        Err(NoteError::OtherKey {
            wanted: self.name.clone(),
            found: found.join(", "),
        })
    }
}

fn split(note: &str) -> Result<(&str, &str), NoteError> {
    let at = note.rfind("\n\n").ok_or(NoteError::NotANote)?;
    let (text, rest) = note.split_at_checked(at + 1).ok_or(NoteError::NotANote)?;
    match rest.strip_prefix('\n') {
        Some(signatures) if !signatures.is_empty() && signatures.ends_with('\n') => {
            Ok((text, signatures))
        }
        Some(_) | None => Err(NoteError::NotANote),
    }
}

fn parse_signature(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, encoded) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
    Some((name, STANDARD.decode(encoded).ok()?))
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut encoded = vec![ED25519_CODE];
        encoded.extend_from_slice(&self.public);
        write!(
            f,
            "{}+{}+{}",
            self.name,
            hex::encode(self.hash()),
            STANDARD.encode(encoded)
        )
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(encoded)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(NoteError::NotAKey);
        };
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::NotAKey)?;
        let Some((&[ED25519_CODE], public)) = bytes.split_first_chunk::<1>() else {
            return Err(NoteError::NotAKey);
        };
        let key = Self::new(name, public.try_into().map_err(|_| NoteError::NotAKey)?)?;
        if hex::encode(key.hash()) == hash {
            Ok(key)
        } else {
            Err(NoteError::NotAKey)
        }
    }
}

/// The signing half. It signs checkpoints and nothing else.
#[derive(Debug)]
pub struct LogKey {
    pair: Ed25519KeyPair,
}

impl LogKey {
    /// The key whose seed is `seed`, 32 random bytes that the vault keeps.
    pub fn from_seed(seed: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .ok()
            .map(|pair| Self { pair })
    }

    /// The public half under `name`.
    ///
    /// # Errors
    ///
    /// [`NoteError::NotAKey`] if the name has a space or a `+`.
    pub fn verifier(&self, name: &str) -> Result<VerifierKey, NoteError> {
        let public = self
            .pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| NoteError::NotAKey)?;
        VerifierKey::new(name, public)
    }

    /// Signs `text`, which ends in a line feed, under `name`.
    ///
    /// # Errors
    ///
    /// As [`LogKey::verifier`], and if the text does not end in a line feed.
    pub(crate) fn sign(&self, name: &str, text: &str) -> Result<String, NoteError> {
        if !text.ends_with('\n') {
            return Err(NoteError::NotANote);
        }
        let mut signed = self.verifier(name)?.hash().to_vec();
        signed.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        Ok(format!(
            "{text}\n{SIGNATURE_MARK}{name} {}\n",
            STANDARD.encode(signed)
        ))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn key() -> LogKey {
        LogKey::from_seed(&[7; 32]).unwrap()
    }

    #[test]
    fn a_note_opens_with_its_key_and_no_other() {
        let note = key().sign("log.example/a", "one\ntwo\n").unwrap();
        let verifier = key().verifier("log.example/a").unwrap();
        assert_eq!(verifier.open(&note), Ok("one\ntwo\n"));
        let other = LogKey::from_seed(&[8; 32])
            .unwrap()
            .verifier("log.example/a")
            .unwrap();
        assert!(matches!(other.open(&note), Err(NoteError::OtherKey { .. })));
        let elsewhere = key().verifier("log.example/b").unwrap();
        assert!(matches!(
            elsewhere.open(&note),
            Err(NoteError::OtherKey { .. })
        ));
    }

    #[test]
    fn a_changed_note_does_not_open() {
        let verifier = key().verifier("log.example/a").unwrap();
        let note = key().sign("log.example/a", "one\ntwo\n").unwrap();
        assert!(matches!(
            verifier.open(&note.replace("two", "twa")),
            Err(NoteError::BadSignature(_))
        ));
        assert_eq!(verifier.open("one\ntwo\n"), Err(NoteError::NotANote));
        assert_eq!(verifier.open(note.trim_end()), Err(NoteError::NotANote));
    }

    #[test]
    fn a_verifier_key_reads_back_what_it_prints() {
        let verifier = key().verifier("log.example/a").unwrap();
        assert_eq!(verifier.to_string().parse(), Ok(verifier.clone()));
        let damaged = verifier
            .to_string()
            .replacen("log.example/a", "log.example/b", 1);
        assert_eq!(damaged.parse::<VerifierKey>(), Err(NoteError::NotAKey));
    }

    #[test]
    fn a_published_verifier_key_is_understood() {
        // The example key of Go's `sumdb/note` documentation.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(text.parse::<VerifierKey>().unwrap().to_string(), text);
    }
}
