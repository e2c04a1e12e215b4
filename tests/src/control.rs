//! The control path: every operation of one workspace tried as another.

use serde_json::{Value, json};

use crate::harness::{INTAKE, Stage, order, raw, secret, split};
use crate::routes::{Api, documented, fits, operation_of, routes, two_workspaces};

#[test]
fn every_documented_route_is_tried_as_another_workspace() {
    let tried = routes("job_0", "sha256:0");
    let missing: Vec<_> = documented()
        .into_iter()
        // Beside these, no workspace is asked for anything.
        .filter(|route| route.path.starts_with("/api/"))
        .map(|route| (route.method, route.path))
        .filter(|(method, path)| {
            let Some(rest) = path.strip_prefix("/api/v1/workspaces/{ws}/{env}") else {
                // Tried by `workspaces_and_tokens_of_others_are_out_of_reach`.
                return !PLATFORM_ROUTES.contains(&(method.as_str(), path.as_str()));
            };
            !tried.iter().any(|(m, p, _)| m == method && fits(rest, p))
        })
        .collect();
    assert!(missing.is_empty(), "no test tries {missing:?}");
}

const PLATFORM_ROUTES: [(&str, &str); 8] = [
    ("POST", "/api/v1/workspaces"),
    ("GET", "/api/v1/workspaces"),
    ("GET", "/api/v1/workspaces/{ws}"),
    ("POST", "/api/v1/tokens"),
    ("GET", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens/{id}/revoke"),
    ("GET", "/api/v1/alarms"),
    ("POST", "/api/v1/alarms/{id}/acknowledge"),
];

#[test]
fn workspaces_and_tokens_of_others_are_out_of_reach() {
    let (stage, _, _) = two_workspaces("");
    let (own, rival) = (
        Api::of(&stage, "acme", "admin"),
        Api::of(&stage, "rival", "admin"),
    );
    let (status, answer) = rival.call("POST", "/workspaces", &json!({ "name": "third" }));
    assert_eq!(status, 403, "{answer}");
    let (status, answer) = rival.call("GET", "/workspaces", &Value::Null);
    assert_eq!(status, 403, "{answer}");
    let show = |name: &str| rival.call("GET", &format!("/workspaces/{name}"), &Value::Null);
    let (status, answer) = show("rival");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"rival\""), "{answer}");
    let (foreign, absent) = (show("acme"), show("nobody"));
    assert_eq!(foreign.0, 404, "{}", foreign.1);
    assert_eq!(foreign.1.replace("acme", "nobody"), absent.1);

    let token = |workspace: &str| json!({ "workspace": workspace, "role": "admin", "label": "mine", "expires_in_seconds": 60 });
    let foreign = rival.call("POST", "/tokens", &token("acme"));
    let absent = rival.call("POST", "/tokens", &token("nobody"));
    assert_eq!(foreign.0, 404, "{}", foreign.1);
    assert_eq!(foreign.1.replace("acme", "nobody"), absent.1);
    assert_eq!(rival.call("POST", "/tokens", &token("rival")).0, 200);

    let ids = |api: &Api| -> Vec<String> {
        let (status, answer) = api.call("GET", "/tokens", &Value::Null);
        assert_eq!(status, 200, "{answer}");
        let tokens: Vec<Value> = serde_json::from_str(&answer).unwrap();
        tokens
            .iter()
            .map(|token| token["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let (own_ids, rival_ids) = (ids(&own), ids(&rival));
    assert_eq!((own_ids.len(), rival_ids.len()), (1, 2));
    assert!(own_ids.iter().all(|id| !rival_ids.contains(id)));
    let revoke = |id: &str| rival.call("POST", &format!("/tokens/{id}/revoke"), &Value::Null);
    let foreign = revoke(&own_ids[0]);
    assert_eq!(foreign.0, 404, "{}", foreign.1);
    assert_eq!(
        own.call("GET", "/recipes-are-elsewhere", &Value::Null).0,
        404
    );
    assert_eq!(ids(&own).len(), 1, "it still opens what it opened");
}

#[test]
fn health_needs_no_token_and_tells_nothing_else() {
    let stage = Stage::empty();
    let address = split(&format!("{}/", stage.ready["api"].as_str().unwrap())).0;
    for path in ["/healthz", "/readyz"] {
        let (status, said) = raw(address, "GET", path, &[], b"").unwrap();
        assert_eq!(status, 200);
        assert!(said.len() < 10, "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn a_foreign_workspace_looks_exactly_as_if_it_were_not_there() {
    let (stage, job, digest) = two_workspaces("");
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
    let (stage, job, digest) = two_workspaces("");
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
        let operation = operation_of(
            method,
            &format!("/api/v1/workspaces/acme/development{rest}"),
        );
        let is_recorded = stage.audit().iter().any(|line| {
            let record = &line["record"];
            record["operation"] == operation
                && record["actor"]["principal"]
                    .as_str()
                    .unwrap()
                    .starts_with("tok_")
        });
        assert!(is_recorded, "{method} {rest}: no record of {operation}");
    }
}

#[test]
fn an_analyst_reads_and_changes_nothing() {
    let (stage, job, digest) = two_workspaces("");
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
    let (stage, _, _) = two_workspaces("");
    let owner = Api::of(&stage, "acme", "admin");
    let hook = recipe_of(&stage, &owner);
    let tokens = stage.json("token list");
    let id = tokens.as_array().unwrap().last().unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    stage.ok(&format!("token revoke {id}"));
    assert_eq!(owner.call("GET", "/workspaces", &Value::Null).0, 401);
    assert_eq!(stage.post(&hook, &order(3)).0, 502);
    assert!(why_last_failed(&stage).contains("may not use the connection"));
}

/// The webhook of a recipe that runs on the rights of `owner`, and works.
fn recipe_of(stage: &Stage, owner: &Api) -> String {
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
    hook
}

/// Why the newest job of acme failed, in full.
fn why_last_failed(stage: &Stage) -> String {
    let listed = stage.json("--workspace acme job list --limit 1");
    let id = listed[0]["id"].as_str().unwrap();
    let job = stage.json(&format!("--workspace acme job show {id}"));
    job["failure"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_that_has_expired_opens_nothing_and_its_recipes_stop() {
    let (stage, _, _) = two_workspaces("");
    let owner = Api::of(&stage, "acme", "admin");
    let (status, made) = owner.call(
        "POST",
        "/tokens",
        &json!({ "workspace": "acme", "role": "admin", "label": "short", "expires_in_seconds": 12 }),
    );
    assert_eq!(status, 200, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    let short = Api {
        address: owner.address,
        token: made["secret"].as_str().unwrap().to_owned(),
    };
    let hook = recipe_of(&stage, &short);
    stage.until("the end of the token", |_| {
        (short.call("GET", "/workspaces/acme", &Value::Null).0 == 401).then_some(())
    });
    stage.until("the end of its rights", |stage| {
        (stage.post(&hook, &order(3)).0 == 502).then_some(())
    });
    // The job before may have been under way when they ended, and then its
    // guest was refused; this one begins without them.
    assert_eq!(stage.post(&hook, &order(4)).0, 502);
    assert!(why_last_failed(&stage).contains("may not use the connection"));
}

#[test]
fn a_token_of_one_environment_reads_the_audit_log_of_that_environment_alone() {
    let (stage, _, _) = two_workspaces("");
    let token = |more: &str| {
        let made = stage.json(&format!(
            "--workspace acme token create --role admin --label test {more}"
        ));
        Api {
            address: split(&format!("{}/", stage.ready["api"].as_str().unwrap())).0,
            token: made["secret"].as_str().unwrap().to_owned(),
        }
    };
    let (test, all) = (token("--environment test"), token("--all-environments"));
    let place = "/workspaces/acme/test";
    let (status, listed) = test.call("GET", &format!("{place}/audit?limit=1000"), &Value::Null);
    assert_eq!(status, 200, "{listed}");
    assert!(
        !listed.contains("http.send"),
        "a job of development: {listed}"
    );
    for rest in ["/audit/export", "/audit/key"] {
        let (status, answer) = test.call("GET", &format!("{place}{rest}"), &Value::Null);
        let expected = if rest == "/audit/export" { 403 } else { 200 };
        assert_eq!(status, expected, "{rest}: {answer}");
        assert_eq!(
            all.call("GET", &format!("{place}{rest}"), &Value::Null).0,
            200
        );
    }
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
