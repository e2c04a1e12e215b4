//! What an approved but malicious connector tries.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{CALL_IMPORT, Stage, artifact, with_manifest};

const ATTEMPT: &str = r#"recipe: attempt
trigger: { webhook: {} }
steps:
  - id: try
    action: hostile.attempt
    connection: target
    input: "${ trigger.body }"
  - respond: { status: 200, body: "${ steps.try }" }
"#;

pub(crate) struct Attacker {
    pub(crate) stage: Stage,
    hook: String,
}

impl Attacker {
    pub(crate) fn new() -> Self {
        let stage = Stage::configured("[limits]\ncpu_ms_max = 200\nwall_ms_max = 2000\n");
        Self::in_stage(stage, |_| artifact("hostile.wasm"))
    }

    /// The same in this deployment, with this artifact.
    pub(crate) fn in_stage(stage: Stage, artifact: impl FnOnce(&Stage) -> PathBuf) -> Self {
        stage.ok("workspace create acme");
        stage.install_file(&artifact(&stage), "hostile");
        stage.connect("target", "hostile");
        let hook = stage.apply("attempt", ATTEMPT).unwrap();
        Self { stage, hook }
    }

    pub(crate) fn tries(&self, input: &Value) -> Value {
        let (_, seen) = self.stage.post(&self.hook, input);
        assert!(
            !seen.to_string().contains(&self.stage.upstream.token),
            "the guest saw the credential: {seen}"
        );
        seen
    }

    pub(crate) fn here(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.stage.upstream.port)
    }
}

#[test]
fn another_host_another_method_and_another_path_are_denied_and_recorded() {
    let attacker = Attacker::new();
    for (what, reason) in [
        ("other_host", "destination"),
        ("other_method", "method"),
        ("other_path", "path"),
    ] {
        let seen = attacker.tries(&json!({ "what": what }));
        assert_eq!(seen["outcome"], "refused", "{what}: {seen}");
        assert!(
            attacker.stage.denial(reason),
            "{what}: no record of a denial for {reason}"
        );
        let job = attacker.stage.last_job();
        let remedy = &job["steps"][0]["seen"]["denials"][0]["remedy"];
        assert!(
            remedy.as_str().is_some_and(|text| !text.is_empty()),
            "{what}: {job}"
        );
    }
    let effects = attacker.stage.upstream.effects();
    assert_eq!(effects["effects"], 0, "nothing reached the upstream");
}

#[test]
fn an_address_that_is_not_public_is_refused_although_its_host_is_granted() {
    let attacker = Attacker::new();
    let seen = attacker.tries(&json!({ "what": "private_address" }));
    assert_eq!(seen["outcome"], "refused", "{seen}");
    let job = attacker.stage.last_job();
    let request = &job["steps"][0]["seen"]["requests"][0];
    let failed = request["failed"].as_str().unwrap();
    assert!(failed.contains("not a public address"), "{job}");
    assert!(failed.contains("[[egress.allow]]"), "the remedy: {job}");
    let audit = attacker.stage.audit();
    let intent = audit
        .iter()
        .find(|line| line["record"]["target"]["origin"] == "http://169.254.169.254:80")
        .unwrap_or_else(|| panic!("no intent: {audit:?}"));
    let outcome = audit
        .iter()
        .find(|line| line["kind"] == "outcome" && line["record"]["id"] == intent["record"]["id"])
        .unwrap_or_else(|| panic!("no outcome of {intent}"));
    assert_eq!(outcome["record"]["outcome"], "refused", "{outcome}");
}

#[test]
fn a_guest_that_is_ended_at_a_limit_leaves_a_record_that_says_so() {
    let attacker = Attacker::new();
    for (what, limit) in [
        ("endless_loop", "cpu_ms_max"),
        ("memory_bomb", "memory_bytes_max"),
    ] {
        let (status, _) = attacker
            .stage
            .post(&attacker.hook, &json!({ "what": what }));
        assert_eq!(status, 502, "{what}");
        let job = attacker.stage.last_job()["id"].clone();
        let audit = attacker.stage.audit();
        let ended = audit.iter().any(|line| {
            let record = &line["record"];
            record["actor"]["job"] == job
                && record["ended"]
                    .as_str()
                    .is_some_and(|ended| ended.contains(limit))
        });
        assert!(ended, "{what}: {audit:?}");
    }
}

