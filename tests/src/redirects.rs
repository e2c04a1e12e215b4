//! Redirects that the host follows, where a manifest says so: through the whole,
//! to servers that note what reaches them.

use serde_json::{Value, json};

use crate::harness::{Stage, with_manifest};
use crate::listener::{Listener, reply};

/// A deployment with the `http` connector, which follows redirects of its API
/// and may also read below `/granted/` of another place.
struct Following {
    stage: Stage,
    api: Listener,
    other: Listener,
}

impl Following {
    /// The API answers with a redirect to what the query's `to` says.
    fn new(status: &'static str) -> Self {
        Self::with(status, |manifest| {
            manifest.replacen(
                "[destinations.api]",
                "[destinations.api]\nredirects = \"follow\"",
                1,
            )
        })
    }

    fn with(status: &'static str, edit: impl Fn(&str) -> String) -> Self {
        let api = Listener::answering(move |request| {
            let target = request.split(' ').nth(1).unwrap();
            match target.split_once("?to=") {
                Some(_) if target.starts_with("/loop") => {
                    reply(status, "location: /loop?to=again\r\n", "moved")
                }
                Some((_, to)) => {
                    let to = to
                        .replace("%3A", ":")
                        .replace("%2F", "/")
                        .replace("%3F", "?")
                        .replace("%3D", "=");
                    reply(status, &format!("location: {to}\r\n"), "moved")
                }
                None => reply(
                    "200 OK",
                    "content-type: application/json\r\n",
                    "{\"at\":\"api\"}",
                ),
            }
        });
        let other = Listener::answering(|_| {
            reply(
                "200 OK",
                "content-type: application/json\r\n",
                "{\"at\":\"other\"}",
            )
        });
        let mut allowed = String::new();
        for (host, port) in [("localhost", api.port), ("127.0.0.1", other.port)] {
            allowed += &format!(
                "[[egress.allow]]\nhost = \"{host}\"\nport = {port}\ncleartext = true\n\n"
            );
        }
        let stage = Stage::configured(&allowed);
        let artifact = with_manifest("http.wasm", |manifest| {
            let place = format!(
                "[destinations.other]\nschemes = [\"http\"]\nhost = \"127.0.0.1\"\nport = {}\n\n[auth]",
                other.port
            );
            edit(manifest)
                .replacen("[auth]", &place, 1)
                // The credential may go to both: a redirect takes it along to neither.
                .replacen("destinations = [\"api\"]", "destinations = [\"api\", \"other\"]", 1)
                .replace(
                    "paths = [\"/**\"] }]",
                    "paths = [\"/**\"] }, { destination = \"other\", methods = [\"GET\"], paths = [\"/granted/**\"] }]",
                )
                .replace("methods = [\"POST\", \"PUT\"", "methods = [\"GET\", \"POST\", \"PUT\"")
        });
        let file = stage.write("following.wasm", artifact);
        stage.ok("workspace create acme");
        stage.install_file(&file, "http");
        stage.ok(&format!(
            "connection create api --connector http --parameter host=localhost --parameter port={} --parameter scheme=http --credential-file token.txt",
            api.port
        ));
        Self { stage, api, other }
    }

    fn run(&self, action: &str, input: &Value) -> (u16, Value) {
        let recipe = format!(
            "recipe: {action}\ntrigger: {{ webhook: {{}} }}\nsteps:\n  - id: call\n    action: http.{action}\n    connection: api\n    input: \"${{ trigger.body }}\"\n  - respond: {{ status: 200, body: \"${{ steps.call }}\" }}\n"
        );
        let hook = self.stage.apply(action, &recipe).unwrap();
        self.stage.post(&hook, input)
    }

    fn there(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.other.port)
    }

    /// Origin, decision and outcome of each request in the audit log, in order.
    fn recorded(&self) -> Vec<(String, String, Value)> {
        let audit = self.stage.audit();
        let intents = audit
            .iter()
            .filter(|line| line["record"]["operation"] == "http.send");
        let outcome = |id: &Value| {
            let found = audit
                .iter()
                .find(|line| line["kind"] == "outcome" && line["record"]["id"] == *id);
            found.map_or(Value::Null, |line| line["record"]["status"].clone())
        };
        intents
            .map(|line| {
                let record = &line["record"];
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let port = text(&record["target"]["origin"]);
                (port, text(&record["decision"]), outcome(&record["id"]))
            })
            .collect()
    }

    fn at_api(&self) -> String {
        format!("http://localhost:{}", self.api.port)
    }

    fn at_other(&self) -> String {
        format!("http://127.0.0.1:{}", self.other.port)
    }
}

