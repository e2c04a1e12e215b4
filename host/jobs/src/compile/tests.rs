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

/// The variables and the steps that may be named at a place, as the component finds
/// them.
fn names_at(request: &Value, place: &Value) -> (Vec<Value>, Vec<Value>) {
    if place.is_null() {
        return (Vec::new(), Vec::new());
    }
    let index = |number: &Value| usize::try_from(number.as_u64().unwrap()).unwrap();
    let block = &request["blocks"][index(&place["block"])];
    let (mut variables, mut steps) = names_at(request, &block["place"]);
    variables.extend(block["variables"].as_array().unwrap().iter().cloned());
    let before = block["steps"].as_array().unwrap().iter();
    steps.extend(before.take(index(&place["after"])).cloned());
    (variables, steps)
}

#[test]
fn each_expression_is_asked_with_what_it_may_name() {
    let request = check_request(&recipe());
    let templates = request["templates"].as_array().unwrap();
    let shown: Vec<Value> = templates
        .iter()
        .map(|t| {
            let (variables, steps) = names_at(&request, &t["place"]);
            json!([t["id"], t["kind"], variables.len(), steps])
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
    let (variables, _) = names_at(&request, &templates[4]["place"]);
    let expected = ["trigger", "job", "steps", "line", "index"];
    assert_eq!(variables, expected);
}

/// A recipe of so many replies, half of them inside of ten iterations, each with a name
/// that is as long as may be.
fn long(steps: usize) -> String {
    let name = |kind: &str, number: usize| format!("{kind}{number:0>59}");
    let reply = |indent: &str, number: usize| {
        let id = name("step", number);
        format!("{indent}- {{ id: {id}, respond: {{ body: 1 }} }}\n")
    };
    let mut text = "recipe: test\ntrigger: { webhook: {} }\nsteps:\n".to_owned();
    text.extend((0..steps / 2).map(|number| reply("", number)));
    let mut indent = String::new();
    for depth in 0..10 {
        let (id, item) = (name("each", depth), name("item", depth));
        text.push_str(&format!("{indent}- id: {id}\n{indent}  foreach: trigger\n"));
        text.push_str(&format!("{indent}  as: {item}\n{indent}  steps:\n"));
        indent.push_str("  ");
    }
    text.extend((steps / 2..steps).map(|number| reply(&indent, number)));
    text
}

#[test]
fn the_request_to_check_a_recipe_is_as_long_as_the_recipe() {
    for steps in [10, 100, 900] {
        let text = long(steps);
        let recipe = Recipe::parse(&text, Format::Yaml).unwrap();
        let request = check_request(&recipe).to_string();
        let ratio = request.len() / text.len();
        assert!(
            ratio < 6,
            "{steps} steps: {} of {}",
            request.len(),
            text.len()
        );
    }
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
