//! Sequences with a bound on how many elements they have.
//!
//! An element without content is a byte or two of a frame and many times that
//! here, so a frame's length bounds no sequence. Whatever reads one from a
//! worker refuses the first element too many, before it takes memory.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

/// Layers of confinement: more than there are.
pub(crate) const LAYERS_MAX: usize = 32;

/// What one part of a request body takes of the body's window beside its
/// content: a window full of single bytes would be many times its size here.
pub const PART_BYTES: usize = 128;

/// At most `MAX` elements.
pub(crate) fn at_most<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(Elements::<T, MAX>(PhantomData))
}

struct Elements<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Elements<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        // What a message announces is not believed beyond the bound.
        let mut elements = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(MAX));
        while let Some(element) = seq.next_element()? {
            if elements.len() == MAX {
                return Err(de::Error::invalid_length(MAX + 1, &self));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use keyway_model::limit::{FRAME_HEADERS_MAX, POLL_EVENTS_MAX};
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::LAYERS_MAX;
    use crate::{BodyStart, HttpRequest, LayerReport, LayerState, PollBatch, PollEvent, Standing};

    fn is_read<T: Serialize + DeserializeOwned>(message: &T) -> bool {
        let bytes = postcard::to_stdvec(message);
        bytes.is_ok_and(|bytes| postcard::from_bytes::<T>(&bytes).is_ok())
    }

    fn request(headers: usize) -> HttpRequest {
        HttpRequest {
            method: String::new(),
            url: String::new(),
            headers: vec![(String::new(), Bytes::new()); headers],
            body: BodyStart::Whole(Bytes::new()),
            first_byte_ms: None,
        }
    }

    fn batch(events: usize) -> PollBatch {
        let event = PollEvent {
            deduplication_key: String::new(),
            payload: String::new(),
        };
        PollBatch {
            events: vec![event; events],
            ..PollBatch::default()
        }
    }

    fn standing(layers: usize) -> Standing {
        let layer = LayerReport {
            layer: String::new(),
            state: LayerState::Held,
        };
        Standing {
            layers: vec![layer; layers],
            ..Standing::default()
        }
    }

    #[test]
    fn a_message_holds_some_headers_and_events_and_layers_and_not_millions() {
        assert!(is_read(&request(0)) && is_read(&request(FRAME_HEADERS_MAX)));
        assert!(!is_read(&request(FRAME_HEADERS_MAX + 1)) && !is_read(&request(1 << 20)));
        assert!(is_read(&batch(0)) && is_read(&batch(POLL_EVENTS_MAX)));
        assert!(!is_read(&batch(POLL_EVENTS_MAX + 1)) && !is_read(&batch(1 << 20)));
        assert!(is_read(&standing(0)) && is_read(&standing(LAYERS_MAX)));
        assert!(!is_read(&standing(LAYERS_MAX + 1)) && !is_read(&standing(1 << 20)));
    }
}