#[test]
fn each_hop_is_decided_and_recorded_and_the_credential_stays_with_its_origin() {
    let following = Following::new("302 Found");
    let to = following.there("/granted/x?a=b");
    let headers =
        json!({ "cookie": "session=canary", "x-api-key": "canary-key", "accept-language": "de" });
    let input = json!({ "path": "/moved", "query": { "to": to }, "headers": headers });
    let (status, answer) = following.run("get", &input);
    assert_eq!(
        (status, &answer["body"]["json"]["at"]),
        (200, &json!("other")),
        "{answer}"
    );

    let token = &following.stage.upstream.token;
    let first = following.api.requests().remove(0);
    assert!(
        first.contains(token) && first.contains("session=canary"),
        "{first}"
    );
    let second = following.other.requests().remove(0);
    assert!(
        second.starts_with("GET /granted/x?a=b HTTP/1.1\r\n"),
        "{second}"
    );
    assert!(second.contains("\r\naccept-language: de\r\n"), "{second}");
    for secret in [token, "canary", "authorization", "cookie", "x-api-key"] {
        assert!(!second.contains(secret), "{secret}: {second}");
    }
    let allowed = |origin: String, status: u16| (origin, "allowed".to_owned(), json!(status));
    assert_eq!(
        following.recorded(),
        [
            allowed(following.at_api(), 302),
            allowed(following.at_other(), 200)
        ]
    );
}

#[test]
fn within_its_origin_a_redirect_takes_the_credential_along() {
    let following = Following::new("307 Temporary Redirect");
    let body = json!({ "json": { "order": 1 } });
    let input =
        json!({ "method": "POST", "path": "/moved", "query": { "to": "/there" }, "body": body });
    let (status, answer) = following.run("send", &input);
    assert_eq!(
        (status, &answer["body"]["json"]["at"]),
        (200, &json!("api")),
        "{answer}"
    );
    let [first, second] = following.api.requests().try_into().unwrap();
    let rest = |request: &str| request.split_once(" HTTP/1.1\r\n").unwrap().1.to_owned();
    assert!(second.starts_with("POST /there HTTP/1.1\r\n"), "{second}");
    assert_eq!(
        rest(&first),
        rest(&second),
        "the same headers, the same body"
    );
    assert!(second.contains(&following.stage.upstream.token), "{second}");
}

#[test]
fn a_post_that_is_answered_elsewhere_becomes_a_get_without_its_body() {
    let following = Following::new("303 See Other");
    let body = json!({ "json": { "order": 1 } });
    let to = following.there("/granted/result");
    let input = json!({ "method": "POST", "path": "/moved", "query": { "to": to }, "body": body });
    let (status, answer) = following.run("send", &input);
    assert_eq!(
        (status, &answer["body"]["json"]["at"]),
        (200, &json!("other")),
        "{answer}"
    );
    let second = following.other.requests().remove(0);
    assert!(
        second.starts_with("GET /granted/result HTTP/1.1\r\n"),
        "{second}"
    );
    assert!(
        second.ends_with("\r\n\r\n") && !second.contains("content-"),
        "{second}"
    );
}

#[test]
fn a_hop_to_what_is_not_granted_is_denied_and_recorded() {
    let following = Following::new("302 Found");
    for (to, reason) in [
        (following.there("/elsewhere"), "path"),
        ("http://169.254.169.254/latest".to_owned(), "destination"),
        (
            format!("http://127.0.0.1:{}/", following.stage.upstream.port),
            "destination",
        ),
        ("http://user:pass@127.0.0.1/".to_owned(), "malformed"),
        ("ftp://127.0.0.1/".to_owned(), "malformed"),
        (
            format!("/x?t={}", following.stage.upstream.token),
            "redirect",
        ),
    ] {
        let (status, _) = following.run("get", &json!({ "path": "/moved", "query": { "to": to } }));
        assert_eq!(status, 502, "{to}");
        assert!(
            following.stage.denial(reason),
            "{to}: no denial for {reason}"
        );
        let failure = following.stage.last_job()["failure"].to_string();
        assert!(
            !failure.contains(&following.stage.upstream.token),
            "{failure}"
        );
    }
    assert!(following.other.requests().is_empty());
    assert_eq!(following.stage.upstream.effects()["requests"], 0);
}

#[test]
fn redirects_without_an_end_are_followed_five_times() {
    let following = Following::new("302 Found");
    let input = json!({ "path": "/loop", "query": { "to": "again" } });
    let (status, answer) = following.run("get", &input);
    assert_eq!(status, 502, "{answer}");
    let asked = following.api.requests().len();
    assert_eq!(asked, 6, "the request and five redirects");
    assert!(following.stage.denial("limit"));
}

#[test]
fn without_the_word_in_the_manifest_the_guest_gets_the_redirect_itself() {
    let following = Following::with("302 Found", |manifest| {
        manifest.replacen("title = \"HTTP\"", "title = \"HTTP as it was\"", 1)
    });
    let to = following.there("/granted/x");
    let input = json!({ "path": "/moved", "query": { "to": to }, "expect": [302] });
    let (status, answer) = following.run("get", &input);
    assert_eq!((status, &answer["status"]), (200, &json!(302)), "{answer}");
    assert_eq!(answer["headers"]["location"], to, "{answer}");
    assert!(following.other.requests().is_empty());
}
