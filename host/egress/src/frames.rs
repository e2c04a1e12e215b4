//! Counts the frames of HTTP/2 that cost work and carry nothing.
//!
//! The library answers each `PING` and `SETTINGS`, skips each interim reply and
//! each frame that it does not know, and so never comes to an end with an
//! upstream that sends nothing else, whether an exchange is going on or the
//! connection is unused. This looks at the nine bytes before each frame, never
//! into one, and ends the connection when there were too many.
//!
//! What the library bounds itself is left to it: the size of heads and how many
//! frames they come in, `DATA` frames with little in them, frames for streams
//! that nobody opened.

use std::io;

use keyway_model::limit::UPSTREAM_CONTROL_FRAMES_MAX;

use crate::watched::{Watch, Watched};

/// A connection that speaks HTTP/2, whose frames are counted.
pub(crate) type Framed<T> = Watched<T, Frames>;

/// What a frame that we send allows for, beside what its length does.
const ALLOWED_BY_OURS: u32 = 4;

/// So many bytes that we send allow for one more: there are servers that enlarge
/// two windows for each few hundred bytes that they read.
const SENT_BYTES_FOR_ONE: u32 = 128;

/// A `DATA` frame of fewer bytes allows for nothing.
const CONTENT_BYTES_MIN: u32 = 1_024;

const HEAD_BYTES: usize = 9;
const PREFACE_BYTES: u32 = 24;

const KIND_DATA: u8 = 0;
const KIND_HEADERS: u8 = 1;
const KIND_RST_STREAM: u8 = 3;
const KIND_CONTINUATION: u8 = 9;
const FLAG_END_STREAM: u8 = 1;
const FLAG_PADDED: u8 = 8;

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flood {
    #[error("more than {UPSTREAM_CONTROL_FRAMES_MAX} frames without content came in a row")]
    Control,
    #[error("too many interim replies came before a reply")]
    Interims,
}

/// The kind of I/O error by which [`Flood::Interims`] is known again: of an
/// error of a connection, the library keeps the kind and the text, no more.
pub(crate) const INTERIMS: io::ErrorKind = io::ErrorKind::QuotaExceeded;

impl From<Flood> for io::Error {
    fn from(flood: Flood) -> Self {
        let kind = match flood {
            Flood::Control => io::ErrorKind::InvalidData,
            Flood::Interims => INTERIMS,
        };
        Self::new(kind, flood)
    }
}

/// What one connection has seen.
#[derive(Debug)]
pub(crate) struct Frames {
    received: Follow,
    sent: Follow,
    control_left: u32,
    interims_max: u32,
    /// Streams that have heads and no end yet, and how many heads.
    heads: Vec<(u32, u32)>,
}

impl<T> Framed<T> {
    pub(crate) fn new(inner: T, interims_max: u32) -> Self {
        Self::by(Frames::new(interims_max), inner)
    }
}

impl Watch for Frames {
    fn read(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(frame) = self.received.next(&mut bytes) {
            self.came(frame)?;
        }
        Ok(())
    }

    fn wrote(&mut self, mut bytes: &[u8]) {
        while let Some(frame) = self.sent.next(&mut bytes) {
            self.went(frame);
        }
    }
}

impl Frames {
    const fn new(interims_max: u32) -> Self {
        Self {
            received: Follow::after(0),
            sent: Follow::after(PREFACE_BYTES),
            control_left: UPSTREAM_CONTROL_FRAMES_MAX,
            interims_max,
            heads: Vec::new(),
        }
    }

    fn came(&mut self, frame: Frame) -> Result<(), Flood> {
        match frame.kind {
            KIND_DATA => {
                if frame.length >= CONTENT_BYTES_MIN && frame.flags & FLAG_PADDED == 0 {
                    self.allow(1);
                }
                if frame.ends_stream() {
                    self.forget(frame.stream);
                }
                Ok(())
            }
            KIND_HEADERS if frame.ends_stream() => {
                self.forget(frame.stream);
                Ok(())
            }
            KIND_HEADERS => self.count_head(frame.stream),
            KIND_CONTINUATION => Ok(()),
            kind => {
                if kind == KIND_RST_STREAM {
                    self.forget(frame.stream);
                }
                self.control_left = self.control_left.checked_sub(1).ok_or(Flood::Control)?;
                Ok(())
            }
        }
    }

    fn went(&mut self, frame: Frame) {
        match frame.kind {
            KIND_DATA | KIND_HEADERS => {
                self.allow(ALLOWED_BY_OURS + frame.length / SENT_BYTES_FOR_ONE);
            }
            KIND_RST_STREAM => self.forget(frame.stream),
            _ => {}
        }
    }

    fn allow(&mut self, frames: u32) {
        self.control_left = UPSTREAM_CONTROL_FRAMES_MAX.min(self.control_left + frames);
    }

