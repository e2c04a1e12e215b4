//! The forms in which a secret may come back.
//!
//! Each is a copy of the secret, and so is what it is made from: all are wiped when
//! they are let go, and none is moved to a larger place as it grows.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// A form shorter than this is not searched for: it would mask ordinary text.
pub(super) const FORM_BYTES_MIN: usize = 6;

/// Every form of `secret`.
pub(super) fn of(secret: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut forms = vec![
        Zeroizing::new(secret.to_vec()),
        Zeroizing::new(hex::encode(secret).into_bytes()),
        Zeroizing::new(hex::encode_upper(secret).into_bytes()),
    ];
    for alignment in 0..3 {
        let padded = Zeroizing::new([vec![0_u8; alignment].as_slice(), secret].concat());
        for encoded in [
            Zeroizing::new(STANDARD_NO_PAD.encode(padded.as_slice())),
            Zeroizing::new(URL_SAFE_NO_PAD.encode(padded.as_slice())),
        ] {
            forms.push(inner_base64(&encoded, alignment, padded.len()));
        }
    }
    for digits in ["0123456789ABCDEF", "0123456789abcdef"] {
        for kept in [Kept::Unreserved, Kept::Alphanumeric, Kept::Nothing] {
            forms.push(percent(secret, digits, kept));
        }
    }
    for digits in ["0123456789abcdef", "0123456789ABCDEF"] {
        forms.push(code_points(secret, digits));
    }
    forms.push(json(secret, SolidusEscape::No));
    forms.push(json(secret, SolidusEscape::Yes));
    forms
        .into_iter()
        .filter(|form| form.len() >= FORM_BYTES_MIN)
        .collect()
}

/// The characters of a base64 text that depend on nothing but the secret:
/// those wholly behind the padding of `alignment` bytes and wholly before what
/// follows.
fn inner_base64(encoded: &str, alignment: usize, length: usize) -> Zeroizing<Vec<u8>> {
    let first = (alignment * 8).div_ceil(6);
    let end = length * 8 / 6;
    let inner = encoded.as_bytes().get(first..end).unwrap_or_default();
    Zeroizing::new(inner.to_vec())
}

/// Which bytes a percent-encoding leaves as they are; encoders differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Those that RFC 3986 calls unreserved.
    Unreserved,
    /// Letters and digits.
    Alphanumeric,
    /// None.
    Nothing,
}

/// A byte as two hexadecimal digits.
fn hexadecimal(byte: u8, digits: &str) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|value| {
        let digit = digits.as_bytes().get(usize::from(value));
        digit.copied().unwrap_or(b'0')
    })
}

fn percent(secret: &[u8], digits: &str, kept: Kept) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::<u8>::with_capacity(secret.len() * 3));
    for byte in secret {
        let plain = match kept {
            Kept::Unreserved => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
            }
            Kept::Alphanumeric => byte.is_ascii_alphanumeric(),
            Kept::Nothing => false,
        };
        if plain {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend(hexadecimal(*byte, digits));
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SolidusEscape {
    No,
    Yes,
}

/// The secret inside a JSON string, without the quotes.
fn json(secret: &[u8], solidus: SolidusEscape) -> Zeroizing<Vec<u8>> {
    let text = text(secret);
    // A byte takes six at most: `\u001f`.
    let mut quoted = Zeroizing::new(Vec::<u8>::with_capacity(text.len() * 6 + 2));
    let written = serde_json::to_writer(&mut *quoted, text.as_str());
    let inner = written
        .ok()
        .and_then(|()| quoted.strip_prefix(b"\"")?.strip_suffix(b"\""))
        .unwrap_or_default();
    let inner = match solidus {
        SolidusEscape::No => inner.to_vec(),
        SolidusEscape::Yes => {
            let parts: Vec<&[u8]> = inner.split(|byte| *byte == b'/').collect();
            parts.join(b"\\/".as_slice())
        }
    };
    Zeroizing::new(inner)
}

/// Every UTF-16 unit of the secret as an escape of JSON.
fn code_points(secret: &[u8], digits: &str) -> Zeroizing<Vec<u8>> {
    let text = text(secret);
    let mut out = Zeroizing::new(Vec::<u8>::with_capacity(text.len() * 6));
    for unit in text.encode_utf16() {
        out.extend(b"\\u");
        for byte in unit.to_be_bytes() {
            out.extend(hexadecimal(byte, digits));
        }
    }
    out
}

/// The secret as text, with U+FFFD (of three bytes) for what is none.
fn text(secret: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(secret.len() * 3));
    for chunk in secret.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}
