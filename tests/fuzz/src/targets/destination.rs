//! The destination matcher, against a slow and obvious one.
//!
//! Rules and a request are made of few pieces, so that they often nearly fit.
//! The matcher and the reference agree on every request, and on why it is denied.

use std::str::FromStr as _;
use std::sync::Arc;

use keyway_authz::{Actor, DenialReason, Grant, GrantedCredential, HttpRule, HttpRules, Principal};
use keyway_model::manifest::Capabilities;
use keyway_model::net::{Method, Origin, PathTemplate, RequestUrl};
use keyway_model::{ConnectionId, CredentialSlot};

use super::Target;
use crate::input::Input;

pub(super) const TARGET: Target = Target {
    name: "destination",
    run,
    tokens: &[
        "\x01\x02\x03",
        "\x00\x00",
        "\x04\x05\x06\x07",
        "\x10",
        "\x09\x09",
        "\x0e\x0d",
    ],
    input_bytes_max: 512,
    memory_bytes_max: 4 << 20,
    test_inputs: 20_000,
};

const ORIGINS: [&str; 6] = [
    "https://a.example",
    "https://b.a.example",
    "http://a.example",
    "https://a.example:8443",
    "https://127.0.0.1",
    "https://[::1]",
];
const METHODS: [Method; 4] = [Method::Get, Method::Post, Method::Delete, Method::Head];
const SEGMENTS: [&str; 18] = [
    "a", "b", "ab", "A", "", "{x}", "{y}", "**", "%61", "%41", "a;b", "a.", "...", "~", "%2a",
    "a%20b", "x=1", "{x",
];
const QUERIES: [&str; 12] = [
    "",
    "key=1",
    "KEY=1",
    "k=1&key=2",
    "k=1;key=2",
    "%6bey=3",
    "keys=1",
    "+key=1",
    "key",
    "a=key",
    "%2bkey=",
    "key%00=1",
];
const CREDENTIAL_PARAMETER: &str = "key";

/// One rule, as text.
struct Line {
    origin: &'static str,
    methods: Vec<Method>,
    templates: Vec<String>,
    credential: Option<(CredentialSlot, bool)>,
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let lines: Vec<Line> = (0..=input.below(5)).map(|_| line(&mut input)).collect();
    let method = *input.choose(&METHODS);
    let path = path(&mut input);
    let query = *input.choose(&QUERIES);
    let mark = if query.is_empty() { "" } else { "?" };
    let written = format!("{}{path}{mark}{query}", input.choose(&ORIGINS));
    let Ok(url) = written.parse::<RequestUrl>() else {
        return;
    };
    let expected = slowly(&lines, method, &url);
    let rules: HttpRules = lines.iter().map(rule).collect();
    let decided = grant(rules).decide_http(method, url.clone());
    let found = decided.map(|permit| {
        assert_eq!(
            *permit.operation().url(),
            url,
            "the permit is for what was asked"
        );
        drop(permit);
    });
    let found = found.map_err(|denial| {
        assert!(
            !denial.remedy().is_empty(),
            "{written}: a denial says what would help"
        );
        denial.reason()
    });
    assert_eq!(found, expected, "{method} {written}");
}

fn line(input: &mut Input<'_>) -> Line {
    let credential = match input.below(6) {
        0 => Some((CredentialSlot::Bearer, false)),
        1 => Some((CredentialSlot::Bearer, true)),
        2 => Some((CredentialSlot::Query(CREDENTIAL_PARAMETER.to_owned()), true)),
        _ => None,
    };
    Line {
        origin: input.choose::<&str>(&ORIGINS),
        methods: (0..=input.below(2))
            .map(|_| *input.choose(&METHODS))
            .collect(),
        templates: (0..=input.below(3))
            .map(|_| path(input))
            .filter(|text| PathTemplate::from_str(text).is_ok())
            .collect(),
        credential,
    }
}

fn path(input: &mut Input<'_>) -> String {
    let segments = (0..=input.below(4)).map(|_| *input.choose(&SEGMENTS));
    segments.fold(String::new(), |path, segment| path + "/" + segment)
}

fn rule(line: &Line) -> HttpRule {
    HttpRule {
        origin: origin(line.origin),
        methods: line.methods.clone(),
        paths: line
            .templates
            .iter()
            .map(|text| text.parse().unwrap())
            .collect(),
        credential: line
            .credential
            .clone()
            .map(|(slot, cleartext)| GrantedCredential { slot, cleartext }),
        redirects: keyway_model::manifest::Redirects::default(),
        rule: "a rule".to_owned(),
    }
}

fn origin(text: &str) -> Origin {
    let url: RequestUrl = format!("{text}/").parse().unwrap();
    url.origin
}

fn grant(rules: HttpRules) -> Grant {
    let actor = Actor::directly(Principal::Platform(0));
    let connection = ConnectionId::from_bits(1);
    Grant::new(
        actor,
        connection,
        Capabilities::ALL,
        Arc::new(rules),
        "a connector".to_owned(),
    )
}

/// The decision, one question after the other, on text.
fn slowly(lines: &[Line], method: Method, url: &RequestUrl) -> Result<(), DenialReason> {
    let same_place: Vec<&Line> = lines
        .iter()
        .filter(|line| origin(line.origin).to_string() == url.origin.to_string())
        .collect();
    if same_place.is_empty() {
        return Err(DenialReason::Destination);
    }
    let same_method: Vec<&Line> = same_place
        .into_iter()
        .filter(|line| line.methods.contains(&method))
        .collect();
    if same_method.is_empty() {
        return Err(DenialReason::Method);
    }
    let fits = |line: &&Line| {
        line.templates
            .iter()
            .any(|template| covers(template, &url.path))
    };
    let Some(line) = same_method.into_iter().find(fits) else {
        return Err(DenialReason::Path);
    };
    match &line.credential {
        Some((_, false)) if url.origin.to_string().starts_with("http:") => {
            Err(DenialReason::Cleartext)
        }
        Some((CredentialSlot::Query(_), _))
            if names_the_slot(url.query.as_deref().unwrap_or_default()) =>
        {
            Err(DenialReason::Header)
        }
        _ => Ok(()),
    }
}

/// Whether the rest of a template covers the rest of a path, segment by segment.
fn covers(template: &str, path: &str) -> bool {
    if template == "/**" {
        return path.is_empty() || path.starts_with('/');
    }
    let (Some(template), Some(path)) = (template.strip_prefix('/'), path.strip_prefix('/')) else {
        return template.is_empty() && path.is_empty();
    };
    let cut = |text: &str| text.find('/').unwrap_or(text.len());
    let (wanted, template_rest) = template.split_at(cut(template));
    let (given, path_rest) = path.split_at(cut(path));
    let fits = match wanted.starts_with('{') {
        true => !given.is_empty(),
        false => wanted == given,
    };
    fits && covers(template_rest, path_rest)
}

/// Whether any server could read the credential's parameter in the query.
fn names_the_slot(query: &str) -> bool {
    let decoded = |name: &str| {
        let mut out = String::new();
        let mut rest = name;
        while let Some(first) = rest.chars().next() {
            let code = rest
                .strip_prefix('%')
                .and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok());
            out.push(code.map_or(if first == '+' { ' ' } else { first }, char::from));
            rest = &rest[if code.is_some() { 3 } else { first.len_utf8() }..];
        }
        out.trim().to_ascii_lowercase()
    };
    query
        .split(['&', ';'])
        .any(|part| decoded(part.split('=').next().unwrap_or_default()) == CREDENTIAL_PARAMETER)
}
