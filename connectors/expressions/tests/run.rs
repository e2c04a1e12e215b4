//! Blocks of steps: what runs, where it stops, and what an error says.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use keyway_expressions::run;
use serde_json::{Value, json};

fn run_block(block: Value) -> Value {
    let request = json!({"variables": {"trigger": {"n": 2, "who": "Ada"}, "steps": {"old": 1}}, "block": block});
    serde_json::from_str(&run(&request.to_string()).unwrap()).unwrap()
}

fn n() -> Value {
    json!([".", ["v", "trigger"], "n"])
}

#[test]
fn later_steps_see_the_outputs_of_earlier_ones_and_of_the_job() {
    let answer = run_block(json!([
        {"id": "a", "key": "a", "do": "transform", "value": ["+", n(), ["at", ["v", "steps"], "old"]]},
        {"id": "b", "key": "b", "do": "transform", "value": ["map", "twice", ["*", [".", ["v", "steps"], "a"], 2]]},
    ]));
    let done = json!([{"key": "a", "output": 3}, {"key": "b", "output": {"twice": 6}}]);
    assert_eq!(answer, json!({"done": done, "error": null}));
}

#[test]
fn an_if_runs_the_branch_it_chose() {
    let branch = |key: &str| json!([{"id": key, "key": key, "do": "transform", "value": key}]);
    let block = |condition| {
        json!([
            {"id": "i", "key": "i", "do": "if", "condition": condition, "then": branch("t"), "else": branch("e")},
            {"id": "z", "key": "z", "do": "transform", "value": [".", [".", ["v", "steps"], "i"], "branch"]},
        ])
    };
    let answer = run_block(block(json!(["==", n(), 2])));
    assert_eq!(
        answer["done"][0],
        json!({"key": "i", "output": {"branch": "then"}})
    );
    assert_eq!(answer["done"][1]["key"], "t");
    assert_eq!(answer["done"][2]["output"], "then");
    assert_eq!(run_block(block(json!(false)))["done"][1]["key"], "e");
    let error = &run_block(block(n()))["error"];
    assert_eq!(error["key"], "i");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("this one is int")
    );
}

#[test]
fn an_action_stops_the_run_even_inside_a_branch() {
    let answer = run_block(json!([
        {"id": "i", "key": "i", "do": "if", "condition": true, "then": [
            {"id": "c", "key": "i/c", "do": "action", "input": ["map", "n", n()]},
            {"id": "x", "key": "i/x", "do": "transform", "value": 1},
        ]},
        {"id": "y", "key": "y", "do": "transform", "value": 1},
    ]));
    assert_eq!(answer["done"].as_array().unwrap().len(), 2);
    assert_eq!(answer["done"][1], json!({"key": "i/c", "input": {"n": 2}}));
}

#[test]
fn a_foreach_answers_with_its_items_and_stops() {
    let block = |items| json!([{"id": "f", "key": "f", "do": "foreach", "items": items}, {"id": "y", "key": "y", "do": "transform", "value": 1}]);
    let answer = run_block(block(json!(["list", n(), 5])));
    assert_eq!(answer["done"], json!([{"key": "f", "items": [2, 5]}]));
    assert!(
        run_block(block(n()))["error"]["message"]
            .as_str()
            .unwrap()
            .contains("this is int")
    );
}

#[test]
fn a_respond_goes_on_and_a_stop_does_not() {
    let answer = run_block(json!([
        {"id": "r", "key": "r", "do": "respond", "status": 201, "headers": null, "body": ["list", n()]},
        {"id": "s", "key": "s", "do": "stop", "outcome": "failed", "reason": ["text", "n=", n()]},
        {"id": "y", "key": "y", "do": "transform", "value": 1},
    ]));
    assert_eq!(
        answer["done"],
        json!([
            {"key": "r", "output": {"status": 201, "headers": {}, "body": [2]}},
            {"key": "s", "output": {"outcome": "failed", "reason": "n=2"}},
        ])
    );
}

#[test]
fn what_was_done_before_an_error_is_kept() {
    let answer = run_block(json!([
        {"id": "a", "key": "a", "do": "transform", "value": 1},
        {"id": "b", "key": "b", "do": "transform", "value": ["/", 1, 0]},
    ]));
    assert_eq!(answer["done"], json!([{"key": "a", "output": 1}]));
    assert_eq!(
        answer["error"],
        json!({"key": "b", "message": "division by zero"})
    );
}

#[test]
fn a_number_beyond_64_bits_fails_where_it_is_used_and_only_there() {
    let request = |tree: &str| {
        format!(
            r#"{{"variables":{{"trigger":{{"big":123456789012345678901,"ok":9007199254740993}}}},"block":[{{"key":"k","do":"transform","value":{tree}}}]}}"#
        )
    };
    let ok = run(&request(r#"[".",["v","trigger"],"ok"]"#)).unwrap();
    assert!(ok.contains("9007199254740993"), "{ok}");
    for tree in [
        r#"[".",["v","trigger"],"big"]"#,
        r#"["+",[".",["v","trigger"],"big"],1]"#,
    ] {
        let answer = run(&request(tree)).unwrap();
        assert!(answer.contains("64 bits"), "{answer}");
    }
}

#[test]
fn a_null_inside_a_text_is_refused_with_a_remedy() {
    let answer =
        run_block(json!([{"key": "k", "do": "transform", "value": ["text", "/orders/", null]}]));
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("give a default")
    );
}

#[test]
fn a_result_over_the_limit_is_refused() {
    let big = "x".repeat(600 * 1024);
    let answer = run_block(json!([{"key": "k", "do": "transform", "value": ["+", big, big]}]));
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("at most 1048576")
    );
}

#[test]
fn a_request_that_is_not_one_is_refused() {
    for request in [
        "",
        "{}",
        r#"{"variables":{},"block":[{"key":"k","do":"dance"}]}"#,
        r#"{"variables":{},"block":[],"x":1}"#,
    ] {
        assert!(run(request).is_err(), "{request}");
    }
}