#[test]
fn an_input_over_its_limit_makes_no_call_and_leaves_a_record_that_says_so() {
    let attacker = Attacker::in_stage(Stage::empty(), |stage| {
        let asking = |manifest: &str| format!("{manifest}\n[limits]\nvalue_bytes_max = 3000\n");
        stage.write("asking.wasm", with_manifest("hostile.wasm", asking))
    });
    let input = json!({ "what": "read_environment", "more": "x".repeat(5_000) });
    assert_eq!(attacker.stage.post(&attacker.hook, &input).0, 502);
    let job = attacker.stage.last_job();
    let failure = job["failure"].as_str().unwrap();
    assert!(failure.contains("`value_bytes_max` (3000)"), "{failure}");
    let audit = attacker.stage.audit();
    let is_told = |line: &Value| {
        let ended = line["record"]["ended"].as_str().unwrap_or_default();
        line["record"]["actor"]["job"] == job["id"] && ended.contains("value_bytes_max")
    };
    assert!(audit.iter().any(is_told), "{audit:?}");
}

#[test]
fn denials_look_the_same_to_the_guest() {
    let attacker = Attacker::new();
    let texts: Vec<String> = [
        "other_host",
        "other_method",
        "other_path",
        "private_address",
    ]
    .map(|what| {
        attacker.tries(&json!({ "what": what }))["text"]
            .as_str()
            .unwrap()
            .to_owned()
    })
    .map(|text| {
        let own = |word: &&str| word.contains("://") || ["GET", "DELETE"].contains(word);
        text.split(' ')
            .filter(|word| !own(word))
            .collect::<String>()
    })
    .to_vec();
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
}

#[test]
fn a_redirect_to_an_ungranted_path_is_not_followed() {
    let attacker = Attacker::new();
    let url = attacker.here(&format!(
        "/redirect?to=http%3A%2F%2Flocalhost%3A{}%2Fadmin",
        attacker.stage.upstream.port
    ));
    attacker.tries(&json!({ "what": "redirect", "url": url }));
    assert!(attacker.stage.denial("path"));
}

#[test]
fn a_reflecting_page_gives_no_byte_of_the_credential_back() {
    let attacker = Attacker::new();
    for encoding in [
        "",
        "encoding=base64",
        "encoding=hex",
        "encoding=percent",
        "encoding=json",
        "chunks=3",
        "encoding=base64&chunks=5",
    ] {
        let url = attacker.here(&format!("/reflect?{encoding}"));
        let seen = attacker.tries(&json!({ "what": "reflect_credential", "url": url }));
        assert_eq!(seen["status"], 200, "{encoding}: {seen}");
        assert!(
            seen["body"].as_str().unwrap().contains("[masked]"),
            "{encoding}: {seen}"
        );
        let token = &attacker.stage.upstream.token;
        let hex = hex::encode(token);
        assert!(!seen.to_string().contains(&hex), "{encoding}");
        let job = attacker.stage.last_job();
        assert!(
            job["steps"][0]["seen"]["requests"][0]["masked"]
                .as_u64()
                .unwrap()
                > 0,
            "{encoding}: {job}"
        );
    }
}

#[test]
fn an_authorization_header_of_the_guest_is_refused() {
    let attacker = Attacker::new();
    let seen = attacker.tries(&json!({ "what": "own_authorization" }));
    assert_ne!(seen["outcome"], "answered", "{seen}");
}

#[test]
fn a_header_that_asks_for_a_part_or_names_another_method_is_refused() {
    const SEND: &str = r#"recipe: send
trigger: { webhook: {} }
steps:
  - id: send
    action: http.get
    connection: api
    input: "${ trigger.body }"
  - respond: { status: 200, body: "${ steps.send }" }
"#;
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.install("http.wasm", "http");
    stage.connect("api", "http");
    let hook = stage.apply("send", SEND).unwrap();
    for header in [
        "range",
        "If-Range",
        "x-http-method-override",
        "X-Original-URL",
        "x-rewrite-url",
        "x-forwarded-host",
        "transfer-encoding",
    ] {
        let input = json!({ "path": "/reflect", "headers": { header: "bytes=0-0" } });
        let (status, seen) = stage.post(&hook, &input);
        assert_eq!(status, 502, "{header}: {seen}");
    }
    for path in [
        "/orders/..;/account",
        "/orders/%252e%252e/account",
        "/orders/%2e%2e%3bx/account",
        "/orders%252faccount",
    ] {
        let (status, seen) = stage.post(&hook, &json!({ "path": path }));
        assert_eq!(status, 502, "{path}: {seen}");
    }
    assert_eq!(stage.upstream.effects()["requests"], 0);
    assert_eq!(stage.post(&hook, &json!({ "path": "/account" })).0, 200);
}

#[test]
fn what_tells_of_a_masked_body_does_not_pass() {
    let attacker = Attacker::new();
    let url = attacker.here("/reflect");
    let seen = attacker.tries(&json!({ "what": "reflect_credential", "url": url }));
    let length = seen["headers"]["content-length"].as_str().unwrap();
    let body = seen["body"].as_str().unwrap();
    assert_eq!(length, body.len().to_string(), "{seen}");
}

