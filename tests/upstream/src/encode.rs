//! Encodings of a reply that a careless search for a secret would miss.

/// Percent-encodes every byte that is not a letter or a digit.
pub(crate) fn percent(text: &[u8]) -> String {
    let escaped = |byte: &u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(*byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.iter().map(escaped).collect()
}

/// A JSON string in which every character is escaped as `\uXXXX`, which JSON allows and writers rarely do.
pub(crate) fn json_escaped(text: &str) -> String {
    let escaped: String = text
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect();
    format!("\"{escaped}\"")
}

/// A gzip member (RFC 1952) whose deflate block holds literals under the fixed code (RFC 1951, 3.2.6): no byte of the text
/// stands in it as it was, and no compressor is needed.
pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut bits = Bits {
        out: &mut out,
        hold: 0,
        held: 0,
    };
    bits.push(0b011, 3); // final block, fixed code; this field goes lowest bit first
    for byte in text {
        let byte = u32::from(*byte);
        // Codes go highest bit first, so they are turned round.
        if byte < 144 {
            bits.push((0x30 + byte).reverse_bits() >> 24, 8);
        } else {
            bits.push((0x190 + byte - 144).reverse_bits() >> 23, 9);
        }
    }
    bits.push(0, 7); // end of block
    bits.finish();
    out.extend_from_slice(&crc32(text).to_le_bytes());
    let [a, b, c, d, ..] = (text.len() as u64).to_le_bytes();
    out.extend_from_slice(&[a, b, c, d]);
    out
}

/// Bits packed into bytes, lowest first.
struct Bits<'a> {
    out: &'a mut Vec<u8>,
    hold: u32,
    held: u32,
}

impl Bits<'_> {
    fn push(&mut self, value: u32, count: u32) {
        self.hold |= value << self.held;
        self.held += count;
        while self.held >= 8 {
            let [low, ..] = self.hold.to_le_bytes();
            self.out.push(low);
            self.hold >>= 8;
            self.held -= 8;
        }
    }

    fn finish(&mut self) {
        if self.held > 0 {
            self.push(0, 8 - self.held);
        }
    }
}

/// The CRC of gzip (RFC 1952, section 8), bit by bit: replies are small.
fn crc32(text: &[u8]) -> u32 {
    !text.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{crc32, gzip, json_escaped, percent};

    #[test]
    fn the_checksum_is_the_one_that_the_standard_lists() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn encodings_hide_the_text_and_stay_standard() {
        assert_eq!(percent(b"a-b"), "a%2Db");
        assert_eq!(json_escaped("ab"), r#""\u0061\u0062""#);
        assert_eq!(
            serde_json::from_str::<String>(&json_escaped("tok-é"))
                .ok()
                .as_deref(),
            Some("tok-é")
        );
    }

    #[test]
    fn no_run_of_the_text_stands_in_its_gzip_form() {
        let packed = gzip(b"secret-token");
        assert!(
            !packed
                .windows(3)
                .any(|run| b"secret-token".windows(3).any(|part| part == run))
        );
    }
}
