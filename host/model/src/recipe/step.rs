//! One unit of a recipe, of exactly one kind.

use serde::{Deserialize, Serialize};

use super::error::Place;
use super::template::{Expression, Template};
use super::words::StepId;
use crate::name::Name;

/// One unit of a recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The step's id, which no other step of the recipe has.
    pub id: StepId,
    /// Where the step stands.
    pub place: Place,
    /// What it does.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepKind {
    /// Computes a value.
    Transform(Template),
    /// Calls a connector.
    Action(Action),
    /// Chooses between two blocks.
    If(If),
    /// Runs a block for each item of a list.
    Foreach(Foreach),
    /// Answers the webhook's caller.
    Respond(Respond),
    /// Ends the job.
    Stop(Stop),
}

/// The call of a connector's action.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// The connector.
    pub connector: Name,
    /// The connector's action.
    pub action: Name,
    /// The connection to call it through.
    pub connection: Name,
    /// The action's input.
    pub input: Template,
    /// Whether all of input and output must not show.
    pub mask: bool,
}

/// A choice between two blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct If {
    /// An expression that gives true or false.
    pub condition: Expression,
    /// The block that runs when it is true.
    pub then: Vec<Step>,
    /// The block that runs when it is false; may be empty.
    pub otherwise: Vec<Step>,
}

/// A block that runs for each item of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreach {
    /// An expression that gives a list.
    pub items: Expression,
    /// The variable that holds the item; `index` holds its number from 0.
    pub variable: StepId,
    /// The block.
    pub steps: Vec<Step>,
}

/// An answer to the webhook's caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Respond {
    /// The status, from 200 to 599.
    pub status: Template,
    /// A map from header names to texts.
    pub headers: Option<Template>,
    /// The body, sent as JSON.
    pub body: Template,
}

/// The end of the job.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// How the job ends.
    pub outcome: StopOutcome,
    /// Why, for people.
    pub reason: Template,
}

/// How a `stop` ends the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopOutcome {
    /// All is well.
    Succeeded,
    /// Something is not.
    Failed,
}

impl StepKind {
    /// The field that names the kind.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Transform(_) => "transform",
            Self::Action(_) => "action",
            Self::If(_) => "if",
            Self::Foreach(_) => "foreach",
            Self::Respond(_) => "respond",
            Self::Stop(_) => "stop",
        }
    }
}
