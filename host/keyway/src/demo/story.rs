//! The acts of the honest people: reviewer, administrator, auditor.
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null where it has nothing"
)]

use anyhow::{Context, Result};
use http::Method;
use serde_json::{Value, json};

use super::stage::Stage;
use super::{caller, files};

/// What was told to the deployment and must not be found on its disk.
pub(super) struct Told {
    pub(super) secrets: Vec<String>,
}

/// Act 1.
pub(super) fn reviewer(stage: &mut Stage) -> Result<()> {
    stage.act("Act 1. The reviewer: what can this connector do?");
    let page = stage.run("connector inspect orders.wasm")?;
    stage.check(
        page.contains("/orders") && page.contains("POST"),
        "the page shows where requests go",
    )?;
    stage.run("workspace create acme")?;
    stage.run("connector install orders.wasm")?;
    let installed = stage.ask("connector show orders")?;
    stage.check(
        installed["state"] == "not approved",
        "nothing runs before it is approved",
    )?;
    let digest = text(&installed["digest"]);
    stage.run(&format!(
        "connector approve orders --digest {digest} --why 'read the page; one API, no delete'"
    ))?;
    Ok(())
}

/// Act 2.
pub(super) fn administrator(stage: &mut Stage) -> Result<Told> {
    stage.act("Act 2. The administrator: three orders, one outage, nothing lost and nothing twice");
    let port = stage.upstream_port;
    stage.run(&format!(
        "connection create shop --connector orders --parameter host=localhost --parameter port={port} --credential-file token.txt"
    ))?;
    stage.run("connection check shop")?;
    stage.run("recipe apply order-intake.yaml")?;
    let hook = text(&stage.ask("recipe show order-intake")?["webhook_url"]);
    for number in [1, 2] {
        let (status, answer) = post_order(stage, &hook, number)?;
        stage.check(
            status == 200 && answer["order"].is_string(),
            "an order is filed and answered",
        )?;
    }
    stage.say("The upstream goes down.");
    control(
        stage,
        Method::POST,
        "/control/mode",
        &json!({ "mode": "down" }),
    )?;
    let (status, _) = post_order(stage, &hook, 3)?;
    stage.check(
        status == 502,
        "the caller learns that the third order failed",
    )?;
    stage.run("job list")?;
    let failed = stage.ask("job list --state failed")?;
    let job = text(&failed[0]["id"]);
    let why = text(&failed[0]["failure"]);
    stage.check(
        why.contains("create") && why.contains("transient"),
        "the job says which step failed and why",
    )?;
    stage.say("The upstream comes back; the job goes on from the step that failed.");
    control(
        stage,
        Method::POST,
        "/control/mode",
        &json!({ "mode": "up" }),
    )?;
    stage.run(&format!("job rerun {job}"))?;
    let rerun = text(&stage.ask("job list --limit 1")?[0]["id"]);
    let ended = wait_for_end(stage, &rerun)?;
    stage.check(ended == "succeeded", "the rerun succeeds")?;
    let shown = stage.run(&format!("job show {rerun}"))?;
    let order = files::order(3);
    let (email, card) = (
        text(&order["buyer"]["email"]),
        text(&order["buyer"]["card"]),
    );
    stage.check(shown.contains("•••"), "labelled fields are masked")?;
    stage.check(
        !shown.contains(&email) && !shown.contains(&card),
        "no labelled value shows",
    )?;
    let effects = control(stage, Method::GET, "/control/effects", &Value::Null)?;
    stage.say(&format!(
        "The upstream's own counter: {} effects, {} repeated.",
        effects["effects"], effects["repeats"]
    ));
    stage.check(
        effects["effects"] == 3 && effects["repeats"] == 0,
        "three orders had three effects",
    )?;
    told(stage, &hook)
}

fn told(stage: &Stage, hook: &str) -> Result<Told> {
    let token = std::fs::read_to_string(stage.dir().join("token.txt"))?;
    let path = hook
        .rsplit('/')
        .next()
        .context("a webhook's path")?
        .to_owned();
    let mut secrets = vec![token, path];
    for number in [1, 2, 3] {
        let order = files::order(number);
        for pointer in ["/number", "/buyer/name", "/buyer/email", "/buyer/card"] {
            secrets.extend(order.pointer(pointer).map(text));
        }
    }
    secrets.extend(["LAMP-12".to_owned(), "order-intake".to_owned()]);
    Ok(Told { secrets })
}

/// Act 5.
pub(super) fn auditor(stage: &mut Stage) -> Result<()> {
    stage.act("Act 5. The auditor: the log holds, and a changed character shows");
    stage.run("--workspace acme audit export --out audit.jsonl --key-out audit-key.txt")?;
    let verdict = stage.run("audit verify audit.jsonl --key audit-key.txt")?;
    stage.check(
        verdict.contains("holds"),
        "the exported log verifies offline",
    )?;
    let export = std::fs::read_to_string(stage.dir().join("audit.jsonl"))?;
    let changed = export.replacen("\"POST\"", "\"GOST\"", 1);
    stage.check(changed != export, "the export is readable")?;
    std::fs::write(stage.dir().join("changed.jsonl"), changed)?;
    stage.say("One readable character of the export is changed, POST to GOST, and verified again.");
    let verdict = stage.refused("audit verify changed.jsonl --key audit-key.txt")?;
    stage.check(verdict.contains("record"), "the verdict names the record")?;
    Ok(())
}

fn post_order(stage: &Stage, hook: &str, number: u32) -> Result<(u16, Value)> {
    let order = files::order(number);
    stage.say(&format!("$ curl --json '{order}' {}", shortened(hook)));
    let (status, answer) = caller::post(hook, &order)?;
    stage.reply(&format!("{status} {answer}"));
    Ok((status, answer))
}

/// A webhook's URL without most of its secret path.
pub(super) fn shortened(hook: &str) -> String {
    match hook.char_indices().rev().nth(55) {
        Some((at, _)) => format!("{}…", hook.get(..at).unwrap_or(hook)),
        None => hook.to_owned(),
    }
}

pub(super) fn control(stage: &Stage, method: Method, path: &str, body: &Value) -> Result<Value> {
    caller::control(
        stage.upstream_port,
        &stage.dir().join("upstream-ca.pem"),
        method,
        path,
        body,
    )
}

/// The state of a job once it has ended.
fn wait_for_end(stage: &Stage, job: &str) -> Result<String> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let state = text(&stage.ask(&format!("job show {job}"))?["state"]);
        if !matches!(state.as_str(), "queued" | "running") || std::time::Instant::now() > deadline {
            return Ok(state);
        }
    }
}

/// A JSON text without its quotes.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
