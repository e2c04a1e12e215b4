//! What a recipe names outside itself, for the host to look up.

use super::error::Place;
use super::step::{Step, StepKind};
use super::trigger::Trigger;
use super::{Recipe, StepId};
use crate::name::Name;

/// One use of a connector through a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference<'r> {
    /// The step, or nothing for the trigger.
    pub step: Option<&'r StepId>,
    /// Where it stands.
    pub place: Place,
    /// The connector.
    pub connector: &'r Name,
    /// The connection.
    pub connection: &'r Name,
    /// What of the connector is used.
    pub kind: ReferenceKind<'r>,
}

/// What of a connector is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReferenceKind<'r> {
    /// The action of this name.
    Action(&'r Name),
    /// The trigger of this name.
    Trigger(&'r Name),
}

impl Recipe {
    /// Every use of a connector, in the order of the text.
    pub fn references(&self) -> Vec<Reference<'_>> {
        let mut found = Vec::new();
        if let Trigger::Poll(poll) = &self.trigger {
            found.push(Reference {
                step: None,
                place: poll.place,
                connector: &poll.connector,
                connection: &poll.connection,
                kind: ReferenceKind::Trigger(&poll.trigger),
            });
        }
        collect(&self.steps, &mut found);
        found
    }
}

fn collect<'r>(steps: &'r [Step], found: &mut Vec<Reference<'r>>) {
    for step in steps {
        match &step.kind {
            StepKind::Action(action) => found.push(Reference {
                step: Some(&step.id),
                place: step.place,
                connector: &action.connector,
                connection: &action.connection,
                kind: ReferenceKind::Action(&action.action),
            }),
            StepKind::If(branch) => {
                collect(&branch.then, found);
                collect(&branch.otherwise, found);
            }
            StepKind::Foreach(foreach) => collect(&foreach.steps, found),
            StepKind::Transform(_) | StepKind::Respond(_) | StepKind::Stop(_) => {}
        }
    }
}
