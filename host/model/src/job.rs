//! Where in its life a job is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where in its life a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Accepted and durable; nothing of it has run.
    Queued,
    /// Some step may be running.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended at a step that failed, or at a `stop` that says so.
    Failed,
    /// Waits for a person: an effect of class `once` may or may not have
    /// happened.
    Review,
    /// Ended by a person before its own end.
    Stopped,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Review,
        Self::Stopped,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Review => "review",
            Self::Stopped => "stopped",
        }
    }

    /// The number under which it is stored.
    pub const fn code(self) -> u8 {
        match self {
            Self::Queued => 1,
            Self::Running => 2,
            Self::Succeeded => 3,
            Self::Failed => 4,
            Self::Review => 5,
            Self::Stopped => 6,
        }
    }

    /// The state stored under `code`.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Whether nothing will happen to the job by itself any more.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Review | Self::Stopped => true,
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_back_from_its_code() {
        for state in JobState::ALL {
            assert_eq!(JobState::from_code(state.code()), Some(state));
        }
        assert_eq!(JobState::from_code(0), None);
    }
}
