//! What a manifest says, and what each wrong one is answered with.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use super::*;
use crate::id::Digest;
use crate::{CredentialSlot, EffectClass};

mod bounds;
mod limits;
mod wrong;

const ORDERS: &str = r#"
[connector]
name = "orders"
version = "0.1.0"
title = "Orders"
description = "Creates and finds orders."
capabilities = ["http", "log", "state"]

[parameters.shop]
kind = "host"
title = "Shop"

[parameters.port]
kind = "port"
title = "Port"
default = "8443"

[parameters.how]
kind = "scheme"
title = "Scheme"
default = "https"

[destinations.api]
schemes = ["https", "http"]
scheme = "{how}"
host = "{shop}.example.com"
port = "{port}"

[destinations.files]
role = "upload"
schemes = ["https"]
host = "files.example.com"

[auth]
scheme = "api-key"
header = "X-Api-Key"
destinations = ["api"]

[actions.create]
title = "Create an order"
effect = "keyed"
idempotency_header = "Idempotency-Key"
uses = [{ destination = "api", methods = ["POST"], paths = ["/orders"] }]

[actions.create.input]
type = "object"
required = ["amount"]

[actions.create.input.properties]
amount = { type = "number", minimum = 0 }
email = { type = "string", sensitive = true }
lines = { type = "array", items = { type = "object", properties = { note = { type = "string", sensitive = true } } } }

[actions.create.output]
type = "object"

[triggers.new_orders]
title = "New orders"
kind = "poll"
uses = [{ destination = "api", methods = ["GET"], paths = ["/orders"] }]

[check]
uses = [{ destination = "api", methods = ["GET"], paths = ["/me"] }]
"#;

fn orders() -> Manifest {
    Manifest::parse(ORDERS).unwrap()
}

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn a_manifest_becomes_what_it_says() {
    let manifest = orders();
    let create = manifest.actions.get(&name("create")).unwrap();
    assert_eq!(create.effect, EffectClass::Keyed);
    assert_eq!(
        create.idempotency_header.as_deref(),
        Some("idempotency-key")
    );
    assert_eq!(
        create.input.sensitive.patterns().collect::<Vec<_>>(),
        ["/email", "/lines/*/note"]
    );
    let minimum = create
        .input
        .value
        .pointer("/properties/amount/minimum")
        .unwrap();
    assert_eq!(minimum, 0);
    let slot = CredentialSlot::Header("x-api-key".to_owned());
    assert_eq!(manifest.auth.slot_for(&name("api")), Some(&slot));
    assert_eq!(manifest.auth.slot_for(&name("files")), None);
    assert_eq!(manifest.all_uses().count(), 3);
    let json = serde_json::to_value(&manifest).unwrap();
    assert_eq!(
        json.pointer("/destinations/api/host").unwrap(),
        "{shop}.example.com"
    );
    assert_eq!(
        json.pointer("/actions/create/uses/0/paths/0").unwrap(),
        "/orders"
    );
}

#[test]
fn an_action_is_once_and_takes_nothing_unless_it_says_otherwise() {
    let manifest = Manifest::parse(
        "[connector]\nname='a'\nversion='1.0.0'\ntitle='A'\n[actions.b]\ntitle='B'\n",
    )
    .unwrap();
    let action = manifest.actions.get(&name("b")).unwrap();
    assert_eq!(
        (action.effect, &action.input),
        (EffectClass::Once, &Schema::nothing())
    );
    assert!(action.uses.is_empty() && manifest.auth.slot.is_none());
}

#[test]
fn a_manifest_over_the_limit_or_nested_without_end_is_refused() {
    let large = format!("# {}", "x".repeat(crate::limit::DOCUMENT_BYTES_MAX));
    assert!(
        Manifest::parse(&large)
            .unwrap_err()
            .to_string()
            .contains("larger than `DOCUMENT_BYTES_MAX` (1048576 bytes)")
    );
    let deep = format!("actions.a.input.{}type = 'object'", "not.".repeat(20_000));
    assert!(Manifest::parse(&deep).is_err());
}

