//! Audit and verification of calls, end to end.

use serde_json::{Value, json};

use crate::harness::{INTAKE, Stage, TlsUpstream, artifact, order, program, text};

#[test]
fn the_exported_log_verifies_and_one_changed_character_shows() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
    stage.ok("audit export --out audit.jsonl --key-out key.txt");
    let verdict = stage.ok("audit verify audit.jsonl --key key.txt");
    assert!(verdict.contains("holds"), "{verdict}");
    let path = stage.dir.path().join("audit.jsonl");
    let export = std::fs::read_to_string(&path).unwrap();
    let changed = export.replacen("\"POST\"", "\"PUT\"", 1);
    assert_ne!(changed, export);
    std::fs::write(&path, changed).unwrap();
    let verdict = stage.refused("audit verify audit.jsonl --key key.txt");
    assert!(verdict.contains("record"), "{verdict}");
}

#[test]
fn the_log_can_be_followed() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
    let followed = stage.ok("--workspace acme audit tail --count 18 --json");
    let records: Vec<serde_json::Value> = followed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 18);
    let sequence = |at: usize| records[at]["sequence"].as_u64().unwrap();
    for at in 1..records.len() {
        assert_eq!(
            sequence(at),
            sequence(at - 1) + 1,
            "in order, none left out"
        );
    }
    assert!(followed.contains("http.send"), "{followed}");
}

#[test]
fn every_sent_request_has_an_intent_before_and_an_outcome_after() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
    let audit = stage.audit();
    let intent = audit
        .iter()
        .position(|line| line["record"]["operation"] == "http.send")
        .unwrap();
    let id = &audit[intent]["record"]["id"];
    let outcome = audit
        .iter()
        .position(|line| line["kind"] == "outcome" && line["record"]["id"] == *id)
        .unwrap();
    assert!(intent < outcome);
    assert_eq!(audit[outcome]["record"]["status"], 201);
    let text = audit[intent].to_string();
    assert!(
        text.contains("/orders") && !text.contains("customers.example"),
        "{text}"
    );
}

#[test]
fn a_connection_check_names_the_account() {
    let stage = Stage::with_shop();
    let said = stage.ok("connection check shop");
    assert!(said.contains("Demo Shop"), "{said}");
}

#[test]
fn a_connection_whose_credential_is_wrong_says_so() {
    let stage = Stage::with_shop();
    crate::harness::secret(&stage.dir.path().join("wrong.txt"), "a-wrong-credential");
    stage.ok(&format!(
        "connection create wrong --connector orders --parameter host=localhost --parameter port={} --parameter scheme=http --credential-file wrong.txt",
        stage.upstream.port
    ));
    let said = stage.refused("connection check wrong");
    assert!(said.contains("unauthorized"), "{said}");
}

#[test]
fn clear_http_with_a_credential_needs_the_platforms_word() {
    let mut stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    stage.serve = None;
    let path = stage.dir.path().join("keyway.toml");
    let config = std::fs::read_to_string(&path)
        .unwrap()
        .replace("cleartext = true", "cleartext = false");
    let (webhook, rest) = (stage.ready["webhook"].as_str().unwrap().to_owned(), config);
    let address = webhook.strip_prefix("http://").unwrap();
    std::fs::write(
        &path,
        rest.replacen(
            "webhook = \"127.0.0.1:0\"",
            &format!("webhook = \"{address}\""),
            1,
        ),
    )
    .unwrap();
    stage.start();
    assert_eq!(stage.post(&hook, &order(1)).0, 502);
    assert!(stage.denial("cleartext"));
    assert_eq!(stage.upstream.effects()["requests"], 0);
}

#[test]
fn a_local_call_shows_what_left_and_what_came_back_masked() {
    let upstream = TlsUpstream::start();
    let input = json!({
        "reference": "LOCAL-1",
        "customer": { "name": "Ada", "email": "ada@local.example", "card": "4111 2222 3333 4444" },
        "items": [{ "sku": "LAMP", "quantity": 1, "unit_cents": 700 }],
        "total_cents": 700,
    });
    std::fs::write(upstream.dir.path().join("input.json"), input.to_string()).unwrap();
    let port = upstream.port;
    let call = |more: &str| {
        let line = format!(
            "connector call {} create --input input.json --parameter host=localhost --parameter port={port} \
             --credential-file upstream-token.txt --ca ca.pem --allow localhost:{port} {more}",
            artifact("orders.wasm").display()
        );
        let output = std::process::Command::new(program())
            .current_dir(upstream.dir.path())
            .args(line.split_whitespace())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    let said = call("");
    for shown in [
        "sent POST https://localhost",
        "allowed by orders",
        "authorization: •••",
        r#"request {"reference":"LOCAL-1""#,
        "\"email\":\"•••\"",
        r#"reply {"id":"#,
        "limits used",
    ] {
        assert!(said.contains(shown), "{shown} is missing:\n{said}");
    }
    let as_json = call("--json");
    for said in [&said, &as_json] {
        for hidden in [upstream.token.as_str(), "ada@local.example", "4111 2222"] {
            assert!(!said.contains(hidden), "{said}");
        }
    }
    let json: Value = serde_json::from_str(&as_json).unwrap();
    assert_eq!(json["outcome"]["output"]["reference"], "LOCAL-1", "{json}");
    assert_eq!(json["seen"]["requests"][0]["status"], 201, "{json}");
}

/// A check of `shop` that must fail; what it tells people.
fn failed_check(stage: &Stage) -> String {
    let checked = stage.run("connection check shop --json");
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(checked["ok"], false, "{checked}");
    checked["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_connection_whose_host_does_not_resolve_says_so_to_people() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.install("orders.wasm", "orders");
    stage.ok("connection create shop --connector orders --parameter host=no-such-host.invalid --credential-file token.txt");
    let said = failed_check(&stage);
    assert!(said.contains("resolve"), "{said}");
    let audit = stage.audit();
    let refused = audit.iter().any(|line| {
        line["record"]["outcome"] == "refused"
            && line["record"]["detail"]
                .as_str()
                .is_some_and(|text| text.contains("resolve"))
    });
    assert!(refused, "{audit:?}");
}

#[test]
fn a_host_that_the_platform_denies_is_out_of_reach_for_everybody() {
    let stage = Stage::configured("[egress]\ndeny_hosts = [\"localhost\"]\n");
    stage.shop();
    let said = failed_check(&stage);
    assert!(said.contains("not granted"), "{said}");
    assert!(stage.denial("destination"), "no record of the denial");
    assert_eq!(stage.upstream.effects()["by_path"], json!({}));
}

#[test]
fn a_connection_that_is_bound_to_hosts_reaches_no_other() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.install("orders.wasm", "orders");
    let port = stage.upstream.port;
    let create = |name: &str, host: &str| {
        stage.ok(&format!(
            "connection create {name} --connector orders --parameter host=localhost --parameter port={port} \
             --parameter scheme=http --credential-file token.txt --host {host}"
        ));
    };
    create("shop", "elsewhere.example");
    let said = failed_check(&stage);
    assert!(said.contains("not granted"), "{said}");
    assert!(stage.denial("destination"), "no record of the denial");
    create("bound", "localhost");
    assert_eq!(stage.json("connection check bound")["ok"], true);
}
