//! The table `[auth]`: where the credential goes, and to which destinations.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::destination::Destination;
use super::error::ManifestError;
use super::reader::{Node, Table, cut};
use super::suggest;
use crate::credential::CredentialSlot;
use crate::name::Name;

/// How requests are authenticated. The default is not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Auth {
    /// The credential's place in a request; `None` if there is no credential.
    pub slot: Option<CredentialSlot>,
    /// The destinations that receive it.
    pub destinations: BTreeSet<Name>,
}

impl Auth {
    /// The credential's place in requests to `destination`, if it goes there.
    pub fn slot_for(&self, destination: &Name) -> Option<&CredentialSlot> {
        self.slot
            .as_ref()
            .filter(|_| self.destinations.contains(destination))
    }
}

#[derive(Clone, Copy)]
enum AuthScheme {
    None,
    Bearer,
    Basic,
    ApiKey,
    ClientCertificate,
}

const SCHEMES: [(&str, AuthScheme); 5] = [
    ("none", AuthScheme::None),
    ("bearer", AuthScheme::Bearer),
    ("basic", AuthScheme::Basic),
    ("api-key", AuthScheme::ApiKey),
    ("client-certificate", AuthScheme::ClientCertificate),
];

pub(super) fn read(
    node: &Node<'_>,
    declared: &BTreeMap<Name, Destination>,
) -> Result<Auth, ManifestError> {
    let table = node.table(&["scheme", "header", "query", "destinations"])?;
    let scheme = table
        .required("scheme", "scheme = \"bearer\"")?
        .choice(&SCHEMES)?;
    if !matches!(scheme, AuthScheme::ApiKey) {
        refuse(
            &table,
            &["header", "query"],
            "only scheme \"api-key\" has one",
        )?;
    }
    let slot = match scheme {
        AuthScheme::None => {
            refuse(
                &table,
                &["destinations"],
                "scheme \"none\" sends no credential",
            )?;
            return Ok(Auth::default());
        }
        AuthScheme::Bearer => CredentialSlot::Bearer,
        AuthScheme::Basic => CredentialSlot::Basic,
        AuthScheme::ApiKey => read_key_slot(&table)?,
        AuthScheme::ClientCertificate => CredentialSlot::ClientCertificate,
    };
    let destinations = table
        .required("destinations", "destinations = [\"api\"]")?
        .set(|entry| refer(entry, declared))?
        .into_iter()
        .collect();
    Ok(Auth {
        slot: Some(slot),
        destinations,
    })
}

fn refuse(table: &Table<'_>, fields: &[&str], why: &str) -> Result<(), ManifestError> {
    match fields.iter().find_map(|field| table.optional(field)) {
        Some(node) => Err(node.error_at_key(
            format!("`{}` has no meaning here: {why}", node.path),
            "remove it",
        )),
        None => Ok(()),
    }
}

fn read_key_slot(table: &Table<'_>) -> Result<CredentialSlot, ManifestError> {
    match (table.optional("header"), table.optional("query")) {
        (Some(header), None) => Ok(CredentialSlot::Header(header_name(&header)?)),
        (None, Some(query)) => {
            let name = query.text()?;
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
            if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
                return Ok(CredentialSlot::Query(name.to_owned()));
            }
            Err(query.error(
                "not the name of a query parameter",
                "write 1 to 64 letters, digits, `-`, `_`, `.` or `~`",
            ))
        }
        (Some(_), Some(query)) => Err(query.error_at_key(
            "an API key goes to `header` or to `query`, not to both",
            "remove one of the two",
        )),
        (None, None) => Err(table.missing("header", "header = \"x-api-key\"` or `query = \"key\"")),
    }
}

/// The name of a header that a credential or an idempotency key may occupy,
/// in lower case. Headers that steer the connection are refused.
pub(super) fn header_name(node: &Node<'_>) -> Result<String, ManifestError> {
    const STEERING: [&str; 14] = [
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "proxy-authorization",
        "proxy-connection",
        "accept-encoding",
        "via",
    ];
    let name = node.text()?.to_ascii_lowercase();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !(1..=64).contains(&name.len()) || !name.bytes().all(token) {
        return Err(node.error(
            format!("`{}` is not a header name", cut(&name)),
            "write a name such as \"x-api-key\"",
        ));
    }
    if STEERING.contains(&name.as_str()) {
        return Err(node.error(
            format!("header `{name}` belongs to the host"),
            "write a header of the upstream's API",
        ));
    }
    Ok(name)
}

/// The name of a declared destination.
pub(super) fn refer(
    node: &Node<'_>,
    declared: &BTreeMap<Name, Destination>,
) -> Result<Name, ManifestError> {
    let text = node.text()?;
    declared
        .keys()
        .find(|name| name.as_str() == text)
        .cloned()
        .ok_or_else(|| {
            let remedy = match declared.is_empty() {
                true => format!("declare it: [destinations.{}]", cut(text)),
                false => suggest::remedy(text, declared.keys().map(Name::as_str)),
            };
            node.error(format!("unknown destination `{}`", cut(text)), remedy)
        })
}