#[test]
fn a_destination_resolves_to_what_the_template_says_and_to_nothing_else() {
    let manifest = orders();
    let api = manifest.destinations.get(&name("api")).unwrap();
    let resolve = |pairs: &[(&str, &str)]| {
        let parameters = Parameters::parse(&manifest, given(pairs)).map_err(|e| e.to_string())?;
        let origins = api.resolve(&parameters).map_err(|e| e.to_string())?;
        Ok::<_, String>(
            origins
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
        )
    };
    assert_eq!(
        resolve(&[("shop", "acme")]),
        Ok("https://acme.example.com:8443".to_owned())
    );
    let other = [("shop", "acme"), ("how", "http"), ("port", "80")];
    assert_eq!(resolve(&other), Ok("http://acme.example.com:80".to_owned()));
    for reaching_out in [
        "evil.test",
        "a.b",
        "127.0.0.1",
        "::1",
        "a_b",
        "-a",
        "2130706433",
    ] {
        let refused = resolve(&[("shop", reaching_out)]).unwrap_err();
        assert!(
            refused.contains("is not one label of `{shop}.example.com`"),
            "{refused}"
        );
    }
    for malformed in ["evil.test/", "evil.test#", "a@b", "", "a b", "x?y", "a%2eb"] {
        let refused = resolve(&[("shop", malformed)]).unwrap_err();
        assert!(
            refused.contains("parameter `shop` is not a host"),
            "{refused}"
        );
    }
}

#[test]
fn two_schemes_without_a_choice_are_two_origins() {
    let text = ORDERS
        .replace("scheme = \"{how}\"\n", "")
        .replace("port = \"{port}\"\n", "");
    let manifest = Manifest::parse(&text).unwrap();
    let parameters = Parameters::parse(&manifest, given(&[("shop", "acme")])).unwrap();
    let origins = manifest
        .destinations
        .get(&name("api"))
        .unwrap()
        .resolve(&parameters)
        .unwrap();
    let origins: Vec<_> = origins.iter().map(ToString::to_string).collect();
    assert_eq!(
        origins,
        ["https://acme.example.com:443", "http://acme.example.com:80"]
    );
}

#[test]
fn wrong_parameters_are_refused_in_words() {
    let manifest = orders();
    let error = |pairs: &[(&str, &str)]| {
        Parameters::parse(&manifest, given(pairs))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(&[]),
        "parameter `shop` (Shop) is missing; give a host"
    );
    assert_eq!(
        error(&[("shop", "a"), ("prt", "1")]),
        "the connector has no parameter `prt`; did you mean `port`?"
    );
    for port in ["0", "65536", "+80", "x", ""] {
        assert!(
            error(&[("shop", "a"), ("port", port)]).contains("is not a port: `"),
            "{port}"
        );
    }
    assert!(error(&[("shop", "a"), ("how", "ftp")]).contains("scheme `ftp` is not supported"));
}

#[test]
fn imports_that_go_beyond_the_manifest_are_named_with_a_remedy() {
    let manifest = orders();
    let beyond = |import: &str| imports_beyond(&manifest, &[import.to_owned()]).concat();
    for fine in [
        "wasi:http/outgoing-handler@0.2.6",
        "keyway:host/state@0.1.0",
        "wasi:io/streams@0.2.0",
        "wasi:cli/environment@0.2.3",
    ] {
        assert_eq!(beyond(fine), "");
    }
    let undeclared = beyond("keyway:host/connection@0.1.0");
    assert!(
        undeclared.contains("add \"connection\" to `capabilities`"),
        "{undeclared}"
    );
    assert!(beyond("wasi:sockets/tcp@0.2.6").contains("there are no sockets"));
    assert!(beyond("wasi:filesystem/types@0.2.6").contains("there are no files"));
    assert!(
        beyond("wasi:http/outgoing-handler@0.3.0")
            .contains("build for wasm32-wasip2 with WASI 0.2")
    );
    assert!(beyond("evil:thing/x").contains("no such interface"));
}

