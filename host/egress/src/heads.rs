//! Holds the heads of HTTP/1 replies to the letter, before HTTP reads them.
//!
//! The library takes a bare line feed for the end of a line, as RFC 9112
//! section 2.2 allows; others in a chain do not, and then two read one reply
//! differently. This looks at each head as it arrives and ends the connection
//! at the first such byte.
//!
//! It must know exactly when a head is next: the library writes one request
//! after the other, so what is written is followed to see where a request
//! begins. Bodies of replies are not looked at.

use std::io;

use crate::watched::{Watch, Watched};

/// A connection whose replies begin with heads that are read in one way only.
pub(crate) type Heads<T> = Watched<T, Exchanges>;

/// Where requests and replies of one connection stand.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    requests: Requests,
    replies: Replies,
}

/// Why a reply's head is refused.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a line of its head ends in a bare line feed, or comes before its beginning")]
pub(crate) struct Unclear;

impl<T> Heads<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self::by(Exchanges::default(), inner)
    }
}

impl Watch for Exchanges {
    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.replies.look_at(bytes).map_err(io::Error::other)
    }

    fn wrote(&mut self, bytes: &[u8]) {
        if self.requests.follow(bytes) {
            self.replies = Replies::in_head();
        }
    }
}

/// Where in a request the next byte stands. What is followed was written by the
/// library itself, and is well formed.
#[derive(Debug, Default)]
enum Requests {
    /// Before a head.
    #[default]
    Start,
    /// In a line of a head; its framing so far.
    Head { line: Vec<u8>, framing: Framing },
    /// So many bytes of body, then the next head.
    Body(u64),
    /// In the line of a chunk's size.
    ChunkSize(Vec<u8>),
    /// So many bytes of a chunk and its line end.
    Chunk(u64),
    /// In the line after the last chunk.
    LastLine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
}

impl Requests {
    /// Follows what was written; whether a request began in it.
    fn follow(&mut self, mut bytes: &[u8]) -> bool {
        let mut began = false;
        while !bytes.is_empty() {
            let taken = match self {
                Self::Start => {
                    began = true;
                    *self = Self::Head {
                        line: Vec::new(),
                        framing: Framing::Length(0),
                    };
                    0
                }
                Self::Head { line, framing } => {
                    let (taken, ended) = take_line(line, bytes);
                    if ended {
                        let line = std::mem::take(line);
                        *self = after_line(&line, *framing);
                    }
                    taken
                }
                Self::Body(left) => {
                    let taken = take_from(left, bytes);
                    if *left == 0 {
                        *self = Self::Start;
                    }
                    taken
                }
                Self::Chunk(left) => {
                    let taken = take_from(left, bytes);
                    if *left == 0 {
                        *self = Self::ChunkSize(Vec::new());
                    }
                    taken
                }
                Self::ChunkSize(line) => {
                    let (taken, ended) = take_line(line, bytes);
                    if ended {
                        *self = match hexadecimal(line) {
                            0 => Self::LastLine,
                            size => Self::Chunk(size.saturating_add(2)),
                        };
                    }
                    taken
                }
                Self::LastLine => {
                    let (taken, ended) = take_line(&mut Vec::new(), bytes);
                    if ended {
                        *self = Self::default();
                    }
                    taken
                }
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        began
    }
}

/// How many of the bytes belong to what is left, which they are taken off.
fn take_from(left: &mut u64, bytes: &[u8]) -> usize {
    let taken = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    *left -= taken as u64;
    taken
}

/// Adds to a line up to its end, which is not part of it; how many bytes were
/// taken, and whether it has ended.
fn take_line(line: &mut Vec<u8>, bytes: &[u8]) -> (usize, bool) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            line.extend_from_slice(bytes.get(..end).unwrap_or_default());
            (end + 1, true)
        }
        None => {
            line.extend_from_slice(bytes);
            (bytes.len(), false)
        }
    }
}

