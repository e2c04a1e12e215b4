//! What an author implements: a table of actions, a table of poll triggers,
//! and a check of the connection.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Context, Failure};

/// A connector. Every method has a default, so that a connector without
/// triggers, for example, does not mention them.
pub trait Connector {
    /// The actions, under the names that the manifest gives them.
    #[must_use]
    fn actions() -> Actions {
        Actions::new()
    }

    /// The poll triggers, under the names that the manifest gives them.
    #[must_use]
    fn triggers() -> Triggers {
        Triggers::new()
    }

    /// Asks the upstream who the credential belongs to. The answer is a short
    /// text for people, for example an account's name; never a secret.
    ///
    /// # Errors
    /// What the upstream answers; the default says that there is no check.
    fn check(context: &Context) -> Result<String, Failure> {
        let _ = context;
        Err(Failure::Permanent(
            "this connector has no connection check".to_owned(),
        ))
    }
}

type Action = Box<dyn Fn(&Context, &str) -> Result<String, Failure>>;
type Poll = Box<dyn Fn(&Context, &str, Option<String>) -> Result<Batch, Failure>>;

/// The actions of a connector.
#[derive(Default)]
pub struct Actions(Vec<(&'static str, Action)>);

impl Actions {
    /// No action yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the action `name`. Its input is read from JSON and its output
    /// written as JSON, both of at most 1 MiB.
    #[must_use]
    pub fn action<I, O, F>(mut self, name: &'static str, run: F) -> Self
    where
        I: DeserializeOwned,
        O: Serialize,
        F: Fn(&Context, I) -> Result<O, Failure> + 'static,
    {
        self.0.push((
            name,
            Box::new(move |context, input| to_json(&run(context, from_json(input)?)?)),
        ));
        self
    }

    pub(crate) fn run(self, context: &Context, name: &str, input: &str) -> Result<String, Failure> {
        match self.0.iter().find(|(known, _)| *known == name) {
            Some((_, run)) => run(context, input),
            None => Err(unknown(
                "action",
                name,
                self.0.iter().map(|(known, _)| *known),
            )),
        }
    }
}

/// The poll triggers of a connector.
#[derive(Default)]
pub struct Triggers(Vec<(&'static str, Poll)>);

impl Triggers {
    /// No trigger yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the poll trigger `name`. The function gets the trigger's input and
    /// the cursor of the batch before, which is `None` at the first poll.
    #[must_use]
    pub fn poll<I, F>(mut self, name: &'static str, poll: F) -> Self
    where
        I: DeserializeOwned,
        F: Fn(&Context, I, Option<String>) -> Result<Batch, Failure> + 'static,
    {
        self.0.push((
            name,
            Box::new(move |context, input, cursor| poll(context, from_json(input)?, cursor)),
        ));
        self
    }

    pub(crate) fn run(
        self,
        context: &Context,
        name: &str,
        input: &str,
        cursor: Option<String>,
    ) -> Result<Batch, Failure> {
        match self.0.iter().find(|(known, _)| *known == name) {
            Some((_, poll)) => poll(context, input, cursor),
            None => Err(unknown(
                "trigger",
                name,
                self.0.iter().map(|(known, _)| *known),
            )),
        }
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

impl fmt::Debug for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// One new thing that a poll found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub(crate) deduplication_key: String,
    pub(crate) payload: String,
}

impl Event {
    /// An event whose key names the thing for ever: an event with a key that
    /// was seen before starts no job. Keys are 1 to 256 bytes.
    ///
    /// # Errors
    /// If the key is empty or too long, or the payload has no JSON form.
    pub fn new(
        deduplication_key: impl Into<String>,
        payload: &impl Serialize,
    ) -> Result<Self, Failure> {
        let deduplication_key = deduplication_key.into();
        if !(1..=256).contains(&deduplication_key.len()) {
            return Err(Failure::Permanent(format!(
                "a deduplication key has 1 to 256 bytes, this one has {}",
                deduplication_key.len()
            )));
        }
        Ok(Self {
            deduplication_key,
            payload: to_json(payload)?,
        })
    }
}

/// What one poll found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Oldest first; at most 1,000.
    pub events: Vec<Event>,
    /// Where the next poll goes on; opaque to the host; at most 64 KiB.
    pub cursor: Option<String>,
    /// Whether polling again at once would find more.
    pub more: bool,
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known: Vec<&str> = known.collect();
    Failure::InvalidInput(format!(
        "this connector has no {what} `{name}`; it has: {}. Does `connector.toml` name the same \
         {what}s as the code?",
        known.join(", ")
    ))
}

fn from_json<I: DeserializeOwned>(text: &str) -> Result<I, Failure> {
    // The host has validated the input against the schema, so the second pass,
    // which knows the path, runs only where schema and code differ.
    serde_json::from_str(text).map_err(|plain| {
        let reader = &mut serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, I>(reader) {
            Err(found) => Failure::InvalidInput(format!(
                "the input does not fit at `{}`: {}",
                found.path(),
                found.inner()
            )),
            Ok(_) => Failure::InvalidInput(format!("the input does not fit: {plain}")),
        }
    })
}

fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::Permanent(format!("the output has no JSON form: {error}")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[derive(serde::Deserialize)]
    struct Double {
        numbers: Vec<u32>,
    }

    fn double(_: &Context, input: Double) -> Result<Vec<u32>, Failure> {
        Ok(input.numbers.iter().map(|number| number * 2).collect())
    }

    fn run(name: &str, input: &str) -> Result<String, Failure> {
        Actions::new()
            .action("double", double)
            .run(&Context::new(), name, input)
    }

    #[test]
    fn an_action_reads_and_writes_json() {
        assert_eq!(run("double", r#"{"numbers":[1,2]}"#).unwrap(), "[2,4]");
    }

    #[test]
    fn an_input_that_does_not_fit_is_refused_with_its_path() {
        let failure = run("double", r#"{"numbers":[1,"x"]}"#).unwrap_err();
        let Failure::InvalidInput(text) = failure else {
            unreachable!("{failure:?}")
        };
        assert!(text.contains("`numbers[1]`"), "{text}");
        assert!(text.contains("expected u32"), "{text}");
    }

    #[test]
    fn an_unknown_action_is_refused_with_the_known_ones() {
        let failure = run("tripple", "{}").unwrap_err();
        assert!(failure.to_string().contains("it has: double"), "{failure}");
    }

    #[test]
    fn an_event_without_a_key_is_refused() {
        assert!(Event::new("", &1).is_err());
        assert!(Event::new("k".repeat(257), &1).is_err());
        assert_eq!(Event::new("k", &1).unwrap().payload, "1");
    }
}