#[test]
fn a_body_that_repeats_the_beginning_of_a_secret_holds_nobody_up() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.install("http.wasm", "http");
    crate::harness::secret(&stage.dir.path().join("a.txt"), &"a".repeat(200));
    stage.ok(&format!(
        "connection create api --connector http --parameter host=localhost --parameter port={} --parameter scheme=http --credential-file a.txt",
        stage.upstream.port
    ));
    let text = r#"recipe: send
trigger: { webhook: {} }
steps:
  - id: send
    action: http.send
    connection: api
    input: { method: POST, path: /echo, expect: [200, 401], body: { text: "${ trigger.body.text }", content_type: text/plain } }
  - respond: { status: 200, body: done }
"#;
    let hook = stage.apply("send", text).unwrap();
    let (status, answer) = stage.post(&hook, &json!({ "text": "a".repeat(700_000) }));
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn the_environment_is_empty() {
    let attacker = Attacker::new();
    let seen = attacker.tries(&json!({ "what": "read_environment" }));
    assert_eq!(seen["variables"], json!({}), "{seen}");
}

#[test]
fn an_endless_loop_and_a_memory_bomb_end_and_the_deployment_goes_on() {
    let attacker = Attacker::new();
    attacker.tries(&json!({ "what": "endless_loop" }));
    let job = attacker.stage.last_job();
    assert!(
        job["failure"].as_str().unwrap().contains("cpu_ms_max"),
        "{job}"
    );
    attacker.tries(&json!({ "what": "memory_bomb" }));
    assert_eq!(
        attacker.tries(&json!({ "what": "read_environment" }))["outcome"],
        "read"
    );
}

#[test]
fn the_platform_sets_how_much_memory_a_guest_may_take() {
    for mebibytes in [16, 160] {
        let stage = Stage::configured(&format!(
            "[limits]\nmemory_bytes_max = {}\ncpu_ms_max = 20000\n",
            mebibytes << 20
        ));
        stage.ok("workspace create acme");
        stage.install("hostile.wasm", "hostile");
        stage.connect("target", "hostile");
        let hook = stage.apply("attempt", ATTEMPT).unwrap();
        stage.post(&hook, &json!({ "what": "memory_bomb" }));
        let job = stage.last_job();
        let expected = format!("`memory_bytes_max` ({})", mebibytes << 20);
        assert!(
            job["failure"].as_str().unwrap().contains(&expected),
            "{job}"
        );
    }
}

#[test]
fn state_of_another_workspace_is_out_of_reach() {
    let stage = Stage::empty();
    stage.write("call.yaml", CALL_IMPORT);
    let hooks = ["rival", "acme"].map(|workspace| {
        stage.ok(&format!("workspace create {workspace}"));
        let at = format!("--workspace {workspace}");
        let file = artifact("hostile.wasm");
        stage.ok(&format!("{at} connector install {}", file.display()));
        let digest = stage.json(&format!("{at} connector show hostile"))["digest"].clone();
        let digest = digest.as_str().unwrap();
        stage.ok(&format!("{at} connector approve hostile --digest {digest} --why tested"));
        stage.ok(&format!(
            "{at} connection create target --connector hostile --parameter host=localhost --parameter port={} --parameter scheme=http --credential-file token.txt",
            stage.upstream.port
        ));
        stage.ok(&format!("{at} recipe apply call.yaml"));
        let shown = stage.json(&format!("{at} recipe show call"));
        shown["webhook_url"].as_str().unwrap().to_owned()
    });
    let [rival, acme] = &hooks;
    let call = |hook: &str, function: &str, argument: &str| {
        let input =
            json!({ "function": format!("keyway:host/state#{function}"), "argument": argument });
        stage.post(hook, &input).1["seen"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(call(rival, "set", "of the rival"), "Ok(())");
    assert_eq!(
        call(acme, "get", ""),
        "Ok(None)",
        "the same connection name, the same key"
    );
    assert_eq!(call(acme, "set", "of acme"), "Ok(())");
    assert_eq!(call(acme, "delete", ""), "Ok(())");
    assert_eq!(call(rival, "get", ""), "Ok(Some(\"of the rival\"))");
}

#[test]
fn a_revoked_connector_stops_at_its_next_host_call() {
    let attacker = Attacker::new();
    let digest = attacker.stage.json("connector show hostile")["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let seen =
        attacker.tries(&json!({ "what": "reflect_credential", "url": attacker.here("/anything") }));
    assert_eq!(seen["outcome"], "answered", "{seen}");
    attacker.stage.ok(&format!("connector revoke {digest}"));
    let (status, _) = attacker
        .stage
        .post(&attacker.hook, &json!({ "what": "other_path" }));
    assert_eq!(status, 502);
    let why = attacker.stage.last_job()["failure"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(why.contains("not approved"), "{why}");
}
