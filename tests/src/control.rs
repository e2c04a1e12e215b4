//! The control path: every operation of one workspace tried as another.

use serde_json::{Value, json};

use crate::harness::{INTAKE, Stage, order, raw, secret, split};

struct Api {
    address: std::net::SocketAddr,
    token: String,
}

impl Api {
    fn of(stage: &Stage, workspace: &str, role: &str) -> Self {
        let made = stage.json(&format!(
            "--workspace {workspace} token create --role {role} --label test --all-environments"
        ));
        let address = split(&format!("{}/", stage.ready["api"].as_str().unwrap())).0;
        Self {
            address,
            token: made["secret"].as_str().unwrap().to_owned(),
        }
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let authorization = format!("Bearer {}", self.token);
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let path = format!("/api/v1{path}");
        let (status, answer) = raw(
            self.address,
            method,
            &path,
            &[("authorization", &authorization)],
            body.as_bytes(),
        )
        .unwrap();
        (status, String::from_utf8(answer).unwrap())
    }
}

/// Every route below a workspace, with a body that would be accepted.
fn routes(job: &str, digest: &str) -> Vec<(&'static str, String, Value)> {
    let connection = json!({ "name": "x", "connector": "orders", "parameters": { "host": "h" }, "credential": "long-enough" });
    vec![
        ("GET", "/connectors".into(), Value::Null),
        ("POST", "/connectors".into(), Value::Null),
        ("GET", "/connectors/orders".into(), Value::Null),
        (
            "POST",
            format!("/connectors/{digest}/approve"),
            json!({ "why": "w" }),
        ),
        ("POST", format!("/connectors/{digest}/revoke"), Value::Null),
        ("GET", "/connections".into(), Value::Null),
        ("POST", "/connections".into(), connection),
        ("POST", "/connections/shop/check".into(), Value::Null),
        ("GET", "/recipes".into(), Value::Null),
        ("POST", "/recipes".into(), json!({ "text": INTAKE })),
        (
            "POST",
            "/recipes/validate".into(),
            json!({ "text": INTAKE }),
        ),
        ("GET", "/recipes/intake".into(), Value::Null),
        ("POST", "/recipes/intake/stop".into(), Value::Null),
        ("POST", "/recipes/intake/start".into(), Value::Null),
        ("GET", "/jobs".into(), Value::Null),
        ("GET", format!("/jobs/{job}"), Value::Null),
        (
            "POST",
            format!("/jobs/{job}/rerun"),
            json!({ "from": "trigger" }),
        ),
        ("GET", "/audit".into(), Value::Null),
        ("GET", "/audit/export".into(), Value::Null),
        ("GET", "/audit/key".into(), Value::Null),
    ]
}

fn two_workspaces() -> (Stage, String, String) {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
    let job = stage.last_job()["id"].as_str().unwrap().to_owned();
    let digest = stage.json("connector show orders")["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    stage.ok("workspace create rival");
    (stage, job, digest)
}

#[test]
fn a_foreign_workspace_looks_exactly_as_if_it_were_not_there() {
    let (stage, job, digest) = two_workspaces();
    let rival = Api::of(&stage, "rival", "admin");
    for (method, rest, body) in routes(&job, &digest) {
        let foreign = rival.call(
            method,
            &format!("/workspaces/acme/development{rest}"),
            &body,
        );
        let absent = rival.call(
            method,
            &format!("/workspaces/nobody/development{rest}"),
            &body,
        );
        assert_eq!(foreign.0, 404, "{method} {rest}: {}", foreign.1);
        assert_eq!(
            foreign.1.replace("acme", "nobody"),
            absent.1,
            "{method} {rest}"
        );
    }
}

#[test]
fn the_same_operations_work_for_their_own_admin() {
    let (stage, job, digest) = two_workspaces();
    let own = Api::of(&stage, "acme", "admin");
    for (method, rest, body) in routes(&job, &digest) {
        // An empty artifact is no connector, and the check may find the connector revoked.
        let (status, answer) = own.call(
            method,
            &format!("/workspaces/acme/development{rest}"),
            &body,
        );
        assert!(
            !matches!(status, 401 | 403 | 404 | 500),
            "{method} {rest}: {status} {answer}"
        );
    }
}

#[test]
fn an_analyst_reads_and_changes_nothing() {
    let (stage, job, digest) = two_workspaces();
    let analyst = Api::of(&stage, "acme", "analyst");
    for (method, rest, body) in routes(&job, &digest) {
        let (status, answer) = analyst.call(
            method,
            &format!("/workspaces/acme/development{rest}"),
            &body,
        );
        let reads = method == "GET" && !rest.starts_with("/audit") || rest == "/recipes/validate";
        assert_eq!(status == 403, !reads, "{method} {rest}: {status} {answer}");
    }
    assert!(stage.denial("role"));
}

#[test]
fn a_revoked_token_opens_nothing_and_its_recipes_stop_at_their_next_host_call() {
    let (stage, _, _) = two_workspaces();
    let owner = Api::of(&stage, "acme", "admin");
    let (status, answer) = owner.call(
        "POST",
        "/workspaces/acme/development/recipes",
        &json!({ "text": INTAKE.replace("intake", "owned") }),
    );
    assert_eq!(status, 200, "{answer}");
    let hook = stage.json("--workspace acme recipe show owned")["webhook_url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(stage.post(&hook, &order(2)).0, 200);
    let tokens = stage.json("token list");
    let id = tokens.as_array().unwrap().last().unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    stage.ok(&format!("token revoke {id}"));
    assert_eq!(owner.call("GET", "/workspaces", &Value::Null).0, 401);
    assert_eq!(stage.post(&hook, &order(3)).0, 502);
    assert!(
        stage.json("--workspace acme job list --limit 1")[0]["failure"]
            .as_str()
            .unwrap()
            .contains("may not use the connection")
    );
}

#[test]
fn without_a_token_there_is_nothing() {
    let stage = Stage::empty();
    let address = split(&format!("{}/", stage.ready["api"].as_str().unwrap())).0;
    for headers in [
        &[][..],
        &[("authorization", "Bearer kwt_wrong")],
        &[("authorization", "Basic eA==")],
    ] {
        assert_eq!(
            raw(address, "GET", "/api/v1/workspaces", headers, b"")
                .unwrap()
                .0,
            401
        );
    }
}

#[test]
fn a_token_file_that_others_can_read_is_refused() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    let path = stage.dir.path().join("open.txt");
    secret(&path, "kwt_x");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let refusal = stage.refused("--url http://127.0.0.1:1 --token-file open.txt workspace list");
    assert!(refusal.contains("chmod 600"), "{refusal}");
}
