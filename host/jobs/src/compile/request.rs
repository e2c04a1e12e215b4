//! What the expression component is asked to check.

use keyway_model::recipe::{Expression, Place, Recipe, Step, StepKind, Template};
use serde_json::{Value, json};

/// A piece of the recipe that holds expressions, and what they may name.
pub(super) struct Source<'r> {
    pub(super) id: String,
    text: Text<'r>,
    variables: Vec<&'r str>,
    steps: Vec<&'r str>,
}

enum Text<'r> {
    Template(&'r Template),
    Expression(&'r Expression),
}

/// The request to the component's `check`, for every expression of `recipe`.
pub fn check_request(recipe: &Recipe) -> Value {
    let templates: Vec<Value> = sources(recipe).iter().map(Source::to_json).collect();
    json!({ "templates": templates })
}

/// Every piece of `recipe` that may hold expressions, in order.
pub(super) fn sources(recipe: &Recipe) -> Vec<Source<'_>> {
    let mut walk = Walk {
        found: Vec::new(),
        variables: vec!["trigger", "job", "steps"],
        known: Vec::new(),
    };
    walk.block(&recipe.steps);
    walk.found
}

impl Source<'_> {
    fn to_json(&self) -> Value {
        let (kind, value) = match self.text {
            Text::Template(template) => ("template", template.value.clone()),
            Text::Expression(expression) => ("expression", Value::from(expression.text.as_str())),
        };
        let Self {
            id,
            variables,
            steps,
            text: _,
        } = self;
        json!({ "id": id, "kind": kind, "value": value, "variables": variables, "steps": steps })
    }

    /// Where the text at `pointer` stands in the recipe.
    pub(super) fn place_of(&self, pointer: &str) -> Place {
        match self.text {
            Text::Template(template) => template.place_of(pointer),
            Text::Expression(expression) => expression.place,
        }
    }
}

/// A walk over the steps that knows what each place may name: the steps before
/// it in its block and in the blocks around it. What is inside a branch or an
/// iteration is not known after it.
struct Walk<'r> {
    found: Vec<Source<'r>>,
    variables: Vec<&'r str>,
    known: Vec<&'r str>,
}

impl<'r> Walk<'r> {
    fn block(&mut self, steps: &'r [Step]) {
        let known_before = self.known.len();
        for step in steps {
            self.step(step);
            self.known.push(step.id.as_str());
        }
        self.known.truncate(known_before);
    }

    fn step(&mut self, step: &'r Step) {
        match &step.kind {
            StepKind::Transform(value) => self.template(step, "transform", value),
            StepKind::Action(action) => self.template(step, "input", &action.input),
            StepKind::If(choice) => {
                self.expression(step, "if", &choice.condition);
                self.block(&choice.then);
                self.block(&choice.otherwise);
            }
            StepKind::Foreach(foreach) => {
                self.expression(step, "foreach", &foreach.items);
                let variables_before = self.variables.clone();
                self.variables.push(foreach.variable.as_str());
                if !self.variables.contains(&"index") {
                    self.variables.push("index");
                }
                self.block(&foreach.steps);
                self.variables = variables_before;
            }
            StepKind::Respond(respond) => {
                self.template(step, "status", &respond.status);
                if let Some(headers) = &respond.headers {
                    self.template(step, "headers", headers);
                }
                self.template(step, "body", &respond.body);
            }
            StepKind::Stop(stop) => self.template(step, "reason", &stop.reason),
        }
    }

    fn template(&mut self, step: &Step, part: &str, template: &'r Template) {
        self.add(step, part, Text::Template(template));
    }

    fn expression(&mut self, step: &Step, part: &str, expression: &'r Expression) {
        self.add(step, part, Text::Expression(expression));
    }

    fn add(&mut self, step: &Step, part: &str, text: Text<'r>) {
        self.found.push(Source {
            id: format!("{}.{part}", step.id),
            text,
            variables: self.variables.clone(),
            steps: self.known.clone(),
        });
    }
}
