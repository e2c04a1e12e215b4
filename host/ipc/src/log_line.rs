//! Lines of a guest's log.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Lines of one message. An empty line is two bytes of it and far more here.
pub const LOG_LINES_TOGETHER_MAX: usize = 1_024;

/// One line of a guest's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The line.
    pub message: String,
}

impl LogLine {
    /// What it takes of memory, about.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.message.len()
    }
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For the connector's author.
    Debug,
    /// For whoever reads the job.
    Info,
    /// Something was worked around.
    Warn,
    /// The call will fail.
    Error,
}

/// Lines, at least one and at most [`LOG_LINES_TOGETHER_MAX`].
pub(crate) fn bounded<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<LogLine>, D::Error> {
    struct Lines;

    impl<'de> Visitor<'de> for Lines {
        type Value = Vec<LogLine>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "one to {LOG_LINES_TOGETHER_MAX} log lines")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut lines = Vec::new();
            while let Some(line) = seq.next_element()? {
                if lines.len() == LOG_LINES_TOGETHER_MAX {
                    return Err(de::Error::custom("too many log lines in one message"));
                }
                lines.push(line);
            }
            if lines.is_empty() {
                return Err(de::Error::custom("no log line in a message of them"));
            }
            Ok(lines)
        }
    }

    deserializer.deserialize_seq(Lines)
}

#[cfg(test)]
mod tests {
    use crate::HostCall;

    use super::*;

    fn is_read(lines: usize) -> bool {
        let line = LogLine {
            level: LogLevel::Info,
            message: String::new(),
        };
        let bytes = postcard::to_stdvec(&HostCall::Log(vec![line; lines]));
        bytes.is_ok_and(|bytes| postcard::from_bytes::<HostCall>(&bytes).is_ok())
    }

    #[test]
    fn a_message_holds_some_lines_and_not_millions() {
        assert!(is_read(1) && is_read(LOG_LINES_TOGETHER_MAX));
        assert!(!is_read(0) && !is_read(LOG_LINES_TOGETHER_MAX + 1) && !is_read(1 << 20));
    }
}
