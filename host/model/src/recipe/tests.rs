//! What the parser accepts, and the text of what it refuses.

use serde_json::json;

use super::*;

const EXAMPLE: &str = r#"recipe: order-intake
description: Takes orders from the shop.
trigger:
  webhook:
    sensitive: [ "/customer/email", "/items/*/note" ]
steps:
  - id: shape
    transform: { order: "${ trigger.body.id }", total: 3 }
  - id: create
    action: orders.create
    connection: shop
    input: { order: "${ steps.shape.order }" }
    mask: true
  - id: check
    if: "steps.create.status == 'accepted'"
    then:
      - respond: { status: 201, headers: { x-order: "${ steps.create.id }" }, body: { ok: true } }
    else:
      - stop: { outcome: failed, reason: "order ${ steps.shape.order } was refused" }
  - id: each
    foreach: "${ trigger.body.items }"
    as: line
    steps:
      - id: price
        transform: "${ line.price * 2 }"
"#;

/// Texts that both the parser and the schema refuse, and the parser's words.
const REFUSED: [(&str, &str); 17] = [
    (
        "steps: []",
        "1:1: the recipe has no `recipe`; add `recipe: order-intake`",
    ),
    (
        "- 1",
        "1:1: the recipe is a list; write a map of fields: `name: value`",
    ),
    (
        "recipe: a\ntriger: { webhook: {} }\ntrigger: { webhook: {} }\nsteps: [{ respond: {} }]",
        "2:1: unknown field `triger` in the recipe; did you mean `trigger`?",
    ),
    (
        "recipe: Order Intake\ntrigger: { webhook: {} }\nsteps: [{ respond: {} }]",
        "1:9: `Order Intake` is not a name; write 1 to 63 characters, a lower-case letter first, then lower-case letters, digits, `-` or `_`",
    ),
    (
        "recipe: a\ntrigger: {}\nsteps: [{ respond: {} }]",
        "2:10: the trigger has no kind; write either `webhook: {}` or `poll: { … }`",
    ),
    (
        "recipe: a\ntrigger: { webhook: { sensitive: [ email ] } }\nsteps: [{ respond: {} }]",
        "2:36: `email` is not a JSON pointer; write `/` before each name, `*` for every item: `/items/*/price`",
    ),
    (
        "recipe: a\ntrigger: { poll: { connector: orders, trigger: new, connection: shop, every: soon } }\nsteps: [{ id: a, transform: 1 }]",
        "2:78: `soon` is not a duration from 1s to 31d; write a number and s, m, h or d: `60s`",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps: []",
        "3:8: `steps` has no step; write at least one step, or remove the field",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - id: x\n    transfrom: 1",
        "5:5: unknown field `transfrom` in the step; did you mean `transform`?",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - id: x\n    transform: 1\n    action: a.b",
        "4:5: the step has two kinds: `transform` and `action`; write one step for each",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - transform: 1",
        "4:5: the step has no `id`; add `id: my_transform`",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - id: my-step\n    transform: 1",
        "4:9: `my-step` is not an identifier; write 1 to 63 characters, a lower-case letter first, then lower-case letters, digits or `_`",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - id: in\n    transform: 1",
        "4:9: `in` is a word of expressions; choose another",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - id: x\n    action: create\n    connection: shop",
        "5:13: `create` does not name an action; write the connector's name, a dot and the action's name: `orders.create`",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - respond: { status: 99 }",
        "4:24: `99` is not a final HTTP status; write a number from 200 to 599",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - stop: { outcome: suceeded }",
        "4:22: `suceeded` is not an outcome; did you mean `succeeded`?",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - id: x\n    action: a.b\n    connection: c\n    mask: yes",
        "7:11: `steps[0].mask` is a text; write true or false, without quotes",
    ),
];

