//! One request to the expression component: everything from a place to the
//! next effect, so that effect-free steps cost one call together.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use keyway_model::Json;
use keyway_model::recipe::StopOutcome;

use crate::definition::{StepDefinition, Work};
use crate::machine::{Cursor, JobFacts};
use crate::tree::{Tree, Uses};

/// The request for the segment that starts at `cursor`.
pub(crate) fn request(
    cursor: &Cursor,
    trigger: &Json,
    facts: &JobFacts,
) -> Result<String, serde_json::Error> {
    let mut block = Block::default();
    for steps in cursor.rest() {
        if let Flow::Stops = add(steps, cursor.prefix(), &mut block) {
            break;
        }
    }
    serde_json::to_string(&Request {
        variables: Variables {
            cursor,
            trigger,
            facts,
            uses: block.uses,
        },
        block: block.nodes,
    })
}

/// Steps for the component, and what their expressions look at.
#[derive(Default)]
struct Block<'d> {
    nodes: Vec<Node<'d>>,
    uses: Uses,
}

/// Whether the component goes on after some steps.
enum Flow {
    GoesOn,
    Stops,
}

fn add<'d>(steps: &'d [StepDefinition], prefix: &str, block: &mut Block<'d>) -> Flow {
    for step in steps {
        let (node, flow) = node(step, prefix, &mut block.uses);
        block.nodes.push(node);
        if let Flow::Stops = flow {
            return Flow::Stops;
        }
    }
    Flow::GoesOn
}

fn node<'d>(step: &'d StepDefinition, prefix: &str, uses: &mut Uses) -> (Node<'d>, Flow) {
    for tree in step.work.trees() {
        uses.add(tree.uses());
    }
    let id = step.id.as_str();
    let key = format!("{prefix}{id}");
    match &step.work {
        Work::Transform { value } => (Node::Transform { id, key, value }, Flow::GoesOn),
        Work::Action(action) => (
            Node::Action {
                id,
                key,
                input: &action.input,
            },
            Flow::Stops,
        ),
        Work::Foreach { items, .. } => (Node::Foreach { id, key, items }, Flow::Stops),
        Work::Respond {
            status,
            headers,
            body,
        } => (
            Node::Respond {
                id,
                key,
                status,
                headers: headers.as_ref(),
                body,
            },
            Flow::GoesOn,
        ),
        Work::Stop { outcome, reason } => (
            Node::Stop {
                id,
                key,
                outcome: *outcome,
                reason,
            },
            Flow::Stops,
        ),
        Work::If {
            condition,
            then,
            otherwise,
        } => {
            let (mut then_block, mut otherwise_block) = (Block::default(), Block::default());
            let flows = (
                add(then, prefix, &mut then_block),
                add(otherwise, prefix, &mut otherwise_block),
            );
            uses.add(&then_block.uses);
            uses.add(&otherwise_block.uses);
            let flow = match flows {
                (Flow::Stops, Flow::Stops) => Flow::Stops,
                (Flow::GoesOn, _) | (_, Flow::GoesOn) => Flow::GoesOn,
            };
            (
                Node::If {
                    id,
                    key,
                    condition,
                    then: then_block.nodes,
                    otherwise: otherwise_block.nodes,
                },
                flow,
            )
        }
    }
}

#[derive(Serialize)]
struct Request<'d> {
    variables: Variables<'d>,
    block: Vec<Node<'d>>,
}

/// A step as the component runs it.
#[derive(Serialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Node<'d> {
    Transform {
        id: &'d str,
        key: String,
        value: &'d Tree,
    },
    Action {
        id: &'d str,
        key: String,
        input: &'d Tree,
    },
    Foreach {
        id: &'d str,
        key: String,
        items: &'d Tree,
    },
    If {
        id: &'d str,
        key: String,
        condition: &'d Tree,
        then: Vec<Node<'d>>,
        #[serde(rename = "else")]
        otherwise: Vec<Node<'d>>,
    },
    Respond {
        id: &'d str,
        key: String,
        status: &'d Tree,
        headers: Option<&'d Tree>,
        body: &'d Tree,
    },
    Stop {
        id: &'d str,
        key: String,
        outcome: StopOutcome,
        reason: &'d Tree,
    },
}

/// What the expressions see.
struct Variables<'d> {
    cursor: &'d Cursor,
    trigger: &'d Json,
    facts: &'d JobFacts,
    uses: Uses,
}

impl Serialize for Variables<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let scopes = self.cursor.scopes();
        let mut map = serializer.serialize_map(None)?;
        if self.uses.trigger {
            map.serialize_entry("trigger", self.trigger)?;
        }
        if self.uses.job {
            map.serialize_entry("job", &self.facts.variable())?;
        }
        map.serialize_entry("steps", &Outputs(self.cursor, &self.uses))?;
        for (variable, item, _) in scopes.iter().filter_map(|scope| scope.item.as_ref()) {
            map.serialize_entry(variable, item)?;
        }
        let innermost = scopes.iter().rev().find_map(|scope| scope.item.as_ref());
        if let Some((_, _, index)) = innermost {
            map.serialize_entry("index", index)?;
        }
        map.end()
    }
}

/// The outputs of the steps that are visible and looked at, by id.
struct Outputs<'d>(&'d Cursor, &'d Uses);

impl Serialize for Outputs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let outputs = self.0.scopes().iter().flat_map(|scope| &scope.outputs);
        let visible = outputs.map(|(id, output)| (id, output));
        serializer.collect_map(visible.filter(|(id, _)| self.1.step(id)))
    }
}
