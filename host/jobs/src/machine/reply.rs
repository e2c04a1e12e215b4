//! What the webhook's caller gets.

use keyway_model::Json;
use keyway_model::recipe::header_name_is_free;
use serde_json::Value;

use super::entry::{Entry, Record};

/// What the webhook's caller gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The status, from 200 to 599.
    pub status: u16,
    /// Names and values; the host adds what frames the message.
    pub headers: Vec<(String, String)>,
    /// The body, sent as JSON.
    pub body: Value,
}

impl Reply {
    /// The reply in the output of a `respond` step, or what is wrong with it.
    pub(super) fn of(output: &Json) -> Result<Self, String> {
        let output = output
            .to_value()
            .ok_or("the reply is nested too deeply; make it flatter")?;
        let status = output.get("status").unwrap_or(&Value::Null);
        let code = status.as_u64().and_then(|code| u16::try_from(code).ok());
        let code = code.filter(|code| (200..=599).contains(code));
        let code = code.ok_or_else(|| {
            let shown: String = status.to_string().chars().take(80).collect();
            format!("the status is `{shown}`; let it be a number from 200 to 599")
        })?;
        let headers = match output.get("headers") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(fields)) => fields
                .iter()
                .map(|(name, value)| header(name, value))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err("the headers are not a map; write `name: text`".to_owned()),
        };
        let body = output.get("body").cloned().unwrap_or(Value::Null);
        Ok(Self {
            status: code,
            headers,
            body,
        })
    }
}

/// The reply that a journal's entry holds.
pub(super) fn of_entry(entry: &Entry) -> Option<Reply> {
    match &entry.record {
        Record::Completed { output } if entry.kind == "respond" => Reply::of(output).ok(),
        Record::Completed { .. } | Record::Started { .. } | Record::Failed { .. } => None,
    }
}

fn header(name: &str, value: &Value) -> Result<(String, String), String> {
    let shown: String = name.chars().take(80).collect();
    if !header_name_is_free(name) {
        return Err(format!(
            "a reply cannot set the header `{shown}`; remove it"
        ));
    }
    let text = value
        .as_str()
        .filter(|text| text.chars().all(|c| matches!(c, ' '..='~' | '\t')));
    let text = text.ok_or_else(|| {
        format!("the header `{shown}` is not a text of printable ASCII characters; change it")
    })?;
    Ok((name.to_ascii_lowercase(), text.to_owned()))
}
