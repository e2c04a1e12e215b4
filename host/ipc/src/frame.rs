//! Frames: four bytes of length, little-endian, then a message in postcard.

use keyway_model::limit::FRAME_BYTES_MAX;
use postcard::ser_flavors::{Flavor, Size};
use serde::Serialize;
use serde::de::DeserializeOwned;

const LENGTH_BYTES: usize = 4;

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The other side announces more than is allowed.
    #[error("a frame of {0} bytes exceeds FRAME_BYTES_MAX ({FRAME_BYTES_MAX})")]
    TooLong(usize),
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

/// Appends `message` to `out` as one frame; on an error `out` is as before, and has no
/// more room than before.
pub(crate) fn encode<M: Serialize>(message: &M, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let (start, room) = (out.len(), out.capacity());
    let encoded = encode_at(message, start, out);
    if encoded.is_err() {
        out.truncate(start);
        out.shrink_to(room);
    }
    encoded
}

fn encode_at<M: Serialize>(message: &M, start: usize, out: &mut Vec<u8>) -> Result<(), FrameError> {
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    let left = FRAME_BYTES_MAX;
    if let Err(error) = postcard::serialize_with_flavor(message, Behind { out, left }) {
        return Err(if error == postcard::Error::SerializeBufferFull {
            FrameError::TooLong(length_of(message)?)
        } else {
            FrameError::Unreadable(error)
        });
    }
    let length = out.len() - start - LENGTH_BYTES;
    let announced = u32::try_from(length).map_err(|_| FrameError::TooLong(length))?;
    if let Some(slot) = out.get_mut(start..start + LENGTH_BYTES) {
        slot.copy_from_slice(&announced.to_le_bytes());
    }
    Ok(())
}

fn length_of<M: Serialize>(message: &M) -> postcard::Result<usize> {
    postcard::serialize_with_flavor(message, Size::default())
}

/// Takes one message off the front of `bytes`, with the length of its frame;
/// `None` while the frame is not complete.
pub(crate) fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<Option<(M, usize)>, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(length));
    }
    let Some(body) = rest.get(..length) else {
        return Ok(None);
    };
    match postcard::take_from_bytes(body)? {
        (message, []) => Ok(Some((message, LENGTH_BYTES + length))),
        (_, behind) => Err(FrameError::Behind(behind.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_waits_for_its_end() -> Result<(), FrameError> {
        let mut bytes = Vec::new();
        encode(&("first", 1_u32), &mut bytes)?;
        let first = bytes.len();
        encode(&("second", 2_u32), &mut bytes)?;
        for cut in 0..first {
            let part = bytes.get(..cut).unwrap_or_default();
            assert!(decode::<(String, u32)>(part)?.is_none());
        }
        let (message, length) = decode::<(String, u32)>(&bytes)?.unwrap_or_default();
        assert_eq!((message.0.as_str(), message.1, length), ("first", 1, first));
        Ok(())
    }

    #[test]
    fn a_frame_with_bytes_behind_its_message_is_refused() -> Result<(), FrameError> {
        let mut bytes = Vec::new();
        encode(&(1_u32, 2_u32), &mut bytes)?;
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
        let encoded = encode(&("before", Broken), &mut bytes);
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
        let encoded = encode(&text, &mut bytes);
        let length = text.len() + 4;
        assert!(matches!(encoded, Err(FrameError::TooLong(told)) if told == length));
        let encoded = encode(&("before", list), &mut bytes);
        assert!(matches!(encoded, Err(FrameError::TooLong(_))));
        assert_eq!(bytes, [1, 2, 3]);
        assert!(bytes.capacity() <= room, "{} bytes", bytes.capacity());
    }

    #[test]
    fn what_is_as_long_as_a_frame_may_be_is_one() -> Result<(), FrameError> {
        let mut bytes = Vec::new();
        let text = "x".repeat(FRAME_BYTES_MAX - 4);
        encode(&text, &mut bytes)?;
        let read = decode::<String>(&bytes)?;
        assert!(read.is_some_and(|(read, length)| read == text && length == bytes.len()));
        let longer = text + "x";
        assert!(matches!(
            encode(&longer, &mut bytes),
            Err(FrameError::TooLong(_))
        ));
        Ok(())
    }
}
