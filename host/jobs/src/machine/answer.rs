//! What the expression component says, taken apart and trusted with nothing.

use keyway_model::Json;
use serde::{Deserialize, Deserializer};

/// A call of the machine that does not fit where the job is. The component or
/// the caller is broken, not the recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The component's answer is not of the agreed shape.
    #[error("the expression component's answer is not readable")]
    Unreadable(#[source] serde_json::Error),
    /// A request cannot be written as JSON.
    #[error("a request to the expression component cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// The component did nothing and named no error.
    #[error("the expression component did nothing")]
    NoProgress,
    /// There is no action to start or to end at this point.
    #[error("the job is not at an action")]
    NoAction,
    /// A result came for a step that is not next.
    #[error("a result came for step `{key}`; the job is at `{turn}`")]
    OutOfTurn {
        /// The step that the result is for.
        key: String,
        /// The step that is next; empty if the job has ended.
        turn: String,
    },
    /// A result is of another kind than its step.
    #[error("the result for step `{key}` does not fit the step's kind")]
    WrongResult {
        /// The step.
        key: String,
    },
}

#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) done: Vec<Done>,
    #[serde(default)]
    pub(super) error: Option<EvaluationError>,
}

/// One step that the component evaluated.
pub(super) struct Done {
    pub(super) key: String,
    pub(super) given: Given,
}

/// What it gave.
pub(super) enum Given {
    /// The step's output; the step is complete.
    Output(Json),
    /// The input of an action that is now to be called.
    Input(Json),
    /// The items of a `foreach` that now begins.
    Items(Json),
}

#[derive(Deserialize)]
pub(super) struct EvaluationError {
    pub(super) key: String,
    pub(super) message: String,
}

impl Answer {
    pub(super) fn parse(response: &str) -> Result<Self, MachineError> {
        serde_json::from_str(response).map_err(MachineError::Unreadable)
    }
}

impl<'de> Deserialize<'de> for Done {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            key: String,
            #[serde(default, deserialize_with = "present")]
            output: Option<Json>,
            #[serde(default, deserialize_with = "present")]
            input: Option<Json>,
            #[serde(default, deserialize_with = "present")]
            items: Option<Json>,
        }
        let fields = Fields::deserialize(deserializer)?;
        let given = match (fields.output, fields.input, fields.items) {
            (Some(output), None, None) => Given::Output(output),
            (None, Some(input), None) => Given::Input(input),
            (None, None, Some(items)) => Given::Items(items),
            _ => return Err(serde::de::Error::custom("a step must have one result")),
        };
        Ok(Self {
            key: fields.key,
            given,
        })
    }
}

/// Tells `null` from a field that is not there. What the component wrote is
/// read and written again: a payload may have led it to repeat a member, and
/// then schema, labels and connector would not see the same one.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    let written = Json::deserialize(deserializer)?;
    Json::canonical(written.text().as_bytes())
        .map(Some)
        .map_err(serde::de::Error::custom)
}
