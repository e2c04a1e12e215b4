//! What a manifest asks for in place of the platform's limits.

use super::ORDERS;
use crate::id::Digest;
use crate::limit::LimitName;
use crate::manifest::{Manifest, page};

/// The good manifest with `[limits]` of these lines.
fn asking(lines: &str) -> Result<Manifest, String> {
    Manifest::parse(&format!("{ORDERS}\n[limits]\n{lines}\n")).map_err(|e| e.to_string())
}

fn refusal(lines: &str) -> String {
    asking(lines).err().unwrap_or_else(|| "no error".to_owned())
}

#[test]
fn a_manifest_asks_for_less_or_for_more() {
    let manifest = asking("memory_bytes_max = 134_217_728\ncpu_ms_max = 100").unwrap();
    let asked: Vec<_> = manifest.limits.entries().collect();
    let [cpu, memory] =
        ["cpu_ms_max", "memory_bytes_max"].map(|name| name.parse::<LimitName>().unwrap());
    assert_eq!(asked, [(cpu, 100), (memory, 128 << 20)]);
    assert!(asking("").unwrap().limits.is_empty());
}

#[test]
fn a_limit_that_is_not_known_is_refused_with_its_line_and_the_names() {
    let said = refusal("memory = 1");
    let line = ORDERS.lines().count() + 3;
    assert!(
        said.starts_with(&format!(
            "connector.toml:{line}:1: there is no limit `memory`"
        )),
        "{said}"
    );
    for name in LimitName::all() {
        assert!(said.contains(name.as_str()), "{name}: {said}");
    }
}

#[test]
fn a_value_that_is_no_number_from_1_is_refused() {
    for (lines, expected) in [
        (
            "cpu_ms_max = 0",
            "`limits.cpu_ms_max` is 0; a limit is a whole number from 1",
        ),
        (
            "cpu_ms_max = -5",
            "`limits.cpu_ms_max` is negative or too large",
        ),
        (
            "cpu_ms_max = \"5\"",
            "`limits.cpu_ms_max` is a TOML string; write a whole number",
        ),
        (
            "cpu_ms_max = 0x1_0000_0000_0000_0000",
            "`limits.cpu_ms_max` is negative or too large",
        ),
    ] {
        assert!(
            refusal(lines).contains(expected),
            "{lines}: {}",
            refusal(lines)
        );
    }
}

#[test]
fn a_limit_of_the_workspace_is_not_a_connectors_to_ask_for() {
    let said = refusal("guest_calls_per_workspace_max = 1");
    assert!(said.contains("is not a connector's to ask for"), "{said}");
}

#[test]
fn the_page_shows_what_is_asked_for_beside_what_is_usual() {
    let page = |manifest: &Manifest| page::CapabilityPage::of(manifest, Digest::of(b"x"), vec![]);
    let asking = asking("cpu_ms_max = 100").unwrap();
    let text = page(&asking).render(120);
    let line = "asks for cpu_ms_max: 100 ms (a platform's own is 5000 unless it says otherwise)";
    assert!(text.lines().any(|found| found == line), "{text}");
    assert!(!page(&super::orders()).render(120).contains("asks for"));
}

#[test]
fn asking_for_more_widens_and_asking_for_less_narrows() {
    let changes = |old: &str, new: &str| -> Vec<(page::Direction, String)> {
        page::diff(&asking(old).unwrap(), &asking(new).unwrap())
            .into_iter()
            .map(|change| (change.direction, change.sentence))
            .collect()
    };
    use page::Direction::{Narrowing, Widening};
    let asks = |what: &str| format!("asks for cpu_ms_max: {what}");
    let usual = "what the platform gives";
    for (old, new, direction, sentence) in [
        (
            "",
            "cpu_ms_max = 9000",
            Widening,
            format!("9000, was {usual}"),
        ),
        (
            "",
            "cpu_ms_max = 100",
            Narrowing,
            format!("100, was {usual}"),
        ),
        (
            "cpu_ms_max = 100",
            "",
            Widening,
            format!("{usual}, was 100"),
        ),
        (
            "cpu_ms_max = 9000",
            "cpu_ms_max = 8000",
            Narrowing,
            "8000, was 9000".to_owned(),
        ),
    ] {
        assert_eq!(
            changes(old, new),
            [(direction, asks(&sentence))],
            "{old} {new}"
        );
    }
    assert_eq!(changes("cpu_ms_max = 9000", "cpu_ms_max = 9000"), []);
}
