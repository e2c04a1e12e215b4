//! Runs a block of pure steps: transforms and branches are done at once, and
//! the first step that needs the host, or that ends the job, stops the run.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::evaluate::Scope;
use crate::tree::Tree;
use crate::value::{Members, Value, read_members};

const RESULT_BYTES_MAX: usize = 1 << 20;

/// Runs a request as `docs/expressions.md` describes it.
///
/// # Errors
/// If the request is not one; a failing step is part of the answer instead.
pub fn run(request: &str) -> Result<String, String> {
    let request: Request = serde_json::from_str(request)
        .map_err(|error| format!("the run request is not valid: {error}"))?;
    let mut run = Run {
        scope: Scope::new(request.variables.0),
        done: String::from("{\"done\":["),
    };
    let error = match run.block(&request.block) {
        Ok(_) => "null".to_owned(),
        Err(problem) => json(&problem)?,
    };
    let mut answer = run.done;
    answer.push_str("],\"error\":");
    answer.push_str(&error);
    answer.push('}');
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    variables: Variables,
    #[serde(borrow)]
    block: Vec<Node<'a>>,
}

struct Variables(Members);

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Variables;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the variables")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Variables, A::Error> {
                read_members(&mut map).map(Variables)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A step. The fields that its kind does not use are absent; a tree that is
/// absent is the literal null.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    r#do: Kind,
    value: Option<Tree>,
    condition: Option<Tree>,
    #[serde(default)]
    then: Vec<Node<'a>>,
    #[serde(default)]
    r#else: Vec<Node<'a>>,
    input: Option<Tree>,
    items: Option<Tree>,
    status: Option<Tree>,
    headers: Option<Tree>,
    body: Option<Tree>,
    outcome: Option<Outcome>,
    reason: Option<Tree>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Transform,
    If,
    Action,
    Foreach,
    Respond,
    Stop,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Succeeded,
    Failed,
}

#[derive(Serialize)]
struct Problem<'a> {
    key: &'a str,
    message: String,
}

/// Whether the steps after this one still run.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Stop,
}

struct Run<'t> {
    scope: Scope<'t>,
    /// The answer, as far as it is written.
    done: String,
}

impl<'t> Run<'t> {
    fn block(&mut self, block: &'t [Node<'t>]) -> Result<Flow, Problem<'t>> {
        for node in block {
            if self.node(node)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &'t Node<'t>) -> Result<Flow, Problem<'t>> {
        let problem = |message| Problem {
            key: &node.key,
            message,
        };
        match node.r#do {
            Kind::Transform => {
                let output = self.evaluate(node.value.as_ref()).map_err(problem)?;
                self.finish(node, output).map_err(problem)?;
            }
            Kind::If => {
                let value = self.evaluate(node.condition.as_ref()).map_err(problem)?;
                let Value::Bool(value) = value else {
                    return Err(problem(format!(
                        "the condition of an `if` must be a bool, this one is {}",
                        value.type_name()
                    )));
                };
                let (branch, steps) = if value {
                    ("then", &node.then)
                } else {
                    ("else", &node.r#else)
                };
                let output = object([("branch", Value::string(branch))]);
                self.finish(node, output).map_err(problem)?;
                return self.block(steps);
            }
            Kind::Action => {
                let input = self.evaluate(node.input.as_ref()).map_err(problem)?;
                self.write(node, "input", &input).map_err(problem)?;
                return Ok(Flow::Stop);
            }
            Kind::Foreach => {
                let items = self.evaluate(node.items.as_ref()).map_err(problem)?;
                if !matches!(items, Value::List(_)) {
                    return Err(problem(format!(
                        "`foreach` goes over a list, this is {}",
                        items.type_name()
                    )));
                }
                self.write(node, "items", &items).map_err(problem)?;
                return Ok(Flow::Stop);
            }
            Kind::Respond => {
                let output = self.respond(node).map_err(problem)?;
                self.finish(node, output).map_err(problem)?;
            }
            Kind::Stop => {
                let outcome = match node.outcome {
                    Some(Outcome::Failed) => "failed",
                    Some(Outcome::Succeeded) | None => "succeeded",
                };
                let reason = self.evaluate(node.reason.as_ref()).map_err(problem)?;
                let output = object([("outcome", Value::string(outcome)), ("reason", reason)]);
                self.write(node, "output", &output).map_err(problem)?;
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::On)
    }

    fn respond(&mut self, node: &'t Node<'t>) -> Result<Value, String> {
        let status = match self.evaluate(node.status.as_ref())? {
            Value::Null => Value::Int(200),
            Value::Int(status) if (200..=599).contains(&status) => Value::Int(status),
            Value::Int(status) => return Err(format!("{status} is not a status of a reply")),
            other => {
                return Err(format!(
                    "a status is an int, this one is {}",
                    other.type_name()
                ));
            }
        };
        let headers = match self.evaluate(node.headers.as_ref())? {
            Value::Null => object([]),
            Value::Map(headers) => Value::Map(headers),
            other => {
                return Err(format!(
                    "headers are a map, these are {}",
                    other.type_name()
                ));
            }
        };
        let body = self.evaluate(node.body.as_ref())?;
        Ok(object([
            ("status", status),
            ("headers", headers),
            ("body", body),
        ]))
    }

    fn evaluate(&mut self, tree: Option<&'t Tree>) -> Result<Value, String> {
        tree.map_or(Ok(Value::Null), |tree| self.scope.evaluate(tree))
    }

    /// Writes a step's output and makes it visible to the steps after it.
    fn finish(&mut self, node: &Node<'_>, output: Value) -> Result<(), String> {
        self.write(node, "output", &output)?;
        if let Some(id) = &node.id {
            self.scope.set_step(id, output);
        }
        Ok(())
    }

    fn write(&mut self, node: &Node<'_>, name: &str, value: &Value) -> Result<(), String> {
        let value = json(value)?;
        if value.len() > RESULT_BYTES_MAX {
            return Err(format!(
                "the result has {} bytes, at most {RESULT_BYTES_MAX} are kept",
                value.len()
            ));
        }
        let separator = if self.done.ends_with('[') { "" } else { "," };
        let key = json(&node.key)?;
        self.done.extend([
            separator,
            "{\"key\":",
            &key,
            ",\"",
            name,
            "\":",
            &value,
            "}",
        ]);
        Ok(())
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members: Members = members
        .into_iter()
        .map(|(key, value)| (key.into(), value))
        .collect();
    Value::Map(members.into())
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}
