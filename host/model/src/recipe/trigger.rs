//! What starts a job.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{Errors, Place};
use super::fields::Fields;
use super::pointer::Pointer;
use super::template::Template;
use super::tree::{Content, Located};
use super::words;
use crate::limit;
use crate::name::Name;

/// What starts a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A request to a path that nobody can guess.
    Webhook(Webhook),
    /// A connector that looks for new things.
    Poll(Poll),
}

/// A request to a path that nobody can guess.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// The largest body that is accepted, in bytes.
    pub body_bytes_max: usize,
    /// Where in the body the values are that must not show.
    pub sensitive: Vec<Pointer>,
}

/// A connector that looks for new things.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Poll {
    /// The connector.
    pub connector: Name,
    /// The connector's trigger.
    pub trigger: Name,
    /// The connection to poll through.
    pub connection: Name,
    /// The time between two polls.
    pub every: Duration,
    /// The trigger's input; constant.
    pub input: Value,
    /// Where the poll stands in the recipe.
    pub place: Place,
}

pub(super) fn read(node: &Located, errors: &mut Errors) -> Option<Trigger> {
    let fields = Fields::of(node, "trigger", "the trigger", errors)?;
    fields.allow(&["webhook", "poll"], errors);
    match (fields.optional("webhook"), fields.optional("poll")) {
        (Some(webhook), None) => read_webhook(webhook, errors).map(Trigger::Webhook),
        (None, Some(poll)) => read_poll(poll, errors).map(Trigger::Poll),
        (found, _) => {
            let count = if found.is_some() {
                "two kinds"
            } else {
                "no kind"
            };
            let remedy = "write either `webhook: {}` or `poll: { … }`";
            errors.add(
                node.place,
                "trigger",
                format!("the trigger has {count}"),
                remedy,
            );
            None
        }
    }
}

fn read_webhook(node: &Located, errors: &mut Errors) -> Option<Webhook> {
    let fields = Fields::of(node, "trigger.webhook", "the webhook", errors)?;
    fields.allow(&["body_bytes_max", "sensitive"], errors);
    let most = limit::WEBHOOK_BODY_BYTES_MAX;
    let body_bytes_max = match fields.optional("body_bytes_max") {
        Some(node) => words::whole(node, "trigger.webhook.body_bytes_max", (1, most), errors),
        None => Some(most),
    };
    let sensitive = match fields.optional("sensitive") {
        Some(node) => read_sensitive(node, errors),
        None => Some(Vec::new()),
    };
    Some(Webhook {
        body_bytes_max: body_bytes_max?,
        sensitive: sensitive?,
    })
}

fn read_sensitive(node: &Located, errors: &mut Errors) -> Option<Vec<Pointer>> {
    let path = "trigger.webhook.sensitive";
    let Content::List(elements) = &node.content else {
        let message = format!("`{path}` is {}", node.type_word());
        errors.add(
            node.place,
            path,
            message,
            "write a list: `sensitive: [ \"/customer/email\" ]`",
        );
        return None;
    };
    let pointers = elements.iter().enumerate().map(|(index, element)| {
        let path = format!("{path}[{index}]");
        let text = words::text(element, &path, errors)?;
        let pointer = text.parse::<Pointer>();
        if let Err(error) = &pointer {
            let error = error.to_string();
            let (message, remedy) = error.split_once(": ").unwrap_or((&error, "change it"));
            errors.add(element.place, &path, message, remedy);
        }
        pointer.ok()
    });
    pointers.collect::<Vec<_>>().into_iter().collect()
}

fn read_poll(node: &Located, errors: &mut Errors) -> Option<Poll> {
    let path = "trigger.poll";
    let fields = Fields::of(node, path, "the poll", errors)?;
    fields.allow(
        &["connector", "trigger", "connection", "every", "input"],
        errors,
    );
    let mut name = |field: &str, example: &str| {
        let node = fields.required(field, example, errors)?;
        words::name(node, &format!("{path}.{field}"), errors)
    };
    let connector = name("connector", "connector: orders");
    let trigger = name("trigger", "trigger: new_orders");
    let connection = name("connection", "connection: shop");
    let every = fields.required("every", "every: 60s", errors);
    let every = every.and_then(|node| words::duration(node, "trigger.poll.every", errors));
    let input = fields.optional("input");
    if let Some(input) = input
        && !Template::of(input).is_constant()
    {
        let remedy = "write the value itself; a poll has nothing to compute it from";
        errors.add(
            input.place,
            "trigger.poll.input",
            "a poll's input holds `${ }`",
            remedy,
        );
    }
    Some(Poll {
        connector: connector?,
        trigger: trigger?,
        connection: connection?,
        every: every?,
        input: input.map_or_else(|| Value::Object(serde_json::Map::new()), Located::to_value),
        place: node.place,
    })
}
