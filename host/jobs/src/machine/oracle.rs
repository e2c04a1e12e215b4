//! A tiny stand-in for the expression component, for tests of the machine
//! alone. It knows paths (`steps.a.b`), `==`, literals and `fail`, and keeps
//! the protocol; it says nothing about the component that the project ships.

use serde_json::{Map, Value, json};

/// Answers a check request: each text with one `${ }` becomes a tree.
pub(crate) fn check(request: &Value) -> String {
    let templates = request["templates"].as_array().unwrap();
    let trees = templates.iter().map(|template| {
        let value = &template["value"];
        let tree = match template["kind"].as_str() {
            Some("expression") => expression(value.as_str().unwrap()),
            _ => tree(value),
        };
        json!({ "id": template["id"], "tree": tree })
    });
    json!({ "trees": trees.collect::<Vec<_>>(), "errors": [] }).to_string()
}

/// A template as the component would encode it (`docs/expressions.md`).
fn tree(value: &Value) -> Value {
    match value {
        Value::String(text) => match text
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(source) => expression(source),
            None => value.clone(),
        },
        Value::Array(elements) => operation("list", elements.iter().map(tree)),
        Value::Object(fields) => operation(
            "map",
            fields
                .iter()
                .flat_map(|(key, value)| [json!(key), tree(value)]),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn operation(word: &str, parts: impl IntoIterator<Item = Value>) -> Value {
    [json!(word)].into_iter().chain(parts).collect()
}

fn expression(source: &str) -> Value {
    let source = source.trim();
    if let Some((left, right)) = source.split_once("==") {
        return json!(["==", expression(left), expression(right)]);
    }
    if let Ok(literal) = serde_json::from_str::<Value>(&source.replace('\'', "\"")) {
        return tree(&literal);
    }
    let mut names = source.split('.');
    let variable = json!(["v", names.next()]);
    names.fold(variable, |operand, name| json!([".", operand, name]))
}

fn evaluate(tree: &Value, variables: &Value) -> Result<Value, String> {
    let Some((word, parts)) = tree.as_array().and_then(|parts| parts.split_first()) else {
        return Ok(tree.clone());
    };
    let all = |parts: &[Value]| {
        let values = parts.iter().map(|part| evaluate(part, variables));
        values.collect::<Result<Vec<_>, _>>()
    };
    let member = |of: &Value, name: &Value| {
        let name = name.as_str().unwrap();
        of.get(name)
            .cloned()
            .ok_or_else(|| format!("there is no `{name}`"))
    };
    match word.as_str().unwrap() {
        "list" => all(parts).map(Value::Array),
        "map" => {
            let fields = parts.chunks(2).map(|pair| {
                let key = pair[0].as_str().unwrap().to_owned();
                Ok((key, evaluate(&pair[1], variables)?))
            });
            let fields: Result<Map<_, _>, String> = fields.collect();
            fields.map(Value::Object)
        }
        "==" => Ok(Value::from(
            evaluate(&parts[0], variables)? == evaluate(&parts[1], variables)?,
        )),
        "v" => member(variables, &parts[0]),
        "." => member(&evaluate(&parts[0], variables)?, &parts[1]),
        other => Err(format!("the stand-in does not know `{other}`")),
    }
}

/// Answers a run request.
pub(crate) fn run(request: &str) -> String {
    let mut request: Value = serde_json::from_str(request).unwrap();
    let mut done = Vec::new();
    let block = request["block"].take();
    let result = block_runs(&block, &mut request["variables"], &mut done);
    let error = result
        .err()
        .map(|(key, message)| json!({ "key": key, "message": message }));
    json!({ "done": done, "error": error }).to_string()
}

/// Whether the block ran to its end.
fn block_runs(
    block: &Value,
    variables: &mut Value,
    done: &mut Vec<Value>,
) -> Result<bool, (Value, String)> {
    for node in block.as_array().unwrap() {
        let value =
            |name: &str| evaluate(&node[name], variables).map_err(|e| (node["key"].clone(), e));
        let output = match node["do"].as_str().unwrap() {
            "transform" => value("value")?,
            "action" => {
                done.push(json!({ "key": node["key"], "input": value("input")? }));
                return Ok(false);
            }
            "foreach" => {
                done.push(json!({ "key": node["key"], "items": value("items")? }));
                return Ok(false);
            }
            "if" => json!({ "branch": if value("condition")? == true { "then" } else { "else" } }),
            "respond" => {
                let headers = if node["headers"].is_null() {
                    Value::Null
                } else {
                    value("headers")?
                };
                json!({ "status": value("status")?, "headers": headers, "body": value("body")? })
            }
            _ => {
                let output = json!({ "outcome": node["outcome"], "reason": value("reason")? });
                done.push(json!({ "key": node["key"], "output": output }));
                return Ok(false);
            }
        };
        done.push(json!({ "key": node["key"], "output": output }));
        variables["steps"][node["id"].as_str().unwrap()] = output.clone();
        if node["do"] == "if"
            && !block_runs(&node[output["branch"].as_str().unwrap()], variables, done)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}
