//! What the checker refuses, where it says the place is, and what it advises.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use keyway_expressions::check;
use serde_json::{Value, json};

fn answer(kind: &str, value: &Value) -> Value {
    let request = json!({
        "blocks": [{"variables": ["trigger", "job", "steps"], "steps": ["shape", "create"]}],
        "templates": [{
            "id": "steps.shape.transform", "kind": kind, "value": value, "place": {"block": 0, "after": 2}
        }]
    });
    serde_json::from_str(&check(&request.to_string()).unwrap()).unwrap()
}

fn tree(value: &Value) -> Value {
    let answer = answer("template", value);
    assert_eq!(answer["errors"], json!([]));
    answer["trees"][0]["tree"].clone()
}

/// The first error of an expression: line, column, message, remedy.
fn error(source: &str) -> (u64, u64, String, String) {
    let answer = answer("expression", &json!(source));
    assert_eq!(answer["trees"], json!([]), "{source}");
    let error = &answer["errors"][0];
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| error[name].as_u64().unwrap_or_default();
    (
        number("line"),
        number("column"),
        text("message"),
        text("remedy"),
    )
}

#[test]
fn literal_parts_of_a_template_stay_literals() {
    assert_eq!(
        tree(&json!({"b": [1, "x"], "a": null})),
        json!(["lit", {"b": [1, "x"], "a": null}])
    );
    assert_eq!(tree(&json!("plain")), json!("plain"));
    assert_eq!(tree(&json!(12.5)), json!(12.5));
    assert_eq!(
        tree(&json!({"a": "${ 1 + 2 }", "b": {"c": [1]}})),
        json!(["map", "a", ["+", 1, 2], "b", ["lit", {"c": [1]}]])
    );
}

#[test]
fn a_whole_expression_keeps_its_type_and_an_embedded_one_becomes_text() {
    assert_eq!(
        tree(&json!("${ trigger.n }")),
        json!([".", ["v", "trigger"], "n"])
    );
    assert_eq!(tree(&json!("n=${ 1 }!")), json!(["text", "n=", 1, "!"]));
    assert_eq!(tree(&json!("$${ 1 }")), json!("${ 1 }"));
}

#[test]
fn an_unknown_variable_is_refused_with_its_place_and_the_likely_name() {
    let (line, column, message, remedy) = error("1 +\n  trigr.x");
    assert_eq!((line, column), (2, 3));
    assert_eq!(message, "there is no variable `trigr`");
    assert_eq!(remedy, "did you mean `trigger`?");
    assert_eq!(error("'ä' + nope").1, 7, "columns count characters");
    assert_eq!(error("shape.x").3, "write `steps.shape`");
    assert!(error("elephant").3.contains("`job`"));
}

#[test]
fn a_place_inside_a_template_counts_from_the_start_of_its_string() {
    let answer = answer(
        "template",
        &json!({"a/b": ["ok", "x ${ nope } ${ job.id }"]}),
    );
    let error = &answer["errors"][0];
    assert_eq!(error["id"], "steps.shape.transform");
    assert_eq!(error["pointer"], "/a~1b/1");
    assert_eq!((&error["line"], &error["column"]), (&json!(1), &json!(6)));
    assert_eq!(error["source"], "nope");
    assert_eq!(answer["errors"].as_array().unwrap().len(), 1);
}

#[test]
fn a_step_that_does_not_run_before_is_refused() {
    for source in ["steps.later.x", "has(steps.later)", "steps['later']"] {
        let (_, _, message, remedy) = error(source);
        assert_eq!(
            message, "step `later` does not run before this one",
            "{source}"
        );
        assert_eq!(remedy, "known: `shape`, `create`");
    }
    assert_eq!(error("steps.shap").3, "did you mean `steps.shape`?");
    assert_eq!(tree(&json!("${steps.create.id}"))[2], "id");
}

