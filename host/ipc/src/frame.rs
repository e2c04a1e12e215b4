//! Frames: four bytes of length, little-endian, and a message in postcard. Where the
//! length says so by [`ASIDE`], four more follow it: how much of a body belongs into the
//! message, which is on the socket for long ones.

use bytes::Bytes;
use keyway_model::limit::FRAME_BYTES_MAX;
use postcard::ser_flavors::{Flavor, Size};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::beside::Message;

const LENGTH_BYTES: usize = 4;

/// Set in a length: another length follows.
const ASIDE: u32 = 1 << 30;

/// From this length on a body goes over the socket.
pub(crate) const LONG_BYTES: usize = 16 << 10;

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The other side announces more than is allowed.
    #[error("a frame of {0} bytes exceeds FRAME_BYTES_MAX ({FRAME_BYTES_MAX})")]
    TooLong(usize),
    /// A body is not where one of its length belongs, or there is none in the message.
    #[error("a body of {0} bytes is not where it belongs: from {LONG_BYTES} on, on the socket")]
    Misplaced(usize),
    /// Bytes follow the message inside its frame: whoever wrote it means
    /// another message than the one that was read.
    #[error("a frame holds {0} bytes behind its message")]
    Behind(usize),
    /// The bytes are not the message that was expected, or a message has none.
    #[error("a frame cannot be read or written: {0}")]
    Unreadable(#[from] postcard::Error),
}

/// Encodes behind what a buffer holds already, and no more than a frame holds.
struct Behind<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
}

impl Behind<'_> {
    fn take(&mut self, bytes: usize) -> postcard::Result<()> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }
}

impl Flavor for Behind<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.take(1)?;
        self.out.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.take(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends `message` to `out` as one frame, to which so many bytes of a body belong that
/// go over the socket; on an error `out` is as before, and has no more room than before.
pub(crate) fn encode<M: Serialize>(
    message: &M,
    aside: usize,
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let (start, room) = (out.len(), out.capacity());
    let encoded = encode_at(message, aside, start, out);
    if encoded.is_err() {
        out.truncate(start);
        out.shrink_to(room);
    }
    encoded
}

fn encode_at<M: Serialize>(
    message: &M,
    aside: usize,
    start: usize,
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let left = FRAME_BYTES_MAX.checked_sub(aside);
    let left = left.ok_or(FrameError::TooLong(aside))?;
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    if aside > 0 {
        out.extend_from_slice(&length(aside)?);
    }
    let begin = out.len();
    if let Err(error) = postcard::serialize_with_flavor(message, Behind { out, left }) {
        return Err(if error == postcard::Error::SerializeBufferFull {
            FrameError::TooLong(length_of(message)? + aside)
        } else {
            FrameError::Unreadable(error)
        });
    }
    let flag = if aside > 0 { ASIDE as usize } else { 0 };
    let announced = length((out.len() - begin) | flag)?;
    if let Some(slot) = out.get_mut(start..start + LENGTH_BYTES) {
        slot.copy_from_slice(&announced);
    }
    Ok(())
}

fn length(bytes: usize) -> Result<[u8; LENGTH_BYTES], FrameError> {
    let length = u32::try_from(bytes).map_err(|_| FrameError::TooLong(bytes))?;
    Ok(length.to_le_bytes())
}

fn length_of<M: Serialize>(message: &M) -> postcard::Result<usize> {
    postcard::serialize_with_flavor(message, Size::default())
}

/// A message at the front of what came through a pipe.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Front<M> {
    pub(crate) message: M,
    /// What its frame takes of the pipe.
    pub(crate) length: usize,
    /// How much of a body it has on the socket.
    pub(crate) aside: usize,
}

/// The message that `bytes` begin with; `None` while its frame is not complete.
pub(crate) fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<Option<Front<M>>, FrameError> {
    let Some((announced, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let announced = u32::from_le_bytes(*announced);
    let length = (announced & !ASIDE) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(length));
    }
    let (aside, rest) = if announced & ASIDE == 0 {
        (0, rest)
    } else {
        let Some((aside, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let aside = u32::from_le_bytes(*aside) as usize;
        if aside < LONG_BYTES {
            return Err(FrameError::Misplaced(aside));
        }
        (aside, rest)
    };
    let all = length.saturating_add(aside);
    if all > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(all));
    }
    let Some(body) = rest.get(..length) else {
        return Ok(None);
    };
    let length = bytes.len() - rest.len() + length;
    match postcard::take_from_bytes(body)? {
        (message, []) => Ok(Some(Front {
            message,
            length,
            aside,
        })),
        (_, behind) => Err(FrameError::Behind(behind.len())),
    }
}

