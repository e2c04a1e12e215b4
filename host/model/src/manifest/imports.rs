//! The checked-in table of imports, `wit/imports.toml`, and the comparison of
//! a component's imports with what its manifest declares.
//!
//! The runtime links nothing that is not in the table, the gate refuses what
//! is, but was not declared, and the tests hold both against the WIT.

use std::sync::LazyLock;

use serde::Serialize;
use toml::de::{DeTable, DeValue};

use super::error::{ManifestError, at};
use super::identity::Capability;
use super::reader::Node;
use super::{Manifest, suggest};

const TEXT: &str = include_str!("../../../../wit/imports.toml");

static TABLE: LazyLock<Vec<Import>> =
    LazyLock::new(|| parse(TEXT).expect("the table is part of the source, and a test parses it"));

/// What happens when a guest calls an import (promise P3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportClass {
    /// Reaches outside or changes state: decided, its intent durable, then
    /// done, then closed.
    Outward,
    /// Decided per invocation, limited, counted in the invocation's record.
    Inward,
    /// Answered inside the worker, limited.
    Local,
}

/// One line of the table: an interface, or one function of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// `package/interface@version`; a version of two numbers covers every
    /// patch release.
    pub interface: String,
    /// The function, if the line is about one.
    pub function: Option<String>,
    /// What happens when it is called.
    pub class: ImportClass,
    /// What must be declared; `None` for the class `local`.
    pub capability: Option<Capability>,
    /// For the class `local`: what it gives.
    pub note: Option<String>,
}

/// Every import that a guest can be linked with.
pub fn table() -> &'static [Import] {
    &TABLE
}

/// The imports that go beyond the manifest, each as a sentence with its
/// remedy. `imports` are names as a component holds them, for example
/// `wasi:http/outgoing-handler@0.2.6`.
pub fn imports_beyond(manifest: &Manifest, imports: &[String]) -> Vec<String> {
    let declared = &manifest.connector.capabilities;
    let judge = |import: &String| {
        let lines: Vec<&Import> = table().iter().filter(|line| line.covers(import)).collect();
        if lines.is_empty() {
            return Some(unknown(import));
        }
        let missing = lines
            .iter()
            .filter_map(|line| line.capability)
            .find(|c| !declared.contains(c))?;
        Some(format!(
            "imports `{import}` without declaring it: add \"{missing}\" to `capabilities` in [connector] of connector.toml, or do not use it"
        ))
    };
    imports.iter().filter_map(judge).collect()
}

impl Import {
    /// Whether a component's import of this name is the interface of this line.
    pub fn covers(&self, import: &str) -> bool {
        match import.strip_prefix(self.interface.as_str()) {
            Some("") => true,
            Some(patch) => {
                let two_numbers = self
                    .interface
                    .rsplit('@')
                    .next()
                    .is_some_and(|v| v.matches('.').count() == 1);
                let patch = patch.strip_prefix('.').unwrap_or_default();
                two_numbers && !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit())
            }
            None => false,
        }
    }
}

fn unknown(import: &str) -> String {
    let why = match import.split(['/', '@']).next() {
        Some("wasi:sockets") => "there are no sockets: send requests through wasi:http",
        Some("wasi:filesystem") => {
            "there are no files of the machine: keep small values in keyway:host/state, and what one call needs in keyway:host/scratch"
        }
        Some("wasi:http" | "wasi:cli" | "wasi:io" | "wasi:clocks" | "wasi:random") => {
            "this interface, or this version of it, is not offered: build for wasm32-wasip2 with WASI 0.2"
        }
        Some("keyway:host") => {
            "this interface, or this version of it, is not offered: build with the SDK of this release"
        }
        _ => "Keyway offers no such interface: remove the library that imports it",
    };
    format!("imports `{import}`: {why}")
}

fn parse(text: &str) -> Result<Vec<Import>, ManifestError> {
    let table = DeTable::parse(text).map_err(|e| {
        at(
            text,
            &e.span().unwrap_or(0..0),
            "",
            e.message(),
            "correct wit/imports.toml",
        )
    })?;
    let document = DeValue::Table(table.into_inner());
    let root = Node::root(text, &document).table(&["outward", "inward", "local"])?;
    let mut lines = Vec::new();
    for (section, class) in [
        ("outward", ImportClass::Outward),
        ("inward", ImportClass::Inward),
        ("local", ImportClass::Local),
    ] {
        for (name, node) in root.required(section, &format!("[{section}]"))?.fields()? {
            lines.push(read_line(name, &node, class)?);
        }
    }
    Ok(lines)
}

fn read_line(name: &str, node: &Node<'_>, class: ImportClass) -> Result<Import, ManifestError> {
    let (interface, function) = match name.split_once('#') {
        Some((interface, function)) => (interface, Some(function.to_owned())),
        None => (name, None),
    };
    if !interface.contains(['/']) || !interface.contains('@') {
        return Err(node.error_at_key(
            format!("`{name}` is not an import"),
            "write package/interface@version",
        ));
    }
    let word = node.text()?;
    let (capability, note) = match class {
        ImportClass::Local => (None, Some(word.to_owned())),
        ImportClass::Outward | ImportClass::Inward => {
            let known = Capability::ALL.into_iter().find(|c| c.as_str() == word);
            let remedy = || suggest::remedy(word, Capability::ALL.map(Capability::as_str));
            let capability = known
                .ok_or_else(|| node.error(format!("unknown capability `{word}`"), remedy()))?;
            (Some(capability), None)
        }
    };
    Ok(Import {
        interface: interface.to_owned(),
        function,
        class,
        capability,
        note,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_checked_in_table_parses_and_gives_every_capability_an_import() {
        let lines = parse(TEXT).unwrap();
        for capability in Capability::ALL {
            assert!(
                lines.iter().any(|line| line.capability == Some(capability)),
                "{capability}"
            );
        }
        assert_eq!(table(), lines);
    }

    #[test]
    fn a_version_of_two_numbers_covers_patches_and_nothing_else() {
        let line = |interface: &str| Import {
            interface: interface.to_owned(),
            function: None,
            class: ImportClass::Local,
            capability: None,
            note: None,
        };
        let wasi = line("wasi:io/poll@0.2");
        assert!(wasi.covers("wasi:io/poll@0.2.6") && wasi.covers("wasi:io/poll@0.2"));
        for other in [
            "wasi:io/poll@0.20.0",
            "wasi:io/poll@0.2.",
            "wasi:io/poll@0.2.x",
            "wasi:io/poll",
            "wasi:io/polls@0.2.6",
        ] {
            assert!(!wasi.covers(other), "{other}");
        }
        assert!(!line("keyway:host/log@0.1.0").covers("keyway:host/log@0.1.0.1"));
    }

    #[test]
    fn a_table_with_an_unknown_class_or_capability_is_refused_with_its_line() {
        let error =
            |text: &str| parse(text).map_or_else(|e| e.to_string(), |lines| format!("{lines:?}"));
        assert!(error("[outwards]\n").contains(":1:2: unknown field `outwards`"));
        let text = "[outward]\n\"a:b/c@0.1\" = \"htp\"\n[inward]\n[local]\n";
        assert!(
            error(text).contains(":2:15: unknown capability `htp`; did you mean `http`?"),
            "{}",
            error(text)
        );
    }
}
