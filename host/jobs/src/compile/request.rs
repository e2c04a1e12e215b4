//! What the expression component is asked to check.

use keyway_model::recipe::{Expression, Place, Recipe, Step, StepKind, Template};
use serde::Serialize;
use serde_json::{Value, json};

/// A piece of the recipe that holds expressions, and where it stands.
pub(super) struct Source<'r> {
    pub(super) id: String,
    text: Text<'r>,
    position: Position,
}

/// In a block, after so many of its steps.
#[derive(Clone, Copy, Serialize)]
struct Position {
    block: usize,
    after: usize,
}

/// Steps that follow one another, and the variables that they alone see.
#[derive(Serialize)]
struct Block<'r> {
    /// Where it stands in the block around it.
    place: Option<Position>,
    variables: Vec<&'r str>,
    steps: Vec<&'r str>,
}

enum Text<'r> {
    Template(&'r Template),
    Expression(&'r Expression),
}

/// The request to the component's `check`, for every expression of `recipe`. It says
/// once which variables and steps there are, and of each piece where it stands: with
/// what each may name beside it, the request would be as long as the square of the
/// recipe.
pub fn check_request(recipe: &Recipe) -> Value {
    let walk = Walk::through(recipe);
    let templates: Vec<Value> = walk.found.iter().map(Source::to_json).collect();
    json!({ "blocks": walk.blocks, "templates": templates })
}

/// Every piece of `recipe` that may hold expressions, in order.
pub(super) fn sources(recipe: &Recipe) -> Vec<Source<'_>> {
    Walk::through(recipe).found
}

impl Source<'_> {
    fn to_json(&self) -> Value {
        let (kind, value) = match self.text {
            Text::Template(template) => ("template", template.value.clone()),
            Text::Expression(expression) => ("expression", Value::from(expression.text.as_str())),
        };
        json!({ "id": self.id, "kind": kind, "value": value, "place": self.position })
    }

    /// Where the text at `pointer` stands in the recipe.
    pub(super) fn place_of(&self, pointer: &str) -> Place {
        match self.text {
            Text::Template(template) => template.place_of(pointer),
            Text::Expression(expression) => expression.place,
        }
    }
}

/// A walk over the steps that notes the blocks and what stands where in them. What a
/// place may name are the steps before it in its block and in the blocks around it:
/// what is inside a branch or an iteration is not known after it.
#[derive(Default)]
struct Walk<'r> {
    blocks: Vec<Block<'r>>,
    found: Vec<Source<'r>>,
}

impl<'r> Walk<'r> {
    fn through(recipe: &'r Recipe) -> Self {
        let mut walk = Self::default();
        walk.block(&recipe.steps, None, vec!["trigger", "job", "steps"]);
        walk
    }

    fn block(&mut self, steps: &'r [Step], place: Option<Position>, variables: Vec<&'r str>) {
        let block = self.blocks.len();
        self.blocks.push(Block {
            place,
            variables,
            steps: steps.iter().map(|step| step.id.as_str()).collect(),
        });
        for (after, step) in steps.iter().enumerate() {
            self.step(step, Position { block, after });
        }
    }

    fn step(&mut self, step: &'r Step, at: Position) {
        match &step.kind {
            StepKind::Transform(value) => self.template(step, at, "transform", value),
            StepKind::Action(action) => self.template(step, at, "input", &action.input),
            StepKind::If(choice) => {
                self.expression(step, at, "if", &choice.condition);
                self.block(&choice.then, Some(at), Vec::new());
                self.block(&choice.otherwise, Some(at), Vec::new());
            }
            StepKind::Foreach(foreach) => {
                self.expression(step, at, "foreach", &foreach.items);
                let variables = vec![foreach.variable.as_str(), "index"];
                self.block(&foreach.steps, Some(at), variables);
            }
            StepKind::Respond(respond) => {
                self.template(step, at, "status", &respond.status);
                if let Some(headers) = &respond.headers {
                    self.template(step, at, "headers", headers);
                }
                self.template(step, at, "body", &respond.body);
            }
            StepKind::Stop(stop) => self.template(step, at, "reason", &stop.reason),
        }
    }

    fn template(&mut self, step: &Step, at: Position, part: &str, template: &'r Template) {
        self.add(step, at, part, Text::Template(template));
    }

    fn expression(&mut self, step: &Step, at: Position, part: &str, expression: &'r Expression) {
        self.add(step, at, part, Text::Expression(expression));
    }

    fn add(&mut self, step: &Step, position: Position, part: &str, text: Text<'r>) {
        self.found.push(Source {
            id: format!("{}.{part}", step.id),
            text,
            position,
        });
    }
}
