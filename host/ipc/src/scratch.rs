//! What a guest asks of its scratch files, and why it is refused.

use bytes::Bytes;
use keyway_model::limit::{SCRATCH_CHUNK_BYTES_MAX, SCRATCH_NAME_BYTES_MAX};
use keyway_model::scratch::ScratchNameError;
use serde::{Deserialize, Serialize};

/// What a guest asks of its scratch files. Names are as the guest wrote them.
#[derive(Debug, Serialize, Deserialize)]
pub enum ScratchCall {
    /// `keyway:host/scratch.open`.
    Open {
        /// Which file.
        name: String,
    },
    /// `keyway:host/scratch.read`.
    Read {
        /// Which file.
        name: String,
        /// From where.
        offset: u64,
        /// How many bytes, at most.
        length: u32,
    },
    /// `keyway:host/scratch.write`.
    Write {
        /// Which file.
        name: String,
        /// To where.
        offset: u64,
        /// What.
        bytes: Bytes,
    },
    /// `keyway:host/scratch.list`.
    List,
    /// `keyway:host/scratch.remove`.
    Remove {
        /// Which file.
        name: String,
    },
}

impl ScratchCall {
    /// Bytes of what the guest gave, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Open { name } | Self::Read { name, .. } | Self::Remove { name } => name.len(),
            Self::Write { name, bytes, .. } => name.len() + bytes.len(),
            Self::List => 0,
        }
    }

    /// Why it does not leave its worker: a name, or what is to be written, is
    /// longer than any may be.
    pub fn refusal(&self) -> Option<ScratchRefusal> {
        let (name, length) = match self {
            Self::Open { name } | Self::Read { name, .. } | Self::Remove { name } => (name, 0),
            Self::Write { name, bytes, .. } => (name, bytes.len()),
            Self::List => return None,
        };
        let chunk_bytes_max = SCRATCH_CHUNK_BYTES_MAX;
        if name.len() > SCRATCH_NAME_BYTES_MAX {
            return Some(ScratchRefusal::BadName(
                ScratchNameError::TooLong.to_string(),
            ));
        }
        (length > chunk_bytes_max as usize)
            .then(|| ScratchRefusal::Limit(format!("SCRATCH_CHUNK_BYTES_MAX ({chunk_bytes_max})")))
    }
}

/// Why something was not done with a scratch file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScratchRefusal {
    /// Not granted.
    Denied,
    /// A limit, named with its value.
    Limit(String),
    /// Not a name, and why.
    BadName(String),
    /// No such file.
    NotFound,
    /// The offset is behind the end of the file.
    BehindEnd,
}
