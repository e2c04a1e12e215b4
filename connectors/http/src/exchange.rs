//! One request and its reply.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyway_sdk::{Context, Failure, Method, Reply, Request, Value, json, segment};
use serde::Deserialize;

/// The parts that every action's input has.
#[derive(Deserialize)]
pub(crate) struct Target {
    path: String,
    /// Values of the `{name}` parts of the path.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    query: BTreeMap<String, String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(crate) struct Exchange {
    method: Option<String>,
    #[serde(flatten)]
    target: Target,
    body: Option<Body>,
    /// Statuses that are no failure beside 2xx.
    #[serde(default)]
    expect: Vec<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum BodyKind {
    Json(Value),
    Form(BTreeMap<String, String>),
    Text(String),
    Base64(String),
}

#[derive(Deserialize)]
struct Body {
    #[serde(flatten)]
    kind: BodyKind,
    content_type: Option<String>,
}

pub(crate) fn get(context: &Context, input: Exchange) -> Result<Value, Failure> {
    match input.method.as_deref() {
        None | Some("GET" | "HEAD") => exchange(context, input, "GET"),
        Some(other) => Err(not_here(other, "get", "GET or HEAD")),
    }
}

pub(crate) fn send(context: &Context, input: Exchange) -> Result<Value, Failure> {
    match input.method.as_deref() {
        None | Some("POST" | "PUT" | "PATCH" | "DELETE") => exchange(context, input, "POST"),
        Some(other) => Err(not_here(other, "send", "POST, PUT, PATCH or DELETE")),
    }
}

fn not_here(method: &str, action: &str, allowed: &str) -> Failure {
    Failure::InvalidInput(format!("`{action}` sends {allowed}, not {method}"))
}

fn exchange(context: &Context, input: Exchange, default: &str) -> Result<Value, Failure> {
    let method = Method::from(input.method.as_deref().unwrap_or(default));
    let url = format!("{}{}", context.origin()?, path_of(&input.target)?);
    let request = with_target(context.http().request(method, url), &input.target);
    let request = match input.body {
        Some(body) => with_body(request, body)?,
        None => request,
    };
    let reply = request.send()?;
    let expected = input.expect.contains(&reply.status());
    shown(&if expected {
        reply
    } else {
        reply.error_for_status()?
    })
}

/// The path with its `{name}` parts filled in, each as one segment.
pub(crate) fn path_of(target: &Target) -> Result<String, Failure> {
    if !target.path.starts_with('/') || target.path.contains(['?', '#']) {
        return Err(Failure::InvalidInput(
            "`path` starts with `/` and has no `?` or `#`; use `query` for parameters".to_owned(),
        ));
    }
    let mut path = String::new();
    let mut rest = target.path.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let (name, later) = after.split_once('}').ok_or_else(|| {
            Failure::InvalidInput("a `{` in `path` is never closed by `}`".to_owned())
        })?;
        let value = target.parameters.get(name).ok_or_else(|| {
            Failure::InvalidInput(format!(
                "`parameters` has no value for `{{{name}}}` of `path`"
            ))
        })?;
        path.push_str(before);
        path.push_str(&segment(value)?);
        rest = later;
    }
    path.push_str(rest);
    Ok(path)
}

/// Adds the query and the headers.
pub(crate) fn with_target(mut request: Request, target: &Target) -> Request {
    for (name, value) in &target.query {
        request = request.query(name, value);
    }
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    request
}

fn with_body(request: Request, body: Body) -> Result<Request, Failure> {
    let content_type = |default| body.content_type.as_deref().unwrap_or(default);
    Ok(match &body.kind {
        BodyKind::Json(value) => request.json(value),
        BodyKind::Form(fields) => request.form(
            fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        ),
        BodyKind::Text(text) => request.body(
            content_type("text/plain; charset=utf-8"),
            text.clone().into_bytes(),
        ),
        BodyKind::Base64(text) => {
            let bytes = STANDARD.decode(text).map_err(|error| {
                Failure::InvalidInput(format!("`body.base64` is not base64: {error}"))
            })?;
            request.body(content_type("application/octet-stream"), bytes)
        }
    })
}

fn shown(reply: &Reply) -> Result<Value, Failure> {
    let headers: BTreeMap<&str, String> = reply
        .headers()
        .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
        .collect();
    let kind = reply.header("content-type").unwrap_or_default();
    let body = if reply.bytes().is_empty() {
        json!({})
    } else if kind.contains("json") {
        json!({ "json": reply.json::<Value>()? })
    } else {
        match std::str::from_utf8(reply.bytes()) {
            Ok(text) => json!({ "text": text }),
            Err(_) => json!({ "base64": STANDARD.encode(reply.bytes()) }),
        }
    };
    Ok(json!({ "status": reply.status(), "headers": headers, "body": body }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn target(value: Value) -> Target {
        keyway_sdk::serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_path_parameter_stays_one_segment() {
        let target = target(json!({"path": "/a/{id}/b", "parameters": {"id": "x/../y?z"}}));
        assert_eq!(path_of(&target).unwrap(), "/a/x%2F..%2Fy%3Fz/b");
    }

    #[test]
    fn a_path_that_cannot_be_filled_in_is_refused() {
        for path in ["/a/{id}", "/a/{id", "a", "/a?b=1"] {
            assert!(path_of(&target(json!({ "path": path }))).is_err(), "{path}");
        }
        let up = target(json!({"path": "/a/{id}", "parameters": {"id": ".."}}));
        assert!(path_of(&up).is_err());
    }
}
