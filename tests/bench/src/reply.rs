//! Reading one HTTP/1.1 reply off a buffer, with the least work that is still a check.

/// Headers that a reply may have.
const HEADERS_MAX: usize = 32;

/// Where a reply stands in the buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Where the body begins.
    pub body_at: usize,
    /// Where the reply ends.
    pub end: usize,
}

/// Why a reply cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Not HTTP/1.1.
    NotHttp(httparse::Error),
    /// Without a `Content-Length`, which a keep-alive bench needs.
    NoLength,
}

/// Finds the first whole reply in `buffer`; `None` means that more bytes must come.
///
/// # Errors
/// If what stands there can never become a reply that this generator reads.
pub fn parse(buffer: &[u8]) -> Result<Option<Reply>, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let body_at = match head.parse(buffer).map_err(Fault::NotHttp)? {
        httparse::Status::Complete(at) => at,
        httparse::Status::Partial => return Ok(None),
    };
    let length = head
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| {
            std::str::from_utf8(header.value)
                .ok()?
                .trim()
                .parse::<usize>()
                .ok()
        })
        .ok_or(Fault::NoLength)?;
    let end = body_at.saturating_add(length);
    let status = head.code.unwrap_or(0);
    Ok((buffer.len() >= end).then_some(Reply {
        status,
        body_at,
        end,
    }))
}

#[cfg(test)]
mod tests {
    use super::{Fault, Reply, parse};

    #[test]
    fn a_reply_is_whole_only_with_its_last_byte() {
        let text = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok";
        let (partial, _) = text.split_at(text.len() - 1);
        assert_eq!(parse(partial), Ok(None));
        assert_eq!(
            parse(text),
            Ok(Some(Reply {
                status: 201,
                body_at: 43,
                end: 45
            }))
        );
    }

    #[test]
    fn a_reply_without_a_length_is_refused() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n"), Err(Fault::NoLength));
    }
}
