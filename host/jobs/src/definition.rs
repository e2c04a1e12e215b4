//! A compiled recipe: the steps, and each expression as the tree that the
//! expression component made of it. Stored, sealed, with each recipe version;
//! jobs run from it and never see the recipe's text.

use std::sync::Arc;

use crate::tree::Tree;
use keyway_model::Name;
use keyway_model::recipe::{StepId, StopOutcome, Trigger};
use serde::{Deserialize, Serialize};

/// The version of this encoding; another one is refused.
pub const ENCODING: u16 = 1;

/// A recipe that is ready to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    encoding: u16,
    /// The recipe's name.
    pub recipe: Name,
    /// What starts a job.
    pub trigger: Trigger,
    /// What a job does.
    pub steps: Block,
}

/// Steps that follow one another.
pub type Block = Arc<[StepDefinition]>;

/// One unit of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepDefinition {
    /// The step's id, which no other step of the recipe has.
    pub id: StepId,
    /// What it does.
    pub work: Work,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// Computes a value.
    Transform {
        /// The value.
        value: Tree,
    },
    /// Calls a connector.
    Action(ActionDefinition),
    /// Chooses between two blocks.
    If {
        /// What chooses.
        condition: Tree,
        /// The block if it is true.
        then: Block,
        /// The block if it is false; may be empty.
        otherwise: Block,
    },
    /// Runs a block for each item of a list.
    Foreach {
        /// The list.
        items: Tree,
        /// The variable that holds the item.
        variable: StepId,
        /// The block.
        body: Block,
    },
    /// Answers the webhook's caller.
    Respond {
        /// The status.
        status: Tree,
        /// A map from header names to texts.
        headers: Option<Tree>,
        /// The body.
        body: Tree,
    },
    /// Ends the job.
    Stop {
        /// How.
        outcome: StopOutcome,
        /// Why, for people.
        reason: Tree,
    },
}

impl Work {
    /// Its own expressions, without those of the steps inside it.
    pub(crate) fn trees(&self) -> impl Iterator<Item = &Tree> {
        let trees = match self {
            Self::Transform { value } => [Some(value), None, None],
            Self::Action(action) => [Some(&action.input), None, None],
            Self::If { condition, .. } => [Some(condition), None, None],
            Self::Foreach { items, .. } => [Some(items), None, None],
            Self::Respond {
                status,
                headers,
                body,
            } => [Some(status), headers.as_ref(), Some(body)],
            Self::Stop { reason, .. } => [Some(reason), None, None],
        };
        trees.into_iter().flatten()
    }
}

/// The call of a connector's action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionDefinition {
    /// The connector.
    pub connector: Name,
    /// The connector's action.
    pub action: Name,
    /// The connection to call it through.
    pub connection: Name,
    /// Whether all of input and output must not show.
    pub mask: bool,
    /// The action's input.
    pub input: Tree,
}

/// A stored definition that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The bytes are not a definition.
    #[error("a stored recipe version is not readable: apply the recipe again")]
    Unreadable(#[source] serde_json::Error),
    /// The definition was made by another version of Keyway.
    #[error(
        "a stored recipe version has encoding {0}, this Keyway reads {ENCODING}: apply the recipe again"
    )]
    Encoding(u16),
}

impl Definition {
    /// The definition with these parts, in today's encoding.
    pub const fn new(recipe: Name, trigger: Trigger, steps: Block) -> Self {
        Self {
            encoding: ENCODING,
            recipe,
            trigger,
            steps,
        }
    }

    /// The definition that [`Definition::to_json`] wrote.
    pub fn from_json(json: &str) -> Result<Self, DefinitionError> {
        let definition: Self = serde_json::from_str(json).map_err(DefinitionError::Unreadable)?;
        match definition.encoding {
            ENCODING => Ok(definition),
            other => Err(DefinitionError::Encoding(other)),
        }
    }

    /// The definition as JSON, for storing.
    pub fn to_json(&self) -> Result<String, DefinitionError> {
        serde_json::to_string(self).map_err(DefinitionError::Unreadable)
    }

    /// The step called `id`, in whatever block it is.
    pub fn step(&self, id: &str) -> Option<&StepDefinition> {
        find(&self.steps, id)
    }
}

fn find<'d>(block: &'d Block, id: &str) -> Option<&'d StepDefinition> {
    block.iter().find_map(|step| {
        if step.id.as_str() == id {
            return Some(step);
        }
        match &step.work {
            Work::If {
                then, otherwise, ..
            } => find(then, id).or_else(|| find(otherwise, id)),
            Work::Foreach { body, .. } => find(body, id),
            Work::Transform { .. } | Work::Action(_) | Work::Respond { .. } | Work::Stop { .. } => {
                None
            }
        }
    })
}

impl Work {
    /// The word for the kind of step.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Transform { .. } => "transform",
            Self::Action(_) => "action",
            Self::If { .. } => "if",
            Self::Foreach { .. } => "foreach",
            Self::Respond { .. } => "respond",
            Self::Stop { .. } => "stop",
        }
    }
}

impl Definition {
    /// Whether a job of this recipe answers the webhook's caller itself.
    pub fn answers_its_caller(&self) -> bool {
        has_respond(&self.steps)
    }
}

fn has_respond(steps: &[StepDefinition]) -> bool {
    steps.iter().any(|step| match &step.work {
        Work::Respond { .. } => true,
        Work::If {
            then, otherwise, ..
        } => has_respond(then) || has_respond(otherwise),
        Work::Foreach { body, .. } => has_respond(body),
        Work::Transform { .. } | Work::Action(_) | Work::Stop { .. } => false,
    })
}
