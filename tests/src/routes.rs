//! The routes of the API, as `docs/api.md` lists them, and who calls them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::{INTAKE, Stage, order, raw, root, split};

/// A route of `docs/api.md`, which is made from the tables that each listener's
/// router is made from.
pub(crate) struct Documented {
    pub(crate) listener: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) operation: String,
    pub(crate) body_bytes_max: usize,
}

/// Every route.
pub(crate) fn documented() -> Vec<Documented> {
    let page = std::fs::read_to_string(root().join("docs/api.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        match cells.as_slice() {
            ["", listener, method, path, operation, body, ""] if path.starts_with('/') => {
                Some(Documented {
                    listener: (*listener).to_owned(),
                    method: (*method).to_owned(),
                    path: (*path).to_owned(),
                    operation: (*operation).to_owned(),
                    body_bytes_max: body.parse().unwrap(),
                })
            }
            _ => None,
        }
    });
    rows.collect()
}

/// Whether a path is one that `template` stands for.
pub(crate) fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(pattern, part)| pattern.starts_with('{') || pattern == part)
}

/// What is recorded for a documented route: the operation of the row that fits
/// best, names before placeholders.
pub(crate) fn operation_of(method: &str, path: &str) -> String {
    let rows = documented();
    let fitting = rows
        .iter()
        .filter(|row| row.method == method && fits(&row.path, path));
    let best = fitting.min_by_key(|row| row.path.matches('{').count());
    best.unwrap_or_else(|| panic!("{method} {path} is not in docs/api.md"))
        .operation
        .clone()
}

/// A caller of the API with a token.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Api {
    pub(crate) fn of(stage: &Stage, workspace: &str, role: &str) -> Self {
        let made = stage.json(&format!(
            "--workspace {workspace} token create --role {role} --label test --all-environments"
        ));
        let address = split(&format!("{}/", stage.ready["api"].as_str().unwrap())).0;
        Self {
            address,
            token: made["secret"].as_str().unwrap().to_owned(),
        }
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, &format!("/api/v1{path}"), body.as_bytes())
    }

    /// Sends bytes, whatever they are.
    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let authorization = format!("Bearer {}", self.token);
        let headers = [("authorization", authorization.as_str())];
        let (status, answer) = raw(self.address, method, path, &headers, body).unwrap();
        (status, String::from_utf8(answer).unwrap())
    }
}

/// Every route below a workspace, with a body that would be accepted.
pub(crate) fn routes(job: &str, digest: &str) -> Vec<(&'static str, String, Value)> {
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
        ("GET", "/limits".into(), Value::Null),
        (
            "POST",
            "/limits".into(),
            json!({ "set": { "log_lines_max": 500 }, "unset": ["cpu_ms_max"] }),
        ),
        ("GET", "/audit".into(), Value::Null),
        ("GET", "/audit/export".into(), Value::Null),
        ("GET", "/audit/key".into(), Value::Null),
    ]
}

/// A deployment in which `acme` has everything, one job included, and `rival`
/// has nothing; the job's id and the connector's digest.
pub(crate) fn two_workspaces(config: &str) -> (Stage, String, String) {
    let stage = Stage::configured(config);
    stage.shop();
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
