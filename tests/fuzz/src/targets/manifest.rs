//! The manifest parser, on text and on the section of an artifact.
//!
//! Never panics; an error is short and names a place that is in the text; a
//! manifest that parses can be resolved, shown and compared with itself.

use std::collections::BTreeMap;

use keyway_model::Digest;
use keyway_model::manifest::page::{CapabilityPage, diff};
use keyway_model::manifest::{Manifest, Parameters, imports_beyond, section};

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "manifest",
    run,
    tokens: &[
        "[connector]",
        "[parameters.shop]",
        "[destinations.api]",
        "[auth]",
        "[actions.get]",
        "[triggers.new]",
        "[check]",
        "kind = \"text\"",
        "kind = \"host\"",
        "kind = \"port\"",
        "kind = \"scheme\"",
        "schemes = [\"https\", \"http\"]",
        "host = \"{shop}.example.com\"",
        "port = \"{port}\"",
        "uses = [",
        "methods = [\"GET\"]",
        "paths = [\"/a/{id}/**\"]",
        "capabilities = [\"http\", \"state\"]",
        "\"\"\"",
        "'''",
        "\\u0000",
        "{",
        "}",
        "[[",
        "]]",
        "= 99999999999999999999",
        "= 1979-05-27",
        "= nan",
        ".",
        "\n",
        "sensitive = true",
    ],
    input_bytes_max: 16 << 10,
    memory_bytes_max: 64 << 20,
    test_inputs: 3_000,
};

fn run(bytes: &[u8]) {
    if let Ok(inside) = section::extract(bytes) {
        assert!(
            inside.len() < bytes.len(),
            "the section is a part of the file"
        );
        assert!(section::append(bytes, "").is_err(), "there is one manifest");
    }
    let text = String::from_utf8_lossy(bytes);
    match Manifest::parse(&text) {
        Ok(manifest) => accepted(&manifest, &text),
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() < 4_096, "an error of {} bytes", said.len());
            assert!(
                error.line <= text.lines().count() + 1,
                "line {} is not in the text",
                error.line
            );
        }
    }
}

fn accepted(manifest: &Manifest, text: &str) {
    let again = Manifest::parse(text).expect("it was accepted a moment ago");
    assert_eq!(*manifest, again, "the same text is read the same");
    assert!(diff(manifest, &again).is_empty(), "nothing has changed");
    let page = CapabilityPage::of(manifest, Digest::of(text.as_bytes()), Vec::new());
    assert!(page.render(80).is_ascii() || !text.is_ascii());
    drop(imports_beyond(
        manifest,
        &["wasi:http/types@0.2.4".to_owned()],
    ));
    for fill in ["acme", "https", "8443", "127.0.0.1", "a.b", "x..y", ""] {
        let given: BTreeMap<String, String> = manifest
            .parameters
            .keys()
            .map(|name| (name.to_string(), fill.to_owned()))
            .collect();
        let Ok(parameters) = Parameters::parse(manifest, given) else {
            continue;
        };
        for destination in manifest.destinations.values() {
            for origin in destination.resolve(&parameters).unwrap_or_default() {
                assert!(origin.port > 0, "a port is never 0");
                assert!(destination.schemes.contains(&origin.scheme));
            }
        }
    }
}
