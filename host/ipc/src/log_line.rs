//! Lines of a guest's log.

use serde::{Deserialize, Serialize};

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