#[test]
fn the_page_says_on_one_page_what_a_connector_can_do() {
    let imports = vec!["wasi:http/outgoing-handler@0.2.6".to_owned()];
    let page = page::CapabilityPage::of(&orders(), Digest::of(b"artifact"), imports);
    let text = page.render(80);
    for line in [
        "orders 0.1.0 - Orders",
        "may use: http, log, state",
        "imports: wasi:http/outgoing-handler@0.2.6",
        "credential: in header `x-api-key`, to api; the connector never sees it",
        "parameter {port}: Port (port, default 8443)",
        "action create - Create an order",
        "    effect: keyed, may be repeated after a crash",
        "    POST {how}://{shop}.example.com:{port} (api, with the credential)",
        "        /orders",
        "    takes: amount!, email, lines",
        "    masked in input: /email, /lines/*/note",
        "trigger new_orders - New orders",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line}\n---\n{text}"
        );
    }
    assert!(text.contains(&page.digest.to_string()));
    assert!(
        text.lines().count() < 60 && text.lines().all(|l| l.len() <= 80),
        "{text}"
    );
}

#[test]
fn a_diff_tells_widening_from_narrowing() {
    let old = orders();
    let text = ORDERS
        .replacen("\"POST\"", "\"POST\", \"DELETE\"", 1)
        .replacen(
            "\"http\", \"log\", \"state\"",
            "\"http\", \"connection\"",
            1,
        )
        .replacen(
            "email = { type = \"string\", sensitive = true }",
            "email = { type = \"string\" }",
            1,
        );
    let changes = page::diff(&old, &Manifest::parse(&text).unwrap());
    let of = |direction| {
        changes
            .iter()
            .filter(|c| c.direction == direction)
            .map(|c| c.sentence.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(page::Direction::Widening),
        [
            "actions.create may DELETE {how}://{shop}.example.com:{port}/orders with the credential",
            "may use the capability connection",
            "no longer: actions.create masks input `/email`",
        ]
    );
    assert_eq!(
        of(page::Direction::Narrowing),
        [
            "no longer: may use the capability log",
            "no longer: may use the capability state",
        ]
    );
    assert_eq!(page::diff(&old, &old), []);
}

#[test]
fn redirects_are_followed_only_where_the_manifest_says_so() {
    let manifest = orders();
    let redirects = |manifest: &Manifest| {
        let destination = manifest.destinations.get(&name("api")).unwrap();
        destination.redirects
    };
    assert_eq!(redirects(&manifest), Redirects::Return);
    let with = |word: &str| {
        let line = format!("[destinations.api]\nredirects = {word}");
        Manifest::parse(&ORDERS.replacen("[destinations.api]", &line, 1))
    };
    assert_eq!(redirects(&with("\"return\"").unwrap()), Redirects::Return);
    let follows = with("\"follow\"").unwrap();
    assert_eq!(redirects(&follows), Redirects::Follow);
    let widened = page::diff(&manifest, &follows);
    let follows_now = |change: &page::Change| {
        change.direction == page::Direction::Widening
            && change
                .sentence
                .starts_with("actions.create follows redirects from ")
    };
    assert!(widened.iter().any(follows_now), "{widened:?}");
    let shown = page::CapabilityPage::of(&follows, crate::Digest::of(b""), Vec::new()).render(200);
    assert!(shown.contains("redirects are followed"), "{shown}");
    for word in [
        "true",
        "5",
        "\"Follow\"",
        "\"all\"",
        "[\"follow\"]",
        "{ max = 5 }",
    ] {
        assert!(with(word).is_err(), "{word}");
    }
}
