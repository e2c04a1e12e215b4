//! Undoes a reply's content coding, within limits.
//!
//! The host asks for `identity`. What an upstream encodes all the same is
//! decoded here, so that a secret in it can be found, or refused; nothing
//! encoded passes. Output is counted as it is made, against the limit of the
//! body and against the input: a bomb ends at the first byte too many.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use flate2::write::{GzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use keyway_model::limit::RESPONSE_EXPANSION_FREE_BYTES;

use crate::error::{EgressError, Limit, Sent};

/// Output up to this size is not held to the expansion: short texts repeat.
const EXPANSION_FREE_BYTES: u64 = RESPONSE_EXPANSION_FREE_BYTES;

/// Input that is decoded at a time; with deflate's own bound of 1,032 to 1,
/// what is in memory between two checks stays near 4 MiB.
pub(crate) const PIECE_BYTES: usize = 4 << 10;

/// What a further member of a gzip body counts as, beside its content: it is made
/// of 20 bytes, holds nothing, and takes as long as so many bytes do.
const MEMBER_BYTES: u64 = 1 << 10;

/// Decodes one reply.
#[derive(Debug)]
pub(crate) struct Decoder {
    coding: Coding,
    bytes_in: u64,
}

#[derive(Debug)]
enum Coding {
    Gzip(GzDecoder<Counted>),
    Deflate(ZlibDecoder<Counted>),
}

/// Collects output and refuses the first byte over what is allowed.
#[derive(Debug, Default)]
struct Counted {
    out: BytesMut,
    total: u64,
    body_bytes_max: u64,
    expanded_bytes_max: u64,
    expansion_max: u32,
}

impl Decoder {
    /// The decoder that a reply with these headers needs, if it needs one;
    /// takes the headers away that would no longer be true.
    pub(crate) fn for_reply(
        headers: &mut HeaderMap,
        body_bytes_max: u64,
        expansion_max: u32,
    ) -> Result<Option<Self>, EgressError> {
        let codings: Vec<String> = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(|coding| String::from_utf8_lossy(coding).trim().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && coding != "identity")
            .collect();
        let sink = || Counted {
            out: BytesMut::new(),
            total: 0,
            body_bytes_max,
            expanded_bytes_max: EXPANSION_FREE_BYTES,
            expansion_max,
        };
        let coding = match codings.as_slice() {
            [] => None,
            [one] => Some(match one.as_str() {
                "gzip" | "x-gzip" => Coding::Gzip(GzDecoder::new(sink())),
                "deflate" => Coding::Deflate(ZlibDecoder::new(sink())),
                other => return Err(refuse(other, "only gzip and deflate are decoded")),
            }),
            several => return Err(refuse(&several.join(", "), "only one coding is undone")),
        };
        headers.remove(CONTENT_ENCODING);
        if coding.is_some() {
            headers.remove(CONTENT_LENGTH);
        }
        Ok(coding.map(|coding| Self {
            coding,
            bytes_in: 0,
        }))
    }

    /// Decodes one piece of input.
    pub(crate) fn decode(&mut self, piece: &[u8]) -> Result<Bytes, EgressError> {
        self.bytes_in = self.bytes_in.saturating_add(piece.len() as u64);
        let bytes_in = self.bytes_in;
        let sink = self.sink();
        sink.expanded_bytes_max = bytes_in
            .saturating_mul(sink.expansion_max.into())
            .max(EXPANSION_FREE_BYTES);
        let done = match &mut self.coding {
            Coding::Gzip(decoder) => write_members(decoder, piece),
            Coding::Deflate(decoder) => decoder.write_all(piece).and_then(|()| decoder.flush()),
        };
        self.output(done)
    }

    /// Ends the input; gives what was still inside.
    pub(crate) fn finish(&mut self) -> Result<Bytes, EgressError> {
        let done = match &mut self.coding {
            Coding::Gzip(decoder) => decoder.try_finish(),
            Coding::Deflate(decoder) => decoder.try_finish(),
        };
        self.output(done)
    }

    fn output(&mut self, done: io::Result<()>) -> Result<Bytes, EgressError> {
        match done {
            Ok(()) => Ok(self.sink().out.split().freeze()),
            Err(error) => match error.downcast::<EgressError>() {
                Ok(ours) => Err(ours),
                Err(_) => Err(refuse(self.name(), "the body is not what the header says")),
            },
        }
    }

    fn sink(&mut self) -> &mut Counted {
        match &mut self.coding {
            Coding::Gzip(decoder) => decoder.get_mut(),
            Coding::Deflate(decoder) => decoder.get_mut(),
        }
    }

    const fn name(&self) -> &'static str {
        match self.coding {
            Coding::Gzip(_) => "gzip",
            Coding::Deflate(_) => "deflate",
        }
    }
}

/// Decodes a piece of a gzip body, which may be of several members.
fn write_members(decoder: &mut GzDecoder<Counted>, mut piece: &[u8]) -> io::Result<()> {
    while !piece.is_empty() {
        let taken = decoder.write(piece)?;
        if taken == 0 {
            // This one is complete, and another follows.
            decoder.try_finish()?;
            let mut sink = std::mem::take(decoder.get_mut());
            sink.count(MEMBER_BYTES)?;
            *decoder = GzDecoder::new(sink);
        }
        piece = piece.get(taken..).unwrap_or_default();
    }
    decoder.flush()
}

impl Counted {
    /// Counts what is made, or what costs as much.
    fn count(&mut self, bytes: u64) -> io::Result<()> {
        self.total = self.total.saturating_add(bytes);
        let over = |limit, max| {
            Err(io::Error::other(EgressError::TooLarge {
                limit,
                max,
                sent: Sent::Maybe,
            }))
        };
        if self.total > self.body_bytes_max {
            return over(Limit::ReplyBodyBytes, self.body_bytes_max);
        }
        if self.total > self.expanded_bytes_max {
            return over(Limit::ReplyExpansion, self.expansion_max.into());
        }
        Ok(())
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.count(bytes.len() as u64)?;
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refuse(coding: &str, detail: &'static str) -> EgressError {
    EgressError::ContentCoding {
        coding: coding.chars().take(40).collect(),
        detail,
    }
}
