//! What the component is asked, and what becomes of its answers.

use keyway_model::recipe::{Format, Recipe};
use serde_json::{Value, json};

use super::*;
use crate::machine::oracle;

const RECIPE: &str = r#"recipe: test
trigger: { webhook: {} }
steps:
  - { id: first, transform: { order: "${ trigger.body.id }" } }
  - id: check
    if: "${ steps.first.order == 1 }"
    then:
      - { id: inside, transform: 1 }
  - id: each
    foreach: trigger.body.items
    as: line
    steps:
      - { id: turn, transform: "${ line }" }
  - respond:
      body:
        list: [ 1, "${ steps.each }" ]
"#;

fn recipe() -> Recipe {
    Recipe::parse(RECIPE, Format::Yaml).unwrap()
}

#[test]
fn each_expression_is_asked_with_what_it_may_name() {
    let request = check_request(&recipe());
    let templates = request["templates"].as_array().unwrap();
    let shown: Vec<Value> = templates
        .iter()
        .map(|t| {
            json!([
                t["id"],
                t["kind"],
                t["variables"].as_array().unwrap().len(),
                t["steps"]
            ])
        })
        .collect();
    let expected = [
        json!(["first.transform", "template", 3, []]),
        json!(["check.if", "expression", 3, ["first"]]),
        json!(["inside.transform", "template", 3, ["first"]]),
        json!(["each.foreach", "expression", 3, ["first", "check"]]),
        json!(["turn.transform", "template", 5, ["first", "check"]]),
        json!([
            "respond_6.status",
            "template",
            3,
            ["first", "check", "each"]
        ]),
        json!(["respond_6.body", "template", 3, ["first", "check", "each"]]),
    ];
    assert_eq!(shown, expected);
    assert_eq!(templates[1]["value"], "steps.first.order == 1");
    assert_eq!(
        templates[4]["variables"],
        json!(["trigger", "job", "steps", "line", "index"])
    );
}

#[test]
fn complaints_come_back_with_the_lines_of_the_recipe() {
    let answer = json!({ "trees": [], "errors": [
        { "id": "respond_6.body", "pointer": "/list/1", "source": "steps.eech", "line": 1, "column": 7,
          "message": "there is no step `eech`", "remedy": "did you mean `each`?" },
        { "id": "check.if", "pointer": "", "source": "", "line": 1, "column": 1, "message": "m", "remedy": "" },
    ] });
    let Err(CompileError::Recipe(errors)) = finish(&recipe(), &answer.to_string()) else {
        panic!("the answer has errors")
    };
    assert_eq!(
        errors.in_file("a.yaml"),
        "a.yaml:6:9: m; compare it with docs/expressions.md\n\
         a.yaml:16:20: there is no step `eech` (at character 7 of `steps.eech`); did you mean `each`?"
    );
}

#[test]
fn an_answer_without_a_tree_is_refused() {
    let error = finish(&recipe(), r#"{"trees":[],"errors":[]}"#).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it has no tree for `first.transform`"),
        "{error}"
    );
    assert!(matches!(
        finish(&recipe(), "[]"),
        Err(CompileError::Answer(_))
    ));
}

#[test]
fn a_stored_definition_of_another_encoding_is_refused() {
    let answer = oracle::check(&check_request(&recipe()));
    let json = finish(&recipe(), &answer).unwrap().to_json().unwrap();
    let found = Definition::from_json(&json).unwrap();
    assert_eq!(
        found.step("turn").map(|step| step.work.word()),
        Some("transform")
    );
    assert!(found.step("none").is_none());
    let newer = json.replacen("\"encoding\":1", "\"encoding\":2", 1);
    let error = Definition::from_json(&newer).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has encoding 2, this Keyway reads 1"),
        "{error}"
    );
}
