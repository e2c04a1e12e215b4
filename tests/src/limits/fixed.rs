//! Fixed limits: each names the test that goes beyond it, wherever that is.
//!
//! Most are too large to be met in a deployment of a test, and nobody can lower them.
//! So their tests stand next to the code that counts, some with a lower value of the
//! same. `fixed.toml` is held against the limits there are: a new one fails here until
//! it has a test, or a reason.

use std::collections::BTreeSet;

use keyway_model::limit::{
    CREDENTIAL_BYTES_MAX, CREDENTIAL_BYTES_MIN, Level, TOKEN_SECONDS_MAX, table,
};
use serde_json::json;

use crate::harness::{Stage, root};
use crate::requirements::fault_of;
use crate::routes::Api;
use crate::tidy::sources;

/// Those without a test: there may only be fewer.
const UNTESTED: usize = 7;

#[test]
fn every_fixed_limit_names_the_test_that_goes_beyond_it() {
    let text = include_str!("fixed.toml");
    let map: toml::Table = text.parse().unwrap();
    let section = |name: &str| map[name].as_table().unwrap();
    let (held, untested) = (section("held"), section("untested"));
    let fixed = table().filter(|row| row.level == Level::Nobody);
    let fixed: BTreeSet<&str> = fixed.map(|row| row.name).collect();
    let names = held.keys().chain(untested.keys()).map(String::as_str);
    assert_eq!(names.collect::<BTreeSet<&str>>(), fixed);
    let named = held.len() + untested.len();
    assert_eq!(named, fixed.len(), "one is named twice");
    assert_eq!(untested.len(), UNTESTED);
    assert!(
        untested
            .values()
            .all(|why| !why.as_str().unwrap().is_empty())
    );
    let tests = held.values().map(|test| test.as_str().unwrap());
    let faults: Vec<String> = tests.filter_map(fault_of).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_token_has_a_longest_life_and_one_second_more_is_refused() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    let admin = Api::of(&stage, "acme", "admin");
    let create = |seconds: u64| {
        let new = json!({ "workspace": "acme", "role": "analyst", "label": "l", "expires_in_seconds": seconds });
        admin.call("POST", "/tokens", &new)
    };
    let (status, told) = create(TOKEN_SECONDS_MAX);
    assert_eq!(status, 200, "{told}");
    let (status, told) = create(TOKEN_SECONDS_MAX + 1);
    assert_eq!(status, 422, "{told}");
    assert!(told.contains("`TOKEN_SECONDS_MAX` (31622400)"), "{told}");
}

#[test]
fn a_credential_is_neither_too_short_to_be_masked_nor_too_long_to_be_looked_for() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.install("orders.wasm", "orders");
    let admin = Api::of(&stage, "acme", "admin");
    let parameters =
        json!({ "host": "localhost", "port": stage.upstream.port.to_string(), "scheme": "http" });
    let create = |bytes: usize| {
        let (name, credential) = (format!("of-{bytes}"), "x".repeat(bytes));
        let body = json!({ "name": name, "connector": "orders", "parameters": parameters, "credential": credential });
        admin.call("POST", "/workspaces/acme/development/connections", &body)
    };
    for bytes in [CREDENTIAL_BYTES_MIN, CREDENTIAL_BYTES_MAX] {
        let (status, told) = create(bytes);
        assert_eq!(status, 200, "{told}");
    }
    for (bytes, why) in [
        (
            CREDENTIAL_BYTES_MIN - 1,
            "fewer than `CREDENTIAL_BYTES_MIN` (8) bytes",
        ),
        (
            CREDENTIAL_BYTES_MAX + 1,
            "more than `CREDENTIAL_BYTES_MAX` (65536) bytes",
        ),
    ] {
        let (status, told) = create(bytes);
        assert_eq!(status, 422, "{told}");
        assert!(told.contains(why), "{told}");
    }
}

/// Lower case is what somebody may set: whoever reads such a name would try to.
#[test]
fn an_error_names_a_fixed_limit_as_it_is_declared() {
    let (mut files, config) = (Vec::new(), root().join("host/keyway/src/config.rs"));
    sources(&root().join("host"), &mut files);
    let settings = std::fs::read_to_string(config).unwrap();
    let fixed = table().filter(|row| row.level == Level::Nobody);
    let names: Vec<String> = fixed
        .map(|row| row.name.to_lowercase())
        .filter(|name| !settings.contains(&format!("pub {name}:")))
        .collect();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for name in &names {
            let is_told = ['"', '`'].iter().any(|quote| {
                let begin = format!("{quote}{name}");
                let begun = text.match_indices(&begin);
                begun
                    .map(|(at, begun)| text[at + begun.len()..].chars().next())
                    .any(|next| next.is_some_and(|next| [*quote, ' '].contains(&next)))
            });
            assert!(!is_told, "{}: {name}", file.display());
        }
    }
}
