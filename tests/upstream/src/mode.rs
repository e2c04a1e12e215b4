//! How the order system behaves: as it should, or in one of the ways in which real ones fail.

use serde::{Deserialize, Serialize};

/// One behaviour, set through `POST /control/mode`. It applies to everything but `/control`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Answers.
    #[default]
    Up,
    /// 503 to every request, without an effect.
    Down,
    /// Reads the request and never answers; no effect.
    Hang,
    /// Resets the connection instead of answering; no effect.
    Reset,
    /// Does the work, then resets the connection: the effect exists and the caller cannot know.
    Lost,
    /// Does the work and never answers: the effect exists and the caller waits.
    Silent,
    /// 500 to every request, without an effect.
    #[serde(rename = "500")]
    Broken,
    /// Answers 200 with a body that never ends; no effect.
    Endless,
    /// Does the work and answers with a gzip-encoded body, asked for or not.
    Gzip,
    /// Does the work and sends the body one byte at a time, ten a second.
    Slow,
}
