//! `connector.toml`: what a connector says about itself.
//!
//! The manifest is the first bound of every grant: nothing that is not in it
//! is reachable. So it is parsed strictly, once, into types; what is not
//! understood is refused with its line and a remedy, and never dropped.

use std::collections::BTreeMap;

use serde::Serialize;
use toml::de::{DeTable, DeValue};

use crate::limit::{DOCUMENT_BYTES_MAX, LimitSet};
use crate::name::Name;

mod action;
mod auth;
mod destination;
mod error;
mod identity;
pub mod imports;
mod limits;
pub mod page;
mod parameter;
mod pattern;
mod reader;
mod schema;
pub mod section;
mod sensitive;
pub mod suggest;
#[cfg(test)]
mod tests;

pub use action::{Action, Check, Trigger, TriggerKind, Use};
pub use auth::Auth;
pub use destination::{Destination, DestinationRole, Redirects};
pub use error::ManifestError;
pub use identity::{Capabilities, Capability, Identity};
pub use imports::imports_beyond;
pub use parameter::{Parameter, ParameterError, ParameterKind, ParameterValue, Parameters};
pub use pattern::{HostPattern, PortPattern, ResolveError};
pub use schema::Schema;
pub use semver::Version;
pub use sensitive::SensitivePaths;

/// A connector's manifest, every reference in it checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// Who the connector is.
    pub connector: Identity,
    /// What a connection fills in.
    pub parameters: BTreeMap<Name, Parameter>,
    /// The places that requests may go to.
    pub destinations: BTreeMap<Name, Destination>,
    /// Where the credential goes.
    pub auth: Auth,
    /// What the connector can do.
    pub actions: BTreeMap<Name, Action>,
    /// What starts recipes.
    pub triggers: BTreeMap<Name, Trigger>,
    /// How a connection is checked.
    pub check: Check,
    /// What it asks for in place of the platform's limits.
    pub limits: LimitSet,
}

impl Manifest {
    /// Reads the text of a `connector.toml`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its place and a remedy.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > DOCUMENT_BYTES_MAX {
            let message = format!(
                "the manifest is larger than `DOCUMENT_BYTES_MAX` ({DOCUMENT_BYTES_MAX} bytes)"
            );
            return Err(error::at(
                text,
                &(0..0),
                "",
                message,
                "shorten descriptions and schemas",
            ));
        }
        let table = DeTable::parse(text).map_err(|e| {
            let span = e.span().unwrap_or(0..0);
            error::at(
                text,
                &span,
                "",
                e.message(),
                "correct the TOML; toml.io shows its grammar",
            )
        })?;
        let document = DeValue::Table(table.into_inner());
        read(&reader::Node::root(text, &document))
    }

    /// Every table of requests: what it belongs to, in words, and its uses.
    pub fn all_uses(&self) -> impl Iterator<Item = (String, &[Use])> {
        let actions = self
            .actions
            .iter()
            .map(|(name, a)| (format!("actions.{name}"), &*a.uses));
        let triggers = self
            .triggers
            .iter()
            .map(|(name, t)| (format!("triggers.{name}"), &*t.uses));
        actions
            .chain(triggers)
            .chain([("check".to_owned(), &*self.check.uses)])
    }
}

fn read(root: &reader::Node<'_>) -> Result<Manifest, ManifestError> {
    let table = root.table(&[
        "connector",
        "parameters",
        "destinations",
        "auth",
        "actions",
        "triggers",
        "check",
        "limits",
    ])?;
    let connector = identity::read(&table.required("connector", "[connector]")?)?;
    let parameters = named(table.optional("parameters"), parameter::read)?;
    let destinations = named(table.optional("destinations"), |n| {
        destination::read(n, &parameters)
    })?;
    let auth = table
        .optional("auth")
        .map(|n| auth::read(&n, &destinations))
        .transpose()?;
    let schemas = schema::Tally::default();
    let context = action::Context {
        capabilities: &connector.capabilities,
        destinations: &destinations,
        schemas: &schemas,
    };
    Ok(Manifest {
        auth: auth.unwrap_or_default(),
        actions: named(table.optional("actions"), |n| action::read(n, &context))?,
        triggers: named(table.optional("triggers"), |n| {
            action::read_trigger(n, &context)
        })?,
        check: table
            .optional("check")
            .map(|n| action::read_check(&n, &context))
            .transpose()?
            .unwrap_or_default(),
        limits: table
            .optional("limits")
            .map(|n| limits::read(&n))
            .transpose()?
            .unwrap_or_default(),
        connector,
        parameters,
        destinations,
    })
}

/// A table of things by name; an absent one is empty.
fn named<T>(
    node: Option<reader::Node<'_>>,
    read: impl Fn(&reader::Node<'_>) -> Result<T, ManifestError>,
) -> Result<BTreeMap<Name, T>, ManifestError> {
    let entries = node.map_or(Ok(Vec::new()), |n| n.named())?;
    entries
        .into_iter()
        .map(|(name, node)| Ok((name, read(&node)?)))
        .collect()
}
