//! Every slot of a credential: the host fills it, the guest cannot, and what
//! comes back is masked.

use serde_json::{Value, json};

use crate::harness::{Stage, artifact, secret, with_manifest};
use crate::hostile::packed;

const RECIPE: &str = r#"recipe: reach
trigger: { webhook: {} }
steps:
  - id: reach
    action: hostile.attempt
    connection: target
    input: "${ trigger.body }"
  - respond: { status: 200, body: "${ steps.reach }" }
"#;

/// The hostile connector with another `[auth]`, and a connection of it.
fn reach(auth: &str, credential: &str) -> (Stage, String) {
    let stage = Stage::empty();
    let credential = credential.replace("TOKEN", &stage.upstream.token);
    let artifact = with_manifest("hostile.wasm", |text| {
        text.replace("[auth]\nscheme = \"bearer\"", &format!("[auth]\n{auth}"))
    });
    let file = stage.write("slot.wasm", artifact);
    stage.ok("workspace create acme");
    stage.install_file(&file, "hostile");
    secret(&stage.dir.path().join("slot.txt"), &credential);
    stage.ok(&format!(
        "connection create target --connector hostile --parameter host=localhost --parameter port={} --parameter scheme=http --credential-file slot.txt",
        stage.upstream.port
    ));
    let hook = stage.apply("reach", RECIPE).unwrap();
    (stage, hook)
}

fn attempt(stage: &Stage, hook: &str, what: &str, page: &str) -> Value {
    let url = format!("http://localhost:{}{page}", stage.upstream.port);
    let (_, seen) = stage.post(hook, &json!({ "what": what, "url": url }));
    seen
}

#[test]
fn every_slot_is_filled_by_the_host_and_masked_on_its_way_back() {
    for (auth, credential) in [
        ("scheme = \"api-key\"\nheader = \"x-api-key\"", "TOKEN"),
        ("scheme = \"api-key\"\nquery = \"api_key\"", "TOKEN"),
        ("scheme = \"basic\"", "shop:TOKEN"),
    ] {
        let (stage, hook) = reach(auth, credential);
        let seen = attempt(&stage, &hook, "reflect_credential", "/anything");
        assert_eq!(seen["status"], 200, "{auth}: {seen}");
        for encoding in ["raw", "base64", "hex", "percent", "json"] {
            let page = format!("/reflect?encoding={encoding}");
            let seen = attempt(&stage, &hook, "reflect_credential", &page);
            assert_eq!(seen["status"], 200, "{auth}, {encoding}: {seen}");
            let body = seen["body"].as_str().unwrap();
            assert!(body.contains("[masked]"), "{auth}, {encoding}: {seen}");
            assert!(
                !body.contains(&stage.upstream.token),
                "{auth}, {encoding}: {seen}"
            );
            let masked = &stage.last_job()["steps"][0]["seen"]["requests"][0]["masked"];
            assert!(masked.as_u64().unwrap() > 0, "{auth}, {encoding}");
        }
        assert!(
            !stage.ok("audit export").contains(&stage.upstream.token),
            "{auth}"
        );
    }
}

#[test]
fn a_query_parameter_of_the_credentials_name_is_denied_to_the_guest() {
    let (stage, hook) = reach("scheme = \"api-key\"\nquery = \"api_key\"", "TOKEN");
    for page in [
        "/anything?api_key=mine",
        "/anything?x=1&api%5Fkey=mine",
        "/anything?x=1;API_KEY=mine",
    ] {
        let seen = attempt(&stage, &hook, "reflect_credential", page);
        assert_eq!(seen["outcome"], "refused", "{page}: {seen}");
        let denial = &stage.last_job()["steps"][0]["seen"]["denials"][0];
        assert_eq!(denial["reason"], "header", "{page}: {denial}");
        assert!(
            denial["remedy"].as_str().unwrap().contains("api_key"),
            "{denial}"
        );
    }
    assert!(stage.denial("header"));
    assert_eq!(stage.upstream.effects()["requests"], 0);
}

#[test]
fn a_component_that_imports_more_than_its_manifest_declares_is_refused_at_install() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    let artifact = with_manifest("hostile.wasm", |text| text.replace(", \"state\"", ""));
    let file = stage.write("more.wasm", artifact);
    let refusal = stage.refused(&format!("connector install {}", file.display()));
    assert!(
        refusal.contains("keyway:host/state")
            && refusal.contains("add \"state\" to `capabilities`"),
        "{refusal}"
    );
    assert_eq!(stage.json("connector list"), json!([]));
}

#[test]
fn a_component_that_imports_files_sockets_or_a_way_of_its_own_is_refused_at_install() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    for (file, import) in [
        ("hostile_file.wasm", "wasi:filesystem"),
        ("hostile_socket.wasm", "wasi:sockets"),
    ] {
        let refusal = stage.refused(&format!("connector install {}", artifact(file).display()));
        assert!(refusal.contains(import), "{refusal}");
    }
    // Nor is there another way to move bytes, under whatever name.
    for import in ["keyway:tcp/streams@0.1.0", "keyway:host/sockets@0.1.0"] {
        let text = format!(
            "(component (import \"{import}\" (instance (export \"connect\" (func (param \"host\" string))))))"
        );
        let bytes = packed("courier", &wat::parse_str(text).unwrap());
        let file = stage.write("courier.wasm", bytes);
        let refusal = stage.refused(&format!("connector install {}", file.display()));
        assert!(refusal.contains(import), "{refusal}");
    }
}

#[test]
fn a_parameter_that_holds_the_credential_is_refused_and_recorded() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.install("orders.wasm", "orders");
    secret(&stage.dir.path().join("word.txt"), "localhost");
    let create = |host: &str| {
        format!(
            "connection create shop --connector orders --parameter host={host} --credential-file word.txt"
        )
    };
    let refusal = stage.refused(&create("localhost.example"));
    assert!(
        refusal.contains("parameter `host` holds the credential"),
        "{refusal}"
    );
    assert_eq!(stage.json("connection list"), json!([]));
    let audit = stage.audit();
    let intent = audit
        .iter()
        .find(|line| line["record"]["operation"] == "connection:create")
        .unwrap();
    let failed = |line: &&Value| {
        line["kind"] == "outcome"
            && line["record"]["id"] == intent["record"]["id"]
            && line["record"]["outcome"] == "failed"
    };
    assert!(audit.iter().any(|line| failed(&line)), "{audit:?}");
    stage.ok(&create("shop.example"));
}
