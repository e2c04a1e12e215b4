//! Actions, triggers and the check of a connection: what each may send where.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::auth::{header_name, refer};
use super::destination::Destination;
use super::error::ManifestError;
use super::identity::Capability;
use super::reader::{Node, Table};
use super::schema::{self, Schema, Tally};
use crate::call::EffectClass;
use crate::limit::{USE_PATHS_MAX, USES_MAX};
use crate::name::Name;
use crate::net::{Method, PathTemplate};

/// Requests to one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Use {
    /// Where to.
    pub destination: Name,
    /// With which methods.
    pub methods: Vec<Method>,
    /// To which paths.
    pub paths: Vec<PathTemplate>,
}

/// Something that the connector can do: `[actions.NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Action {
    /// One line for people.
    pub title: String,
    /// What may be repeated after a crash.
    pub effect: EffectClass,
    /// The header that carries the idempotency key, lower-case; there exactly
    /// if the effect is `keyed`.
    pub idempotency_header: Option<String>,
    /// The requests that it may send.
    pub uses: Vec<Use>,
    /// What it takes; an empty object unless declared.
    pub input: Schema,
    /// What it answers; unchecked unless declared.
    pub output: Option<Schema>,
}

/// How a trigger learns of new things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggerKind {
    /// It asks from time to time.
    Poll,
}

/// Something that starts recipes: `[triggers.NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trigger {
    /// One line for people.
    pub title: String,
    /// How it learns of new things.
    pub kind: TriggerKind,
    /// The requests that it may send.
    pub uses: Vec<Use>,
    /// What a recipe sets; an empty object unless declared.
    pub input: Schema,
    /// One event; unchecked unless declared.
    pub output: Option<Schema>,
}

/// How a connection is checked: `[check]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The requests that the check may send.
    pub uses: Vec<Use>,
}

/// What the rest of the manifest declares.
pub(super) struct Context<'m> {
    pub(super) capabilities: &'m BTreeSet<Capability>,
    pub(super) destinations: &'m BTreeMap<Name, Destination>,
    /// What its schemas have come to so far.
    pub(super) schemas: &'m Tally,
}

const EFFECTS: [(&str, EffectClass); 4] = [
    ("read", EffectClass::Read),
    ("idempotent", EffectClass::Idempotent),
    ("keyed", EffectClass::Keyed),
    ("once", EffectClass::Once),
];

pub(super) fn read(node: &Node<'_>, context: &Context<'_>) -> Result<Action, ManifestError> {
    let table = node.table(&[
        "title",
        "effect",
        "idempotency_header",
        "uses",
        "input",
        "output",
    ])?;
    let title = table
        .required("title", "title = \"Create an order\"")?
        .words(80)?;
    let effect = table
        .optional("effect")
        .map(|n| n.choice(&EFFECTS))
        .transpose()?
        .unwrap_or_default();
    Ok(Action {
        title,
        effect,
        idempotency_header: read_idempotency_header(&table, effect)?,
        uses: read_uses(&table, context)?,
        input: table.optional("input").map_or_else(
            || Ok(Schema::nothing()),
            |n| schema::read(&n, context.schemas),
        )?,
        output: table
            .optional("output")
            .map(|n| schema::read(&n, context.schemas))
            .transpose()?,
    })
}

pub(super) fn read_trigger(
    node: &Node<'_>,
    context: &Context<'_>,
) -> Result<Trigger, ManifestError> {
    let table = node.table(&["title", "kind", "uses", "input", "output"])?;
    Ok(Trigger {
        title: table
            .required("title", "title = \"New orders\"")?
            .words(80)?,
        kind: table
            .required("kind", "kind = \"poll\"")?
            .choice(&[("poll", TriggerKind::Poll)])?,
        uses: read_uses(&table, context)?,
        input: table.optional("input").map_or_else(
            || Ok(Schema::nothing()),
            |n| schema::read(&n, context.schemas),
        )?,
        output: table
            .optional("output")
            .map(|n| schema::read(&n, context.schemas))
            .transpose()?,
    })
}

pub(super) fn read_check(node: &Node<'_>, context: &Context<'_>) -> Result<Check, ManifestError> {
    Ok(Check {
        uses: read_uses(&node.table(&["uses"])?, context)?,
    })
}

fn read_idempotency_header(
    table: &Table<'_>,
    effect: EffectClass,
) -> Result<Option<String>, ManifestError> {
    match (effect, table.optional("idempotency_header")) {
        (EffectClass::Keyed, Some(node)) => header_name(&node).map(Some),
        (EffectClass::Keyed, None) => Err(table.missing(
            "idempotency_header",
            "idempotency_header = \"idempotency-key\"",
        )),
        (_, None) => Ok(None),
        (other, Some(node)) => Err(node.error_at_key(
            format!("an action of effect `{other}` sends no idempotency key"),
            "write effect = \"keyed\", or remove `idempotency_header`",
        )),
    }
}

fn read_uses(table: &Table<'_>, context: &Context<'_>) -> Result<Vec<Use>, ManifestError> {
    let Some(node) = table.optional("uses") else {
        return Ok(Vec::new());
    };
    if !context.capabilities.contains(&Capability::Http) {
        return Err(node.error_at_key(
            format!("`{}` needs the capability `http`", node.path),
            "add \"http\" to `capabilities` in [connector]",
        ));
    }
    node.at_most(
        ("USES_MAX", USES_MAX),
        "put paths of one destination into one entry",
    )?;
    node.list()?
        .map(|entry| read_use(&entry, context))
        .collect()
}

fn read_use(node: &Node<'_>, context: &Context<'_>) -> Result<Use, ManifestError> {
    let table = node.table(&["destination", "methods", "paths"])?;
    let example = "{ destination = \"api\", methods = [\"GET\"], paths = [\"/orders/{id}\"] }";
    let paths = table.required("paths", example)?;
    paths.at_most(
        ("USE_PATHS_MAX", USE_PATHS_MAX),
        "write one template for several paths, such as \"/orders/{id}\" or \"/files/**\"",
    )?;
    Ok(Use {
        destination: refer(
            &table.required("destination", example)?,
            context.destinations,
        )?,
        methods: table
            .required("methods", example)?
            .set(|entry| entry.parse::<Method>("write the method in capital letters"))?,
        paths: paths.set(|entry| {
            entry.parse::<PathTemplate>("write a path such as \"/orders/{id}\" or \"/files/**\"")
        })?,
    })
}
