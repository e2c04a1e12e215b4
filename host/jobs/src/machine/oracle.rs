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

fn tree(value: &Value) -> Value {
    match value {
        Value::String(text) => match text
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(source) => expression(source),
            None => json!({ "constant": text }),
        },
        Value::Array(elements) => json!({ "list": elements.iter().map(tree).collect::<Vec<_>>() }),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), tree(value)));
            json!({ "map": fields.collect::<Map<_, _>>() })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => json!({ "constant": value }),
    }
}

fn expression(source: &str) -> Value {
    let source = source.trim();
    if let Some((left, right)) = source.split_once("==") {
        return json!({ "equal": [expression(left), expression(right)] });
    }
    if let Ok(literal) = serde_json::from_str::<Value>(&source.replace('\'', "\"")) {
        return json!({ "constant": literal });
    }
    json!({ "path": source })
}

fn evaluate(tree: &Value, variables: &Value) -> Result<Value, String> {
    let (kind, part) = tree.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "constant" => Ok(part.clone()),
        "list" => part
            .as_array()
            .unwrap()
            .iter()
            .map(|t| evaluate(t, variables))
            .collect(),
        "map" => {
            let fields = part.as_object().unwrap().iter();
            let fields = fields.map(|(key, tree)| Ok((key.clone(), evaluate(tree, variables)?)));
            fields
                .collect::<Result<Map<_, _>, String>>()
                .map(Value::Object)
        }
        "equal" => Ok(Value::from(
            evaluate(&part[0], variables)? == evaluate(&part[1], variables)?,
        )),
        _ => {
            let pointer = format!("/{}", part.as_str().unwrap().replace('.', "/"));
            let found = variables.pointer(&pointer).cloned();
            found.ok_or_else(|| format!("there is no `{}`", part.as_str().unwrap()))
        }
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
