//! The capability page: on one page, what a connector can do, before it runs.
//!
//! Made from the manifest and from the component's imports alone; approval
//! shows it, and binds to its digest.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

use super::{Auth, Capability, Manifest, Redirects, Schema, Use, Version};
use crate::call::EffectClass;
use crate::credential::CredentialSlot;
use crate::id::Digest;
use crate::limit::LimitSet;
use crate::name::Name;
use crate::net::{Method, PathTemplate};

mod diff;
mod render;

pub use diff::{Change, Direction, diff};

/// What a connector can do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CapabilityPage {
    /// The connector's name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// The artifact that the page is about.
    pub digest: Digest,
    /// What it may import.
    pub capabilities: Vec<Capability>,
    /// What it does import.
    pub imports: Vec<String>,
    /// Where the credential goes; `None` if it uses none.
    pub credential: Option<String>,
    /// What a connection fills in.
    pub parameters: Vec<ParameterLine>,
    /// Its actions, triggers and check.
    pub abilities: Vec<Ability>,
    /// What it asks for in place of the platform's limits.
    pub limits: LimitSet,
}

/// One parameter of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParameterLine {
    /// The parameter.
    pub name: Name,
    /// What it may hold.
    pub kind: super::ParameterKind,
    /// What it means.
    pub title: String,
    /// What it is unless the connection says otherwise.
    pub default: Option<String>,
}

/// One action or trigger, or the check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ability {
    /// For example `action create`.
    pub what: String,
    /// Its title.
    pub title: String,
    /// What may be repeated after a crash.
    pub effect: EffectClass,
    /// The requests that it may send.
    pub requests: Vec<Requests>,
    /// The top-level fields that it takes.
    pub takes: Vec<String>,
    /// Fields of the input that are masked for people.
    pub masked_input: Vec<String>,
    /// Fields of the output that are masked for people.
    pub masked_output: Vec<String>,
}

/// Requests to one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// The destination's name in the manifest.
    pub destination: Name,
    /// For example `https://{shop}.example.com`.
    pub place: String,
    /// With which methods.
    pub methods: Vec<Method>,
    /// To which paths.
    pub paths: Vec<PathTemplate>,
    /// Whether the credential goes along.
    pub with_credential: bool,
    /// What happens to redirects from there.
    pub redirects: Redirects,
}

impl CapabilityPage {
    /// The page of the artifact with this digest, manifest and imports.
    pub fn of(manifest: &Manifest, digest: Digest, imports: Vec<String>) -> Self {
        let who = &manifest.connector;
        Self {
            name: who.name.clone(),
            version: who.version.clone(),
            title: who.title.clone(),
            description: who.description.clone(),
            digest,
            capabilities: who.capabilities.iter().copied().collect(),
            imports,
            credential: credential(&manifest.auth),
            parameters: parameters(manifest),
            abilities: abilities(manifest),
            limits: manifest.limits.clone(),
        }
    }

    /// The page as text of at most `width` columns, as far as words allow.
    pub fn render(&self, width: usize) -> String {
        render::render(self, width)
    }
}

fn credential(auth: &Auth) -> Option<String> {
    let place = match auth.slot.as_ref()? {
        CredentialSlot::Bearer => "as bearer token in header `authorization`".to_owned(),
        CredentialSlot::Basic => "as user name and password in header `authorization`".to_owned(),
        CredentialSlot::Header(name) => format!("in header `{name}`"),
        CredentialSlot::Query(name) => format!("in query parameter `{name}`"),
        CredentialSlot::ClientCertificate => "as client certificate of TLS".to_owned(),
    };
    Some(format!(
        "{place}, to {}; the connector never sees it",
        list(&auth.destinations)
    ))
}

fn parameters(manifest: &Manifest) -> Vec<ParameterLine> {
    let line = |(name, parameter): (&Name, &super::Parameter)| ParameterLine {
        name: name.clone(),
        kind: parameter.kind,
        title: parameter.title.clone(),
        default: parameter.default.as_ref().map(ToString::to_string),
    };
    manifest.parameters.iter().map(line).collect()
}

fn abilities(manifest: &Manifest) -> Vec<Ability> {
    let actions = manifest.actions.iter().map(|(name, action)| Ability {
        what: format!("action {name}"),
        title: action.title.clone(),
        effect: action.effect,
        requests: requests(manifest, &action.uses),
        takes: fields(&action.input),
        masked_input: masked(Some(&action.input)),
        masked_output: masked(action.output.as_ref()),
    });
    let triggers = manifest.triggers.iter().map(|(name, trigger)| Ability {
        what: format!("trigger {name}"),
        title: trigger.title.clone(),
        effect: EffectClass::Read,
        requests: requests(manifest, &trigger.uses),
        takes: fields(&trigger.input),
        masked_input: masked(Some(&trigger.input)),
        masked_output: masked(trigger.output.as_ref()),
    });
    let check = Some(&manifest.check)
        .filter(|check| !check.uses.is_empty())
        .map(|check| Ability {
            what: "check".to_owned(),
            title: "Asks whose credential it is".to_owned(),
            effect: EffectClass::Read,
            requests: requests(manifest, &check.uses),
            takes: Vec::new(),
            masked_input: Vec::new(),
            masked_output: Vec::new(),
        });
    actions.chain(triggers).chain(check).collect()
}

fn requests(manifest: &Manifest, uses: &[Use]) -> Vec<Requests> {
    let one = |used: &Use| Requests {
        destination: used.destination.clone(),
        place: manifest
            .destinations
            .get(&used.destination)
            .map(ToString::to_string)
            .unwrap_or_default(),
        methods: used.methods.clone(),
        paths: used.paths.clone(),
        with_credential: manifest.auth.slot_for(&used.destination).is_some(),
        redirects: manifest
            .destinations
            .get(&used.destination)
            .map(|destination| destination.redirects)
            .unwrap_or_default(),
    };
    uses.iter().map(one).collect()
}

/// The top-level fields of an input, the required ones first and marked `!`.
fn fields(schema: &Schema) -> Vec<String> {
    let required = |name: &str| {
        let names = schema.value.get("required").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|n| n.as_str() == Some(name)))
    };
    let properties = schema.value.get("properties").and_then(Value::as_object);
    let (mut first, rest): (Vec<_>, Vec<_>) = properties
        .into_iter()
        .flat_map(|fields| fields.keys())
        .partition(|name| required(name));
    first.extend(rest);
    first
        .into_iter()
        .map(|name| {
            if required(name) {
                format!("{name}!")
            } else {
                name.clone()
            }
        })
        .collect()
}

fn masked(schema: Option<&Schema>) -> Vec<String> {
    let whole = |pattern: String| {
        if pattern.is_empty() {
            "everything".to_owned()
        } else {
            pattern
        }
    };
    schema
        .into_iter()
        .flat_map(|schema| schema.sensitive.patterns())
        .map(whole)
        .collect()
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
