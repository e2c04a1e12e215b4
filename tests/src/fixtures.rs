//! What most tests use: built connectors, a recipe, an order.

use std::path::PathBuf;

use keyway_model::manifest::section;
use serde_json::{Value, json};

use crate::harness::root;

/// A built connector with its manifest inside.
pub(crate) fn artifact(name: &str) -> PathBuf {
    let path = root().join("target/guests").join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo xtask test`",
        path.display()
    );
    path
}

/// A copy of a built connector with another manifest.
pub(crate) fn with_manifest(name: &str, edit: impl FnOnce(&str) -> String) -> Vec<u8> {
    let component = std::fs::read(artifact(name)).unwrap();
    let manifest = section::extract(&component).unwrap().to_owned();
    // The section is the last thing in the file, as `connector build` writes it.
    let name_at = component
        .windows(section::NAME.len())
        .rposition(|window| window == section::NAME.as_bytes())
        .unwrap();
    let body_bytes = 1 + section::NAME.len() + manifest.len();
    let length_bytes = (1..=5)
        .find(|bytes| body_bytes >> (7 * bytes) == 0)
        .unwrap();
    let bare = &component[..name_at - 1 - length_bytes - 1];
    let edited = edit(&manifest);
    assert_ne!(edited, manifest, "the edit found nothing to change");
    section::append(bare, &edited).unwrap()
}

/// What most recipes of the tests do: shape an order and create it.
pub(crate) const INTAKE: &str = r#"recipe: intake
trigger:
  webhook:
    sensitive: [/email, /card]
steps:
  - id: shape
    transform: { reference: "${ trigger.body.number }", total: "${ trigger.body.lines.map(l, l.quantity * l.cents).sum() }" }
  - id: create
    action: orders.create
    connection: shop
    input:
      reference: "${ steps.shape.reference }"
      customer: { name: "${ trigger.body.name }", email: "${ trigger.body.email }", card: "${ trigger.body.card }" }
      items: "${ trigger.body.lines.map(l, {'sku': l.sku, 'quantity': l.quantity, 'unit_cents': l.cents}) }"
      total_cents: "${ steps.shape.total }"
  - id: accepted
    if: "steps.create.status == 'accepted'"
    then:
      - respond: { status: 200, body: { order: "${ steps.create.id }", total: "${ steps.shape.total }" } }
"#;

/// An order that [`INTAKE`] takes.
pub(crate) fn order(number: u32) -> Value {
    json!({
        "number": format!("SO-{number:06}"), "name": "Ada Lovelace",
        "email": format!("ada{number}@customers.example"), "card": format!("4000-0012-3456-{number:04}"),
        "lines": [{ "sku": "LAMP", "quantity": 2, "cents": 4950 }, { "sku": "CABLE", "quantity": 1, "cents": 700 }],
    })
}

/// The same recipe without a reply: the caller gets 202 once the event is durable.
pub(crate) fn silent_intake() -> String {
    let cut = INTAKE.find("  - id: accepted").unwrap();
    INTAKE[..cut].to_owned()
}

/// Calls one function of the host, as often as the event says.
pub(crate) const CALL_IMPORT: &str = r#"recipe: call
trigger: { webhook: {} }
steps:
  - id: call
    action: hostile.import
    connection: target
    input: "${ trigger.body }"
  - respond: { status: 200, body: "${ steps.call }" }
"#;