/// Texts that only the parser refuses: the schema knows shapes alone.
const REFUSED_BY_THE_PARSER: [(&str, &str); 7] = [
    (
        "recipe: a\ntrigger: { webhook: {} }\nrecipe: b\nsteps: [{ respond: {} }]",
        "3:1: `recipe` is written twice; remove this one or the one in line 1",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - { id: x, transform: 1 }\n  - { id: x, transform: 2 }",
        "5:11: the id `x` is used twice; choose another; line 4 has it, too",
    ),
    (
        "recipe: a\ntrigger: { poll: { connector: o, trigger: n, connection: s, every: 1m } }\nsteps:\n  - respond: {}",
        "4:5: nobody waits for a reply: the trigger is not a webhook; remove the step, or write `trigger: { webhook: {} }`",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - stop: { outcome: failed }\n  - { id: x, transform: 1 }",
        "5:5: `x` never runs: the step before it ends the job; remove it, or move it before the stop",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - respond: { headers: { Content-Length: \"3\" } }",
        "4:27: a reply cannot set the header `Content-Length`; remove it; Keyway frames the reply itself",
    ),
    (
        "recipe: a\ntrigger: { webhook: {} }\nsteps:\n  - id: o\n    foreach: trigger.body\n    steps:\n      - id: i\n        foreach: item\n        steps: [{ id: t, transform: 1 }]",
        "7:9: a `foreach` around this one calls its item `item`, too; choose another name: `as: inner`",
    ),
    (
        "recipe: a\ntrigger: { poll: { connector: o, trigger: n, connection: s, every: 1m, input: \"${ 1 }\" } }\nsteps: [{ id: x, transform: 1 }]",
        "2:79: a poll's input holds `${ }`; write the value itself; a poll has nothing to compute it from",
    ),
];

fn first_error(text: &str, format: Format) -> String {
    let errors = Recipe::parse(text, format).expect_err("the text is wrong");
    errors.iter().next().expect("an error").to_string()
}

fn as_json(text: &str) -> serde_json::Value {
    serde_saphyr::from_str(text).expect("the test's text is YAML")
}

#[test]
fn the_example_is_read_into_types() {
    let recipe = Recipe::parse(EXAMPLE, Format::Detect).expect("a recipe");
    assert_eq!(recipe.name.as_str(), "order-intake");
    let ids: Vec<&str> = recipe.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["shape", "create", "check", "each"]);
    let Some(StepKind::If(check)) = recipe.steps.get(2).map(|step| &step.kind) else {
        unreachable!("the third step is an `if`")
    };
    assert_eq!(
        check.then.first().map(|step| step.id.as_str()),
        Some("respond_4")
    );
    assert_eq!(
        check.otherwise.first().map(|step| step.id.as_str()),
        Some("stop_5")
    );
    let Some(StepKind::Foreach(each)) = recipe.steps.get(3).map(|step| &step.kind) else {
        unreachable!("the fourth step is a `foreach`")
    };
    assert_eq!(
        (each.items.text.as_str(), each.variable.as_str()),
        ("trigger.body.items", "line")
    );
}

#[test]
fn an_expression_knows_its_line_and_column() {
    let recipe = Recipe::parse(EXAMPLE, Format::Yaml).expect("a recipe");
    let Some(StepKind::Action(create)) = recipe.steps.get(1).map(|step| &step.kind) else {
        unreachable!("the second step is an action")
    };
    assert_eq!(
        create.input.place_of("/order"),
        Place {
            line: 12,
            column: 21
        }
    );
}

#[test]
fn json_and_yaml_give_the_same_recipe() {
    let text = serde_json::to_string_pretty(&as_json(EXAMPLE)).expect("JSON");
    let from_json = Recipe::parse(&text.replace("  ", "\t"), Format::Detect).expect("a recipe");
    let from_yaml = Recipe::parse(EXAMPLE, Format::Detect).expect("a recipe");
    assert_eq!(from_json.name, from_yaml.name);
    assert_eq!(from_json.trigger, from_yaml.trigger);
    let kinds = |recipe: &Recipe| -> Vec<String> {
        recipe
            .steps
            .iter()
            .map(|step| format!("{} {}", step.id, step.kind.word()))
            .collect()
    };
    assert_eq!(kinds(&from_json), kinds(&from_yaml));
}

#[test]
fn references_name_what_the_host_has_to_look_up() {
    let recipe = Recipe::parse(EXAMPLE, Format::Yaml).expect("a recipe");
    let references = recipe.references();
    let [create] = references.as_slice() else {
        unreachable!("one action, one reference")
    };
    assert_eq!(
        (create.connector.as_str(), create.connection.as_str()),
        ("orders", "shop")
    );
    assert_eq!(create.place.line, 9);
}

#[test]
fn a_wrong_recipe_is_refused_with_place_and_remedy() {
    for (text, expected) in REFUSED.iter().chain(&REFUSED_BY_THE_PARSER) {
        assert_eq!(first_error(text, Format::Yaml), *expected, "{text}");
    }
}

#[test]
fn several_errors_are_reported_at_once() {
    let text = "recipe: a\ntrigger: { webhook: { body: 1 } }\nsteps:\n  - { id: X, transform: 1 }\n  - { id: y }\n";
    let errors = Recipe::parse(text, Format::Yaml).expect_err("three errors");
    assert_eq!(
        errors.in_file("a.yaml"),
        "a.yaml:2:23: unknown field `body` in the webhook; write one of `body_bytes_max`, `sensitive`\n\
         a.yaml:4:11: `X` is not an identifier; write 1 to 63 characters, a lower-case letter first, then lower-case letters, digits or `_`\n\
         a.yaml:5:5: the step does not say what to do; add one of `transform`, `action`, `if`, `foreach`, `respond`, `stop`"
    );
}

#[test]
fn json_errors_have_places_too() {
    let text = "{\n  \"recipe\": \"a\",\n  \"recipe\": \"b\",\n  \"trigger\": { \"webhook\": {} },\n  \"steps\": [{ \"respond\": {} }]\n}";
    assert_eq!(
        first_error(text, Format::Detect),
        "3:3: `recipe` is written twice; remove this one or the one in line 2"
    );
    let broken = first_error("{\n  \"recipe\": 'a'\n}", Format::Detect);
    assert!(
        broken.starts_with("2:13: this is not the JSON of a recipe: expected value"),
        "{broken}"
    );
}

#[test]
fn text_that_is_no_yaml_is_refused_with_its_line() {
    let broken = first_error("recipe: a\n  trigger: {", Format::Yaml);
    assert!(broken.starts_with("2:"), "{broken}");
    let tagged = first_error("recipe: !secret a", Format::Yaml);
    assert!(tagged.starts_with("1:"), "{tagged}");
    let merged = first_error("a: &a { x: 1 }\nb:\n  <<: *a", Format::Yaml);
    assert!(merged.starts_with("3:"), "{merged}");
    let second = first_error("recipe: a\n---\nrecipe: b", Format::Yaml);
    assert!(
        second.contains("this is not the YAML of a recipe"),
        "{second}"
    );
}

#[test]
fn a_small_text_cannot_become_a_large_tree() {
    let mut text = "a: &a [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
    for (from, to) in ["a", "b", "c", "d", "e", "f"]
        .iter()
        .zip(["b", "c", "d", "e", "f", "g"])
    {
        let aliases = vec![format!("*{from}"); 10].join(",");
        text.push_str(&format!("{to}: &{to} [{aliases}]\n"));
    }
    let refused = first_error(&text, Format::Yaml);
    assert!(
        refused.contains("this is not the YAML of a recipe"),
        "{refused}"
    );
}

#[test]
fn the_values_of_a_recipe_are_limited() {
    let of = |values: usize, format: Format| {
        let list = vec!["1"; values].join(",");
        let text = match format {
            Format::Json => format!("{{ \"recipe\": [{list}] }}"),
            Format::Yaml | Format::Detect => format!("recipe: [{list}]"),
        };
        first_error(&text, format)
    };
    for (format, why) in [
        (Format::Yaml, "this is not the YAML of a recipe"),
        (Format::Json, "more than `DOCUMENT_NODES_MAX` (100000)"),
    ] {
        // What is within the limit is read, and then it is no name.
        let read = of(limit::DOCUMENT_NODES_MAX / 2, format);
        assert!(!read.contains(why), "{read}");
        let refused = of(limit::DOCUMENT_NODES_MAX + 1, format);
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn a_text_with_an_anchor_is_as_long_as_any_other_and_not_repeated_without_end() {
    let long = "x".repeat(limit::DOCUMENT_BYTES_MAX - 1_000);
    let recipe = |aliases: usize| {
        let aliases = "  - *long\n".repeat(aliases);
        format!(
            "recipe: a\ntrigger: {{ webhook: {{}} }}\nsteps:\n- id: a\n  transform:\n  - &long {long}\n{aliases}"
        )
    };
    assert!(Recipe::parse(&recipe(1), Format::Yaml).is_ok());
    let refused = first_error(&recipe(10), Format::Yaml);
    assert!(
        refused.contains("four times DOCUMENT_BYTES_MAX"),
        "{refused}"
    );
}

#[test]
fn depth_is_limited_in_both_formats() {
    let lists = "[".repeat(200) + &"]".repeat(200);
    let yaml = format!("recipe: {lists}");
    assert!(first_error(&yaml, Format::Yaml).contains("this is not the YAML of a recipe"));
    let json = format!("{{\"recipe\": {lists}}}");
    let refused = first_error(&json, Format::Json);
    assert!(
        refused.contains("nested more than `DOCUMENT_LEVELS_MAX` (64) levels")
            || refused.contains("recursion limit"),
        "{refused}"
    );
    let mut blocks = "[{ \"id\": \"x\", \"transform\": 1 }]".to_owned();
    for level in 0..16 {
        blocks = format!("[{{ \"id\": \"i{level}\", \"if\": \"true\", \"then\": {blocks} }}]");
    }
    let json = format!(
        "{{ \"recipe\": \"a\", \"trigger\": {{ \"webhook\": {{}} }}, \"steps\": {blocks} }}"
    );
    assert!(
        first_error(&json, Format::Json)
            .contains("blocks are nested more than 16 deep (RECIPE_DEPTH_MAX)")
    );
}

#[test]
fn size_and_steps_are_limited() {
    let large = format!("recipe: a # {}", "x".repeat(limit::DOCUMENT_BYTES_MAX));
    assert!(first_error(&large, Format::Yaml).contains("(DOCUMENT_BYTES_MAX)"));
    let mut many = "recipe: a\ntrigger: { webhook: {} }\nsteps:\n".to_owned();
    for number in 0..=limit::RECIPE_STEPS_MAX {
        many.push_str(&format!("  - {{ id: s{number}, transform: 1 }}\n"));
    }
    assert_eq!(
        first_error(&many, Format::Yaml),
        "1004:5: the recipe has more than 1000 steps (RECIPE_STEPS_MAX); split the recipe"
    );
}

#[test]
fn the_schema_accepts_the_example_and_refuses_what_the_parser_refuses() {
    let schema = schema();
    jsonschema::draft202012::meta::validate(&schema).expect("a valid schema");
    let validator = jsonschema::draft202012::new(&schema).expect("a valid schema");
    assert!(validator.is_valid(&as_json(EXAMPLE)));
    assert!(!validator.is_valid(&json!({})));
    for (text, _) in REFUSED {
        // The schema sees YAML 1.2's `yes` as the text that it is.
        let value = as_json(&text.replace("yes", "\"yes\""));
        assert!(!validator.is_valid(&value), "{text}");
    }
    for (text, _) in REFUSED_BY_THE_PARSER.iter().skip(1).take(1) {
        assert!(validator.is_valid(&as_json(text)), "{text}");
    }
}

#[test]
fn the_page_about_recipes_shows_a_recipe_that_is_accepted() {
    let page = include_str!("../../../../docs/recipes.md");
    let blocks: Vec<&str> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(!blocks.is_empty());
    for block in blocks
        .into_iter()
        .filter(|block| block.starts_with("recipe:"))
    {
        let recipe = Recipe::parse(block, Format::Yaml);
        assert!(recipe.is_ok(), "{recipe:?}");
    }
}