#[test]
fn what_may_be_named_is_before_a_place_in_its_block_and_in_those_around_it() {
    let errors = |value: &str, block: usize, after: usize| {
        let request = json!({
            "blocks": [
                {"variables": ["trigger", "steps"], "steps": ["first", "each", "last"]},
                {"place": {"block": 0, "after": 1}, "variables": ["line", "index"], "steps": ["turn", "inner"]},
                {"place": {"block": 1, "after": 1}, "variables": ["part", "index"], "steps": ["leaf"]},
            ],
            "templates": [{
                "id": "t", "kind": "expression", "value": value, "place": {"block": block, "after": after}
            }]
        });
        let answer: Value = serde_json::from_str(&check(&request.to_string()).unwrap()).unwrap();
        answer["errors"].clone()
    };
    for (source, block, after) in [
        ("steps.first", 0, 1),
        ("steps.first.x + line + index", 1, 0),
        ("steps.turn + steps.first", 1, 1),
        ("steps.turn + part + line + index", 2, 0),
        ("steps.last", 0, 3),
    ] {
        assert_eq!(errors(source, block, after), json!([]), "{source}");
    }
    for (source, block, after, remedy) in [
        ("steps.first", 0, 0, "known: none"),
        ("steps.absent", 0, 2, "known: `first`, `each`"),
        ("line", 0, 3, "known here: `trigger`, `steps`"),
        ("steps.elsewhere", 1, 1, "known: `first`, `turn`"),
        ("steps.elsewhere", 2, 0, "known: `first`, `turn`"),
        (
            "elsewhere",
            2,
            0,
            "known here: `trigger`, `steps`, `line`, `index`, `part`",
        ),
    ] {
        assert_eq!(
            errors(source, block, after)[0]["remedy"],
            remedy,
            "{source}"
        );
    }
}

#[test]
fn an_unknown_function_is_refused_with_the_likely_name() {
    assert_eq!(error("'a'.startswith('b')").3, "did you mean `startsWith`?");
    assert!(error("'a'.matches('b')").3.contains("regular expressions"));
    assert!(error("timestamp('x')").3.contains("strings"));
    assert_eq!(error("startsWith('a', 'b')").3, "write `x.startsWith(…)`");
    assert_eq!(error("size(1, 2)").3, "write `size(…)` or `x.size()`");
}

#[test]
fn variables_of_macros_are_known_inside_and_only_there() {
    assert_eq!(
        answer("expression", &json!("[1].map(x, x + 1)"))["errors"],
        json!([])
    );
    assert_eq!(
        error("[1].map(x, x).size() + x").2,
        "there is no variable `x`"
    );
    assert!(error("[1].map(1, 2)").2.contains("is a variable"));
    assert!(error("has(trigger)").2.contains("one field"));
}

#[test]
fn what_json_cannot_hold_is_refused() {
    assert!(error("1u").3.contains("write `1`"));
    assert!(error("{1: 2}").2.contains("must be strings"));
    assert!(error("Message{a: 1}").2.contains("message"));
}

#[test]
fn a_syntax_error_says_where() {
    let (line, column, message, _) = error("1 + ");
    assert_eq!((line, column), (1, 5), "{message}");
    assert!(!message.is_empty());
    assert_eq!(error("trigger.a b").1, 11);
}

#[test]
fn limits_are_enforced_before_anything_is_parsed() {
    assert!(
        error(&format!("'{}'", "x".repeat(5000)))
            .2
            .contains("4096 bytes")
    );
    let deep = format!("{}1{}", "(".repeat(100), ")".repeat(100));
    assert!(error(&deep).2.contains("64 levels"));
    let chain = format!("1{}", " + 1".repeat(200));
    assert!(error(&chain).2.contains("64 levels"));
    assert_eq!(
        answer("expression", &json!(format!("1{}", " + 1".repeat(50))))["errors"],
        json!([])
    );
}

#[test]
fn a_request_that_is_not_one_is_refused() {
    assert!(check("{}").unwrap_err().contains("blocks"));
    assert!(
        check(r#"{"blocks": [], "templates": [], "x": 1}"#)
            .unwrap_err()
            .contains("unknown field")
    );
    let at = |block: usize, around: usize| {
        let place = json!({"block": around, "after": 0});
        let request = json!({
            "blocks": [{"place": place, "variables": [], "steps": []}],
            "templates": [{"id": "t", "kind": "template", "value": 1, "place": {"block": block, "after": 0}}]
        });
        check(&request.to_string()).unwrap_err()
    };
    assert_eq!(at(1, 0), "the check request has no block 1");
    assert_eq!(at(0, 0), "block 0 comes before the one around it");
}
