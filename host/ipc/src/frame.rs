//! Frames: four bytes of length, little-endian, then a message in postcard.

use keyway_model::limit::FRAME_BYTES_MAX;
use postcard::ser_flavors::Flavor;
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

/// Encodes behind what a buffer holds already.
struct Behind<'a>(&'a mut Vec<u8>);

impl Flavor for Behind<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends `message` to `out` as one frame; on an error `out` is as before.
pub(crate) fn encode<M: Serialize>(message: &M, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = out.len();
    let encoded = encode_at(message, start, out);
    if encoded.is_err() {
        out.truncate(start);
    }
    encoded
}

fn encode_at<M: Serialize>(message: &M, start: usize, out: &mut Vec<u8>) -> Result<(), FrameError> {
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    postcard::serialize_with_flavor(message, Behind(out))?;
    let length = out.len() - start - LENGTH_BYTES;
    let announced = u32::try_from(length)
        .ok()
        .filter(|_| length <= FRAME_BYTES_MAX)
        .ok_or(FrameError::TooLong(length))?;
    if let Some(slot) = out.get_mut(start..start + LENGTH_BYTES) {
        slot.copy_from_slice(&announced.to_le_bytes());
    }
    Ok(())
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
    fn a_message_over_the_limit_leaves_the_buffer_as_it_was() {
        let mut bytes = vec![1, 2, 3];
        let long = vec![0_u8; FRAME_BYTES_MAX + 1];
        assert!(matches!(
            encode(&long, &mut bytes),
            Err(FrameError::TooLong(_))
        ));
        assert_eq!(bytes, [1, 2, 3]);
    }
}
