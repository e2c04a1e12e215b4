//! The files that the story needs: a credential, a configuration, recipes,
//! orders.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use aws_lc_rs::rand;

/// The artifacts that the story uses.
const ARTIFACTS: [&str; 4] = [
    "orders.wasm",
    "hostile.wasm",
    "hostile_socket.wasm",
    "hostile_file.wasm",
];

/// What an honest tenant runs.
const ORDER_INTAKE: &str = r#"recipe: order-intake
description: Takes orders from the shop and files them in the order system.
trigger:
  webhook:
    sensitive: [/buyer/email, /buyer/card]
steps:
  - id: shape
    transform:
      reference: "${ trigger.body.number }"
      total_cents: "${ trigger.body.lines.map(l, l.quantity * l.cents).sum() }"
      items: "${ trigger.body.lines.map(l, {'sku': l.sku, 'quantity': l.quantity, 'unit_cents': l.cents}) }"
  - id: create
    action: orders.create
    connection: shop
    input:
      reference: "${ steps.shape.reference }"
      customer:
        name: "${ trigger.body.buyer.name }"
        email: "${ trigger.body.buyer.email }"
        card: "${ trigger.body.buyer.card }"
      items: "${ steps.shape.items }"
      total_cents: "${ steps.shape.total_cents }"
  - id: accepted
    if: "steps.create.status == 'accepted'"
    then:
      - respond:
          status: 200
          body: { order: "${ steps.create.id }", total_cents: "${ steps.shape.total_cents }" }
    else:
      - respond: { status: 202, body: { order: "${ steps.create.id }" } }
"#;

/// What the attacker runs: it hands each attempt to its connector.
const ATTEMPT: &str = r#"recipe: attempt
trigger:
  webhook: {}
steps:
  - id: try
    action: hostile.attempt
    connection: target
    input: "${ trigger.body }"
  - respond: { status: 200, body: "${ steps.try }" }
"#;

/// Writes everything that is known before a port is.
pub(super) fn lay_out(dir: &Path, artifacts: &Path) -> Result<()> {
    for name in ARTIFACTS {
        let from = artifacts.join(name);
        fs::copy(&from, dir.join(name))
            .with_context(|| format!("{}: run `cargo xtask demo`", from.display()))?;
    }
    secret(&dir.join("token.txt"), &random_token()?)?;
    fs::write(dir.join("order-intake.yaml"), ORDER_INTAKE)?;
    fs::write(dir.join("attempt.yaml"), ATTEMPT)?;
    Ok(())
}

/// The platform's configuration.
pub(super) fn config(upstream_port: u16) -> String {
    format!(
        "[listen]\nwebhook = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n\n\
         [egress]\nca_files = [\"upstream-ca.pem\"]\n\n\
         # The upstream is on this machine: exactly this host and port may be reached.\n\
         [[egress.allow]]\nhost = \"localhost\"\nport = {upstream_port}\n\n\
         # Time enough on the clock to use up the processor's, also on a busy machine.\n\
         [limits]\ncpu_ms_max = 1000\nwall_ms_max = 25000\n"
    )
}

/// A file that only its owner can read.
pub(super) fn secret(path: &Path, content: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(content.as_bytes())?)
}

fn random_token() -> Result<String> {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the random source failed"))?;
    Ok(format!("ords_{}", hex::encode(bytes)))
}

/// A real order of the shop.
pub(super) fn order(number: u32) -> serde_json::Value {
    let buyers = ["Ada Lovelace", "Grace Hopper", "Mary Somerville"];
    let buyer = buyers
        .get(number as usize % buyers.len())
        .copied()
        .unwrap_or("Ada Lovelace");
    let email = format!(
        "{}@customers.example",
        buyer.to_lowercase().replace(' ', ".")
    );
    serde_json::json!({
        "number": format!("SO-2026-{:04}", 7_300 + number),
        "buyer": { "name": buyer, "email": email, "card": format!("4000-0012-3456-{:04}", 7_700 + number) },
        "lines": [
            { "sku": "LAMP-12", "quantity": 2, "cents": 4_950 + number },
            { "sku": "CABLE-3", "quantity": 1, "cents": 700 },
        ],
    })
}