/// Puts what came over the socket into its message; of a message without any, sees that
/// nothing belongs there.
pub(crate) fn join<M: Message>(message: &mut M, aside: Bytes) -> Result<(), FrameError> {
    match message.body() {
        Some(body) if body.is_empty() => *body = aside,
        Some(body) if body.len() >= LONG_BYTES => return Err(FrameError::Misplaced(body.len())),
        Some(_) | None if aside.is_empty() => {}
        Some(_) | None => return Err(FrameError::Misplaced(aside.len())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_waits_for_its_end() -> Result<(), FrameError> {
        let mut bytes = Vec::new();
        encode(&("first", 1_u32), 0, &mut bytes)?;
        let first = bytes.len();
        encode(&("second", 2_u32), 0, &mut bytes)?;
        for cut in 0..first {
            let part = bytes.get(..cut).unwrap_or_default();
            assert_eq!(decode::<(String, u32)>(part)?, None);
        }
        let read = decode::<(String, u32)>(&bytes)?;
        let expected = Front {
            message: ("first".to_owned(), 1),
            length: first,
            aside: 0,
        };
        assert_eq!(read, Some(expected));
        Ok(())
    }

    #[test]
    fn a_frame_with_bytes_behind_its_message_is_refused() -> Result<(), FrameError> {
        let mut bytes = Vec::new();
        encode(&(1_u32, 2_u32), 0, &mut bytes)?;
        let read = decode::<u32>(&bytes);
        assert!(matches!(read, Err(FrameError::Behind(1))), "{read:?}");
        Ok(())
    }

    #[test]
    fn a_frame_that_announces_too_much_is_refused() {
        assert!(matches!(
            decode::<u32>(&[0xff; 8]),
            Err(FrameError::TooLong(_))
        ));
        let announced = |length: usize| {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            decode::<u32>(&length.to_le_bytes())
        };
        assert!(matches!(announced(FRAME_BYTES_MAX), Ok(None)));
        let refused = announced(FRAME_BYTES_MAX + 1);
        assert!(matches!(refused, Err(FrameError::TooLong(_))));
    }

    #[test]
    fn a_body_is_where_one_of_its_length_belongs() -> Result<(), FrameError> {
        let aside = |aside: usize| -> Result<_, FrameError> {
            let mut bytes = Vec::new();
            encode(&1_u32, aside, &mut bytes)?;
            for cut in 0..bytes.len() {
                let part = bytes.get(..cut).unwrap_or_default();
                assert!(!matches!(decode::<u32>(part), Ok(Some(_))));
            }
            decode::<u32>(&bytes)
        };
        let refused = aside(LONG_BYTES - 1);
        assert!(matches!(refused, Err(FrameError::Misplaced(_))));
        for length in [LONG_BYTES, FRAME_BYTES_MAX - 1] {
            let front = aside(length)?;
            assert!(front.is_some_and(|front| (front.aside, front.length) == (length, 9)));
        }
        for length in [FRAME_BYTES_MAX, FRAME_BYTES_MAX + 1] {
            assert!(matches!(aside(length), Err(FrameError::TooLong(_))));
        }
        // As somebody else would write it.
        let foreign = [1 | ASIDE, u32::MAX].map(u32::to_le_bytes).concat();
        assert!(matches!(
            decode::<u32>(&foreign),
            Err(FrameError::TooLong(_))
        ));

        let chunk = |length: usize| crate::ToWorker::Chunk {
            call: crate::CallId(1),
            request: crate::RequestId(1),
            bytes: Bytes::from(vec![7; length]),
        };
        let none = || crate::ToWorker::Unload {
            artifact: keyway_model::Digest::of(b"code"),
        };
        let long = || Bytes::from(vec![7; LONG_BYTES]);
        for (mut message, aside, is_taken) in [
            (chunk(0), long(), true),
            (chunk(0), Bytes::new(), true),
            (chunk(LONG_BYTES - 1), Bytes::new(), true),
            (chunk(LONG_BYTES), Bytes::new(), false),
            (chunk(1), long(), false),
            (none(), Bytes::new(), true),
            (none(), long(), false),
        ] {
            let joined = join(&mut message, aside);
            assert_eq!(joined.is_ok(), is_taken, "{message:?}");
        }
        Ok(())
    }

    /// Gives up half-way.
    struct Broken;

    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            drop(serializer);
            Err(serde::ser::Error::custom("broken"))
        }
    }

    #[test]
    fn a_message_that_cannot_be_encoded_leaves_the_buffer_as_it_was() {
        let mut bytes = vec![1, 2, 3];
        let encoded = encode(&("before", Broken), 0, &mut bytes);
        assert!(matches!(encoded, Err(FrameError::Unreadable(_))));
        assert_eq!(bytes, [1, 2, 3]);
    }

    #[test]
    fn what_is_too_long_for_a_frame_leaves_no_room_behind() {
        let mut bytes = vec![1, 2, 3];
        let room = bytes.capacity();
        let (text, list) = (
            "x".repeat(5 * FRAME_BYTES_MAX),
            vec![0_u8; FRAME_BYTES_MAX + 1],
        );
        let encoded = encode(&text, 0, &mut bytes);
        let length = text.len() + 4;
        assert!(matches!(encoded, Err(FrameError::TooLong(told)) if told == length));
        let encoded = encode(&("before", list), 0, &mut bytes);
        assert!(matches!(encoded, Err(FrameError::TooLong(_))));
        assert_eq!(bytes, [1, 2, 3]);
        assert!(bytes.capacity() <= room, "{} bytes", bytes.capacity());
    }

    #[test]
    fn what_is_as_long_as_a_frame_may_be_is_one() -> Result<(), FrameError> {
        let mut bytes = Vec::new();
        let text = "x".repeat(FRAME_BYTES_MAX - 4);
        encode(&text, 0, &mut bytes)?;
        let read = decode::<String>(&bytes)?;
        assert!(read.is_some_and(|read| read.message == text && read.length == bytes.len()));
        let longer = text + "x";
        assert!(matches!(
            encode(&longer, 0, &mut bytes),
            Err(FrameError::TooLong(_))
        ));
        Ok(())
    }
}