/// Where a request goes on after a line of its head.
fn after_line(line: &[u8], framing: Framing) -> Requests {
    let line = line.trim_ascii();
    if line.is_empty() {
        return match framing {
            Framing::Length(0) => Requests::default(),
            Framing::Length(length) => Requests::Body(length),
            Framing::Chunked => Requests::ChunkSize(Vec::new()),
        };
    }
    let text = std::str::from_utf8(line).unwrap_or_default();
    let framing = match text.split_once(':') {
        Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
            Framing::Length(value.trim().parse().unwrap_or(0))
        }
        Some((name, _)) if name.eq_ignore_ascii_case("transfer-encoding") => Framing::Chunked,
        _ => framing,
    };
    Requests::Head {
        line: Vec::new(),
        framing,
    }
}

fn hexadecimal(line: &[u8]) -> u64 {
    let text = std::str::from_utf8(line.trim_ascii()).unwrap_or_default();
    u64::from_str_radix(text, 16).unwrap_or(0)
}

/// Where in a reply the next byte stands.
#[derive(Debug, Default)]
enum Replies {
    /// No head is expected, or what follows one is not looked at.
    #[default]
    Elsewhere,
    /// In a head.
    Head {
        /// The first bytes of the status line: `HTTP/1.1 103`.
        start: Vec<u8>,
        last: u8,
        /// Bytes of the line so far, without its end.
        line: usize,
    },
}

const STATUS_AT: usize = "HTTP/1.1 ".len();

impl Replies {
    const fn in_head() -> Self {
        Self::Head {
            start: Vec::new(),
            last: 0,
            line: 0,
        }
    }

    fn look_at(&mut self, bytes: &[u8]) -> Result<(), Unclear> {
        for byte in bytes {
            let Self::Head { start, last, line } = self else {
                return Ok(());
            };
            if start.len() <= STATUS_AT {
                start.push(*byte);
            }
            match (*last, *byte) {
                // The library skips empty lines before a head.
                (b'\r', b'\n') if start.as_slice() == b"\r\n" => return Err(Unclear),
                (b'\r', b'\n') if *line == 0 => {
                    // An interim reply is followed by another head.
                    let interim = start.get(STATUS_AT) == Some(&b'1');
                    *self = if interim {
                        Self::in_head()
                    } else {
                        Self::Elsewhere
                    };
                    continue;
                }
                (b'\r', b'\n') => *line = 0,
                (_, b'\n') => return Err(Unclear),
                (_, b'\r') => {}
                _ => *line += 1,
            }
            *last = *byte;
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn follow(requests: &mut Requests, text: &str, cut: usize) -> Vec<bool> {
        text.as_bytes()
            .chunks(cut)
            .map(|part| requests.follow(part))
            .collect()
    }

    #[test]
    fn the_beginning_of_each_request_is_known_wherever_writes_are_cut() {
        let requests = [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 25\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nA\r\n\r\n0\r\n\r\nGET\r\n3\r\na\nb\r\n0\r\n\r\n",
        ];
        let all = requests.concat().repeat(2);
        for cut in 1..all.len() {
            let mut followed = Requests::default();
            let began = follow(&mut followed, &all, cut);
            let most = began.iter().filter(|began| **began).count();
            assert!((1..=6).contains(&most), "{cut}: {most}");
            assert!(cut > 1 || most == 6);
            let next = matches!(&followed, Requests::Start);
            assert!(next, "{cut}: {followed:?}");
        }
        // A body that looks like a head is a body.
        for request in requests {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let mut followed = Requests::default();
            assert!(followed.follow(format!("{head}\r\n\r\n").as_bytes()));
            let seen = follow(&mut followed, body, 1);
            assert!(seen.iter().all(|head| !head), "{request}");
        }
    }

    #[test]
    fn a_bare_line_feed_is_found_in_a_head_and_nowhere_else() {
        let good =
            "HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nx: y\r\n\r\nbody\nwith\n\n";
        let bad = [
            "HTTP/1.1 200 OK\nx: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: y\n\r\n",
            "HTTP/1.1 200 OK\r\nx: y\r\n\n",
            "HTTP/1.1 200 OK\n\n",
            "\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
        ];
        for cut in 1..good.len() {
            let look = |text: &str| {
                let mut replies = Replies::in_head();
                text.as_bytes()
                    .chunks(cut)
                    .try_for_each(|part| replies.look_at(part))
            };
            assert!(look(good).is_ok(), "{cut}");
            for text in bad {
                assert!(look(text).is_err(), "{cut}: {text:?}");
            }
        }
    }
}
