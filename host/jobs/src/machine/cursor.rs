//! Where a job is in its recipe, and the outputs that it can see from there.

use std::sync::Arc;

use keyway_model::Json;

use crate::definition::{Block, StepDefinition};

/// A place in nested blocks. Moves forward only.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// The blocks around the place, the recipe's own first.
    frames: Vec<Frame>,
    /// What is visible: the job's outputs, then those of each iteration.
    scopes: Vec<Scope>,
}

#[derive(Debug)]
struct Frame {
    block: Block,
    next: usize,
    turns: Option<Turns>,
}

/// The turns of a `foreach` whose body is a frame.
#[derive(Debug)]
struct Turns {
    key: String,
    id: String,
    variable: String,
    items: Vec<Json>,
    index: usize,
    outputs: Vec<Json>,
}

/// What one iteration, or the job itself, has produced.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// The part of a key before the step's id.
    pub(crate) prefix: String,
    /// The outputs of its steps, in the order in which they ran: a repeated
    /// action must send the same bytes.
    pub(crate) outputs: Vec<(String, Json)>,
    /// Variable, item and index of an iteration.
    pub(crate) item: Option<(String, Json, usize)>,
}

/// A `foreach` whose last turn is over.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) key: String,
    pub(super) id: String,
    pub(super) outputs: Vec<Json>,
}

impl Cursor {
    /// The place before the first step of `block`.
    pub(super) fn new(block: Block) -> Self {
        Self {
            frames: vec![Frame {
                block,
                next: 0,
                turns: None,
            }],
            scopes: vec![Scope::default()],
        }
    }

    /// The step that comes next in the innermost block.
    pub(super) fn step(&self) -> Option<&StepDefinition> {
        let frame = self.frames.last()?;
        frame.block.get(frame.next)
    }

    /// The key of the step `id` at this place.
    pub(super) fn key(&self, id: &str) -> String {
        format!("{}{id}", self.prefix())
    }

    /// The part of a key before the step's id.
    pub(crate) fn prefix(&self) -> &str {
        self.scopes.last().map_or("", |scope| scope.prefix.as_str())
    }

    /// What is visible, the job's own first.
    pub(crate) fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// What is left of each block from here to the end of the iteration, or of
    /// the recipe; the innermost first.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &[StepDefinition]> {
        let last = self
            .frames
            .iter()
            .rposition(|frame| frame.turns.is_some())
            .unwrap_or(0);
        let frames = self.frames.get(last..).unwrap_or_default();
        frames
            .iter()
            .rev()
            .map(|frame| frame.block.get(frame.next..).unwrap_or_default())
    }

    /// Leaves the step `id` behind with its `output`.
    pub(super) fn pass(&mut self, id: &str, output: Json) {
        if let Some(frame) = self.frames.last_mut() {
            frame.next += 1;
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.outputs.push((id.to_owned(), output));
        }
    }

    /// Goes into a branch of the step that was just passed.
    pub(super) fn enter_branch(&mut self, block: &Block) {
        self.frames.push(Frame {
            block: Arc::clone(block),
            next: 0,
            turns: None,
        });
    }

    /// Goes into the body of the `foreach` at this place, which is passed when
    /// it has ended.
    pub(super) fn enter_foreach(
        &mut self,
        id: &str,
        variable: &str,
        items: Vec<Json>,
        body: &Block,
    ) {
        let turns = Turns {
            key: self.key(id),
            id: id.to_owned(),
            variable: variable.to_owned(),
            items,
            index: 0,
            outputs: Vec::new(),
        };
        self.scopes.extend(turns.scope());
        self.frames.push(Frame {
            block: Arc::clone(body),
            next: 0,
            turns: Some(turns),
        });
    }

    /// Leaves every block that is over and starts the next iteration, until
    /// there is a step again, or nothing is left, or a `foreach` has ended.
    pub(super) fn settle(&mut self) -> Option<Ended> {
        loop {
            let depth = self.frames.len();
            let frame = self.frames.last_mut()?;
            match &mut frame.turns {
                Some(turns) if turns.is_running() && frame.next < frame.block.len() => return None,
                Some(turns) => {
                    if turns.is_running() {
                        let last = frame.block.last().map(|step| step.id.as_str());
                        turns.finish_one(self.scopes.pop(), last);
                    }
                    let Some(scope) = turns.scope() else {
                        let turns = self.frames.pop()?.turns?;
                        return Some(Ended {
                            key: turns.key,
                            id: turns.id,
                            outputs: turns.outputs,
                        });
                    };
                    frame.next = 0;
                    self.scopes.push(scope);
                }
                None if frame.next < frame.block.len() || depth == 1 => return None,
                None => drop(self.frames.pop()),
            }
        }
    }
}

impl Turns {
    fn is_running(&self) -> bool {
        self.index < self.items.len()
    }

    /// What the current iteration starts with.
    fn scope(&self) -> Option<Scope> {
        let item = self.items.get(self.index)?.clone();
        Some(Scope {
            prefix: format!("{}[{}]/", self.key, self.index),
            outputs: Vec::new(),
            item: Some((self.variable.clone(), item, self.index)),
        })
    }

    /// Keeps the output of the iteration's last step and goes to the next.
    fn finish_one(&mut self, scope: Option<Scope>, last: Option<&str>) {
        let output = scope
            .zip(last)
            .and_then(|(scope, last)| scope.outputs.into_iter().rfind(|(id, _)| id == last))
            .map(|(_, output)| output);
        self.outputs
            .push(output.unwrap_or_else(|| Json::from(serde_json::Value::Null)));
        self.index += 1;
    }
}
