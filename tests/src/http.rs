//! The `http` connector against a real server.

use std::io::Read as _;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::harness::Stage;

/// A deployment with the `http` connector and a recipe that passes its event on as input.
struct Rest(Stage);

impl Rest {
    fn new() -> Self {
        let stage = Stage::empty();
        stage.ok("workspace create acme");
        stage.install("http.wasm", "http");
        stage.connect("api", "http");
        Self(stage)
    }

    /// Runs one action and answers with status and body of the webhook.
    fn run(&self, action: &str, input: &Value) -> (u16, Value) {
        let recipe = format!(
            "recipe: {action}\ntrigger: {{ webhook: {{}} }}\nsteps:\n  - id: call\n    action: http.{action}\n    connection: api\n    input: \"${{ trigger.body }}\"\n  - respond: {{ status: 200, body: \"${{ steps.call }}\" }}\n"
        );
        let hook = self.0.apply(action, &recipe).unwrap();
        self.0.post(&hook, input)
    }
}

fn order(reference: &str) -> Value {
    json!({
        "reference": reference, "customer": { "name": "n", "email": "e" },
        "items": [{ "sku": "s", "quantity": 1, "unit_cents": 1 }], "total_cents": 1,
    })
}

#[test]
fn one_thing_is_read_by_a_path_template_with_query_and_headers() {
    let rest = Rest::new();
    rest.0.upstream.add_order(&order("R-1"));
    let (_, all) = rest.run(
        "get",
        &json!({ "path": "/orders", "query": { "limit": "5" } }),
    );
    let id = all["body"]["json"]["orders"][0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{all}"))
        .to_owned();
    let (status, one) = rest.run(
        "get",
        &json!({ "path": "/orders/{id}", "parameters": { "id": id }, "headers": { "x-trace": "1" } }),
    );
    assert_eq!(
        (status, &one["body"]["json"]["reference"]),
        (200, &json!("R-1")),
        "{one}"
    );
    // A parameter stays one segment of the path.
    let (status, said) = rest.run(
        "get",
        &json!({ "path": "/orders/{id}", "parameters": { "id": "../account" } }),
    );
    assert_eq!(status, 502, "{said}");
    assert!(rest.0.upstream.effects()["by_path"]["/account"].is_null());
}

#[test]
fn an_unexpected_status_is_a_typed_failure_and_an_expected_one_is_not() {
    let rest = Rest::new();
    let (status, _) = rest.run("get", &json!({ "path": "/orders/ord_none" }));
    assert_eq!(status, 502);
    let why = rest.0.last_job()["failure"].as_str().unwrap().to_owned();
    assert!(why.contains("not-found"), "{why}");
    let (status, answer) = rest.run(
        "get",
        &json!({ "path": "/orders/ord_none", "expect": [404] }),
    );
    assert_eq!((status, &answer["status"]), (200, &json!(404)), "{answer}");
}

#[test]
fn a_list_is_read_page_by_page_by_cursor_link_and_offset() {
    let rest = Rest::new();
    for number in 1..=7 {
        rest.0.upstream.add_order(&order(&format!("L-{number}")));
    }
    let (_, listed) = rest.run(
        "list",
        &json!({
            "path": "/orders", "query": { "limit": "3" }, "items": "/orders",
            "pagination": { "by": "cursor", "pointer": "/next", "query": "after" },
        }),
    );
    let references: Vec<&str> = listed["items"]
        .as_array()
        .unwrap_or_else(|| panic!("{listed}"))
        .iter()
        .map(|item| item["reference"].as_str().unwrap())
        .collect();
    assert_eq!(
        references,
        ["L-1", "L-2", "L-3", "L-4", "L-5", "L-6", "L-7"]
    );
    for pagination in [
        json!({ "by": "link" }),
        json!({ "by": "offset", "query": "offset" }),
    ] {
        let (_, listed) = rest.run(
            "list",
            &json!({ "path": "/numbers", "pagination": pagination }),
        );
        let numbers: Vec<u64> = (0..25).collect();
        assert_eq!(listed["items"], json!(numbers), "{pagination}: {listed}");
        assert_eq!(listed["complete"], true, "{pagination}: {listed}");
    }
    let (_, listed) = rest.run(
        "list",
        &json!({ "path": "/numbers", "pagination": { "by": "link" }, "pages_max": 2 }),
    );
    assert_eq!(listed["items"].as_array().unwrap().len(), 20, "{listed}");
    assert_eq!(listed["complete"], false, "{listed}");
}

#[test]
fn a_body_longer_than_the_window_arrives_whole() {
    let rest = Rest::new();
    for size in [5_000, 15_000, 17_000, 60_000] {
        let text = "0123456789abcdef".repeat(size);
        let body = json!({ "text": text, "content_type": "text/plain" });
        let (status, answer) = rest.run(
            "send",
            &json!({ "method": "POST", "path": "/length", "body": body }),
        );
        assert_eq!(status, 200, "{answer} {}", rest.0.last_job()["failure"]);
        assert_eq!(answer["body"]["json"]["bytes"], text.len(), "{answer}");
    }
}

#[test]
fn a_body_is_sent_as_json_form_text_or_bytes() {
    let rest = Rest::new();
    for (body, content_type, expected) in [
        (
            json!({ "json": { "a": [1, 2] } }),
            "application/json",
            "{\"a\":[1,2]}",
        ),
        (
            json!({ "form": { "a": "1 & 2" } }),
            "application/x-www-form-urlencoded",
            "a=1",
        ),
        (
            json!({ "text": "plain", "content_type": "text/csv" }),
            "text/csv",
            "plain",
        ),
        (
            json!({ "base64": "AAEC", "content_type": "application/octet-stream" }),
            "application/octet-stream",
            "\u{0}\u{1}\u{2}",
        ),
    ] {
        let input = json!({ "method": "POST", "path": "/echo", "body": body });
        let (status, answer) = rest.run("send", &input);
        assert_eq!(status, 200, "{body}: {answer} {}", rest.0.last_job());
        let echoed = &answer["body"]["json"];
        let sent_as = echoed["content_type"].as_str().unwrap();
        assert!(sent_as.starts_with(content_type), "{body}: {answer}");
        assert!(
            echoed["body"].as_str().unwrap().starts_with(expected),
            "{body}: {answer}"
        );
    }
}

/// Reads so many bytes of one request, and breaks off with the rest unread.
fn breaks_off_after(listener: &TcpListener, bytes: usize) {
    let (mut connection, _) = listener.accept().unwrap();
    let mut taken = vec![0; bytes];
    connection.read_exact(&mut taken).unwrap();
}

#[test]
fn the_record_of_an_upload_that_breaks_off_says_how_much_had_left() {
    const TAKEN: usize = 300_000;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stage = Stage::configured(&format!(
        "[[egress.allow]]\nhost = \"localhost\"\nport = {port}\ncleartext = true\n"
    ));
    stage.ok("workspace create acme");
    stage.install("http.wasm", "http");
    stage.ok(&format!(
        "connection create api --connector http --parameter host=localhost --parameter port={port} --parameter scheme=http --credential-file token.txt"
    ));
    let rest = Rest(stage);
    let text = "0123456789abcdef".repeat(60_000);
    let body = json!({ "text": text, "content_type": "text/plain" });
    std::thread::scope(|threads| {
        threads.spawn(|| breaks_off_after(&listener, TAKEN));
        let input = json!({ "method": "POST", "path": "/orders", "body": body });
        let (status, _) = rest.run("send", &input);
        assert_ne!(status, 200);
    });
    let audit = rest.0.audit();
    let mut outcomes = audit.iter().map(|line| &line["record"]);
    let unknown = outcomes.find(|record| record["outcome"] == "unknown");
    let unknown = unknown.unwrap_or_else(|| panic!("{audit:?}"));
    let left = unknown["bytes_out"].as_u64().unwrap();
    // The head is among what was taken, and some of the rest had left, too.
    let (least, all) = (TAKEN as u64 - 2_000, text.len() as u64);
    assert!((least..=all).contains(&left), "{left} of {all}");
}
