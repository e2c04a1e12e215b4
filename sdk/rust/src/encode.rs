//! Percent-encoding, so that a value from an input can never become a second
//! parameter or another path.

use crate::Failure;

/// Appends `text` with every byte percent-encoded that is not an RFC 3986
/// unreserved character.
pub(crate) fn percent(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                out.extend(HEX.get(usize::from(nibble)).copied().map(char::from));
            }
        }
    }
}

/// `text` as one segment of a path, percent-encoded.
///
/// # Errors
/// If `text` is empty, `.` or `..`, which would name another path.
pub fn segment(text: &str) -> Result<String, Failure> {
    if matches!(text, "" | "." | "..") {
        return Err(Failure::InvalidInput(format!(
            "`{text}` cannot be a part of a path"
        )));
    }
    let mut out = String::with_capacity(text.len());
    percent(text, &mut out);
    Ok(out)
}

/// Appends `name=value` pairs, separated by `&`.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, out: &mut String) {
    let mut separator = "";
    for (name, value) in pairs {
        out.push_str(separator);
        percent(name, out);
        out.push('=');
        percent(value, out);
        separator = "&";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_become_a_second_parameter() {
        let mut out = String::new();
        pairs([("q", "a&admin=1"), ("r", "ä b")], &mut out);
        assert_eq!(out, "q=a%26admin%3D1&r=%C3%A4%20b");
    }

    #[test]
    fn a_segment_cannot_become_another_path() {
        assert_eq!(segment("../x?y#z").as_deref(), Ok("..%2Fx%3Fy%23z"));
        assert!(segment("..").is_err());
        assert!(segment("").is_err());
    }
}