    /// The heads of a stream that do not end it are those of its interim replies
    /// and that of a reply with a body.
    fn count_head(&mut self, stream: u32) -> Result<(), Flood> {
        let Some((_, count)) = self.heads.iter_mut().find(|(found, _)| *found == stream) else {
            self.heads.push((stream, 1));
            return Ok(());
        };
        *count += 1;
        if *count > self.interims_max.saturating_add(1) {
            return Err(Flood::Interims);
        }
        Ok(())
    }

    fn forget(&mut self, stream: u32) {
        self.heads.retain(|(found, _)| *found != stream);
    }
}

/// What stands before a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frame {
    const fn ends_stream(self) -> bool {
        self.flags & FLAG_END_STREAM != 0
    }
}

/// Finds the heads of frames in bytes that come in pieces.
#[derive(Debug)]
struct Follow {
    /// Bytes until the next head.
    left: u32,
    head: [u8; HEAD_BYTES],
    have: usize,
}

impl Follow {
    const fn after(left: u32) -> Self {
        Self {
            left,
            head: [0; HEAD_BYTES],
            have: 0,
        }
    }

    /// The next frame whose head is complete, which is taken off `bytes`.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let skipped = bytes
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= u32::try_from(skipped).unwrap_or(self.left);
        *bytes = bytes.get(skipped..).unwrap_or_default();
        let taken = bytes.len().min(HEAD_BYTES - self.have);
        let (taken, rest) = bytes.split_at_checked(taken)?;
        self.head
            .get_mut(self.have..self.have + taken.len())?
            .copy_from_slice(taken);
        self.have += taken.len();
        *bytes = rest;
        if self.have < HEAD_BYTES {
            return None;
        }
        self.have = 0;
        let [a, b, c, kind, flags, s0, s1, s2, s3] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.left = length;
        Some(Frame {
            length,
            kind,
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const KIND_PING: u8 = 6;

    fn frame(length: u32, kind: u8, flags: u8, stream: u32) -> Vec<u8> {
        let head = [
            &length.to_be_bytes()[1..],
            &[kind, flags],
            &stream.to_be_bytes(),
        ];
        // A payload that looks like frames.
        let payload = [0, 0, 8, KIND_PING, 0, 0, 0, 0, 0].into_iter().cycle();
        let payload = payload.take(usize::try_from(length).unwrap());
        head.concat().into_iter().chain(payload).collect()
    }

    #[test]
    fn frames_are_found_wherever_reads_are_cut() {
        let kinds = [(5, 0), (0, 4), (300, 1), (8, 6), (0, 0)];
        let all: Vec<u8> = kinds
            .into_iter()
            .flat_map(|(length, kind)| frame(length, kind, 1, 7))
            .collect();
        for cut in 1..all.len() {
            let mut follow = Follow::after(0);
            let mut found = Vec::new();
            for mut piece in all.chunks(cut) {
                while let Some(frame) = follow.next(&mut piece) {
                    assert_eq!((frame.flags, frame.stream), (1, 7));
                    found.push((frame.length, frame.kind));
                }
            }
            assert_eq!(found, kinds, "{cut}");
        }
    }

    #[test]
    fn what_a_request_or_content_allows_for_has_an_end() {
        let mut frames = Frames::new(16);
        let ping = frame(8, KIND_PING, 0, 0);
        frames.wrote(&[b'p'; 24]);
        for _ in 0..UPSTREAM_CONTROL_FRAMES_MAX {
            frames.wrote(&frame(10, KIND_HEADERS, 5, 1));
            frames
                .read(&frame(CONTENT_BYTES_MIN, KIND_DATA, 0, 1))
                .unwrap();
        }
        frames.read(&ping.repeat(10_000)).unwrap();
        frames
            .read(&frame(CONTENT_BYTES_MIN - 1, KIND_DATA, 0, 1))
            .unwrap();
        frames
            .read(&frame(CONTENT_BYTES_MIN, KIND_DATA, FLAG_PADDED, 1))
            .unwrap();
        assert!(frames.read(&ping).is_err());
        frames.wrote(&frame(10, KIND_HEADERS, 5, 3));
        frames.read(&ping.repeat(4)).unwrap();
        assert!(frames.read(&ping).is_err());
        frames.wrote(&frame(16_384, KIND_DATA, 0, 3));
        frames.read(&ping.repeat(132)).unwrap();
        assert!(frames.read(&ping).is_err());
    }

    #[test]
    fn heads_are_counted_for_each_stream_until_it_ends() {
        let mut frames = Frames::new(2);
        let head = |stream| frame(4, KIND_HEADERS, 4, stream);
        for stream in [1, 3, 5] {
            frames.read(&head(stream).repeat(3)).unwrap();
        }
        frames.read(&frame(4, KIND_HEADERS, 5, 1)).unwrap();
        frames.read(&frame(1, KIND_DATA, 1, 3)).unwrap();
        frames.wrote(&[b'p'; 24]);
        frames.wrote(&frame(4, KIND_RST_STREAM, 0, 5));
        assert!(frames.heads.is_empty());
        frames.read(&head(7).repeat(3)).unwrap();
        let error = frames.read(&head(7)).unwrap_err();
        assert_eq!(error.kind(), INTERIMS);
    }
}
