//! What a check costs at most, and what is told of what does not fit.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::json;

use super::*;

mod costs;

fn compiled(schema: &Value) -> Result<Compiled, SchemaError> {
    Compiled::of("the schema", schema, &mut Tables::default())
}

/// The verdict, and how many steps it took.
fn counted(schema: &Value, value: &Value) -> (bool, u64) {
    let schema = compiled(schema).unwrap();
    let meter = Meter::new(u64::MAX, Aim::Verdict, schema.weights);
    let fits = schema.validator.is_valid(Metered::root(value, &meter));
    (fits, meter.taken(u64::MAX))
}

fn told_of(schema: &Value, value: &Value) -> Vec<String> {
    match compiled(schema).unwrap().check(value) {
        Ok(()) => Vec::new(),
        Err(error) => error.problems,
    }
}

/// That a check ends at the limit of its steps, which is told by name and value.
fn ends_at_its_steps(schema: &Value, value: &Value) {
    let problems = told_of(schema, value);
    let name = format!("`SCHEMA_STEPS_MAX` ({SCHEMA_STEPS_MAX})");
    assert!(
        matches!(&problems[..], [problem] if problem.contains(&name)),
        "{problems:?}"
    );
}

/// `count` alternatives, each of which `of` makes.
fn alternatives(keyword: &str, count: usize, of: impl Fn(usize) -> Value) -> Value {
    json!({ "items": { keyword: (0..count).map(of).collect::<Vec<_>>() } })
}

#[test]
fn a_check_of_too_many_steps_ends_at_their_limit_by_name() {
    let lists: Vec<_> = (0..250).map(|n| json!([n])).collect();
    let last = json!(vec![json!([249]); 100_000]);
    ends_at_its_steps(&json!({ "items": { "enum": lists } }), &last);
    let numbers = json!(vec![1; 100_000]);
    ends_at_its_steps(
        &alternatives("allOf", 1_000, |_| json!({ "minimum": 0 })),
        &numbers,
    );
}

#[test]
fn a_check_that_doubles_with_each_level_of_the_schema_ends_at_its_steps() {
    let mut schema = json!({ "type": "object" });
    for _ in 0..30 {
        schema = json!({ "unevaluatedProperties": false, "allOf": [schema] });
    }
    ends_at_its_steps(&schema, &json!({}));
    let mut schema = json!({ "type": "array" });
    for _ in 0..30 {
        schema = json!({ "unevaluatedItems": false, "contains": schema });
    }
    let mut lists = json!([]);
    for _ in 0..40 {
        lists = json!([lists]);
    }
    ends_at_its_steps(&schema, &lists);
}

#[test]
fn alternatives_that_look_at_nothing_cost_steps_too() {
    let values = json!(vec![1; 10]);
    for alternative in [
        json!(true),
        json!({}),
        json!({ "not": false }),
        json!({ "title": "A" }),
    ] {
        let schema = alternatives("allOf", 100, |_| alternative.clone());
        let (fits, steps) = counted(&schema, &values);
        assert!(fits && steps >= 1_000, "{alternative} {steps}");
    }
    let (fits, steps) = counted(&alternatives("anyOf", 100, |n| json!(n == 99)), &values);
    assert!(fits && steps >= 1_000, "{steps}");
    let (fits, steps) = counted(&alternatives("oneOf", 100, |n| json!(n == 9)), &values);
    assert!(fits && steps >= 1_000, "{steps}");
    let (mut nested, mut chain) = (json!(true), json!({ "not": false }));
    for _ in 0..6 {
        nested = json!({ "if": nested.clone(), "then": nested.clone(), "else": nested });
        chain = json!({ "not": { "not": chain } });
    }
    let (fits, steps) = counted(&json!({ "items": nested }), &json!([1]));
    assert!(fits && steps >= 100, "{steps}");
    let (fits, steps) = counted(&alternatives("allOf", 100, |_| chain.clone()), &values);
    assert!(fits && steps >= 10_000, "{steps}");
}

#[test]
fn a_look_into_a_large_schema_costs_more() {
    let steps = |count| {
        let properties: serde_json::Map<_, _> =
            (0..count).map(|n| (format!("p{n}"), json!({}))).collect();
        counted(&json!({ "properties": properties }), &json!({ "p1": 1 })).1
    };
    assert!(steps(900) < 20 && steps(9_000) > 5 * steps(900));
}

#[test]
fn each_name_costs_what_it_may_be_held_against() {
    let members: serde_json::Map<_, _> = (0..100).map(|n| (format!("n{n}"), json!(1))).collect();
    let value = Value::Object(members);
    let patterns: serde_json::Map<_, _> =
        (0..50).map(|n| (format!("x{n}+y"), json!(true))).collect();
    let closed =
        json!({ "patternProperties": patterns, "additionalProperties": { "type": "number" } });
    let names: Vec<_> = (0..50).map(|n| json!({ "maxLength": 10 + n })).collect();
    for schema in [closed, json!({ "propertyNames": { "allOf": names } })] {
        let (fits, steps) = counted(&schema, &value);
        assert!(fits && steps >= 100 * 50, "{steps}");
    }
}

#[test]
fn numbers_that_take_long_to_divide_cost_more() {
    let steps = |step: f64, value: f64| {
        let values = json!(vec![value; 100]);
        counted(
            &json!({ "items": { "not": { "multipleOf": step, "const": 0 } } }),
            &values,
        )
        .1 / 100
    };
    assert!(steps(7.0, 1e300) < 10);
    assert!(steps(0.01, 19.99) < 50);
    assert!(steps(0.01, 1e300) > 400);
    assert!(steps(1e-300, 1.5) > 400);
}

#[test]
fn whether_elements_are_unique_takes_steps_linear_in_their_size() {
    // All ways of putting brackets between nine ones: alike for whoever ignores brackets.
    let mut shapes = vec![vec![], vec![json!(1)]];
    for leaves in 2..10 {
        let halves = (1..leaves).flat_map(|left| {
            let (left, right) = (&shapes[left], &shapes[leaves - left]);
            left.iter()
                .flat_map(move |a| right.iter().map(move |b| json!([a, b])))
        });
        let halves = halves.collect();
        shapes.push(halves);
    }
    let shapes = shapes.pop().unwrap();
    let (schema, count) = (json!({ "uniqueItems": true }), shapes.len() as u64);
    let (unique, steps) = counted(&schema, &json!(shapes));
    assert!(
        unique && count > 1_000 && steps < count * 150,
        "{count} {steps}"
    );
    let mut twice = shapes;
    twice.extend(twice.first().cloned());
    assert!(!counted(&schema, &json!(twice)).0);
}

#[test]
fn the_verdict_is_that_of_a_check_without_a_meter() {
    let schemas = [
        json!({ "uniqueItems": true }),
        json!({ "enum": [1, 2.5, "a", [1, { "b": 2 }], null, { "a": [1.0] }] }),
        json!({ "const": { "a": [1, 2], "b": null } }),
        json!({ "items": { "multipleOf": 0.01 } }),
        json!({ "allOf": [true, { "not": { "type": "string" } }] }),
        json!({ "anyOf": [false, { "type": "array" }, {}] }),
        json!({ "oneOf": [false, true, { "type": "array" }] }),
        json!({ "if": { "required": ["a"] }, "then": { "not": false }, "else": { "type": "array" } }),
        json!({ "propertyNames": { "pattern": "^[ab]$", "enum": ["a", "b", 1] } }),
        json!({ "patternProperties": { "^a": { "type": "array" } }, "additionalProperties": false }),
        json!({ "properties": { "a": true }, "unevaluatedProperties": false, "anyOf": [{ "properties": { "b": {} } }] }),
        json!({ "prefixItems": [{ "type": "number" }], "contains": { "minimum": 2 }, "unevaluatedItems": { "maxLength": 2 } }),
        json!({ "required": ["a", "b"], "minProperties": 2, "maxProperties": 2 }),
        json!({ "type": ["integer", "null", "object"], "maximum": 3 }),
        json!({ "maxLength": 1 }),
    ];
    let values = [
        json!(null),
        json!(true),
        json!(1),
        json!(1.0),
        json!(2.5),
        json!(-0.0),
        json!(1e300),
        json!(u64::MAX),
        json!("a"),
        json!("äö"),
        json!([]),
        json!([1, 1.0]),
        json!([0, -0.0]),
        json!([[1], 1]),
        json!([[1, 1], [1, [1]]]),
        json!([1, { "b": 2.0 }]),
        json!([0.01, 19.99, 0.005]),
        json!([1, 2, "abc"]),
        json!([1e19, 10_000_000_000_000_000_000_u64]),
        json!([{ "a": 1, "b": 2 }, { "b": 2, "a": 1.0 }]),
        json!([["a", "b"], ["ab", ""]]),
        json!({}),
        json!({ "a": [1] }),
        json!({ "a": [1, 2], "b": null }),
        json!({ "b": 1 }),
        json!({ "c": 1 }),
        json!({ "a": [1.0], "b": 1, "c": 2 }),
    ];
    for schema in &schemas {
        let plain = jsonschema::validator_for(schema).unwrap();
        for value in &values {
            assert_eq!(
                counted(schema, value).0,
                plain.is_valid(value),
                "{schema} {value}"
            );
        }
    }
}

#[test]
fn what_does_not_fit_is_told_with_its_place_and_without_the_value() {
    let schema = json!({ "properties": { "a": { "items": { "type": "string" } }, "b": { "enum": [1, 2] } } });
    let value = json!({ "a": ["x", 5], "b": "secret" });
    assert_eq!(
        told_of(&schema, &value),
        [
            "at /a/1: the value is not of type \"string\"",
            "at /b: the value is not one of 1 or 2",
        ]
    );
}

#[test]
fn a_few_problems_are_told_each_with_few_words() {
    let schema = json!({ "items": { "type": "string" } });
    assert_eq!(told_of(&schema, &json!(vec![0; 100])).len(), PROBLEMS_MAX);
    let long = "k".repeat(100_000);
    let schema = json!({ "additionalProperties": { "type": "string", "const": long } });
    let problems = told_of(&schema, &json!({ long: 1 }));
    assert!(!problems.is_empty());
    for problem in problems {
        assert!(
            problem.chars().count() < 2 * PROBLEM_CHARS + 20,
            "{}",
            problem.len()
        );
    }
}

#[test]
fn of_a_large_input_that_does_not_fit_one_place_is_told_or_none() {
    let mut values = vec![json!("x"); 200_000];
    values.push(json!(1));
    let strings = json!({ "items": { "type": "string" } });
    assert_eq!(
        told_of(&strings, &json!(values)),
        ["at /200000: the value is not of type \"string\""]
    );
    let branches = json!({ "anyOf": [strings] });
    let problems = told_of(&branches, &json!(values));
    let name = format!("`SCHEMA_PLACES_STEPS_MAX` ({SCHEMA_PLACES_STEPS_MAX})");
    assert!(
        matches!(&problems[..], [one] if one.contains(&name)),
        "{problems:?}"
    );
    // Each place is as long as the names that lead to it.
    let key = "k".repeat(100_000);
    let long = json!({ key.as_str(): vec![0; 1_000] });
    let schema = json!({ "additionalProperties": { "items": { "type": "string" } } });
    assert_eq!(told_of(&schema, &long).len(), 1);
}

#[test]
fn a_pattern_that_may_be_slow_is_refused_with_its_place() {
    const LARGE: &str = "SCHEMA_PATTERN_TABLES_BYTES_MAX` (2097152)";
    for (pattern, reason) in [
        ("a[ab]{200}c", LARGE),
        (".*a.{9999}$", LARGE),
        ("(?:a{999}){99}", LARGE),
        ("(?:^.{200}|zz)a.*$", LARGE),
        ("^(?!x)", "look-ahead"),
        ("(?<=x)y", "look-behind"),
        (r"(a)\1", "back-references"),
        ("(", "no regular expression"),
        (r"\bx", r"(?-u:\b)"),
    ] {
        let schema = json!({ "properties": { "a": { "items": { "pattern": pattern } } } });
        let said = compiled(&schema).unwrap_err().to_string();
        let place = "the schema at /properties/a/items/pattern: the pattern `";
        assert!(said.starts_with(&format!("{place}{pattern}`")), "{said}");
        assert!(said.contains(reason), "{said}");
    }
    let schema = json!({ "not": { "patternProperties": { "(?!x)": {} } } });
    let said = compiled(&schema).unwrap_err().to_string();
    assert!(
        said.contains("at /not/patternProperties: the pattern `(?!x)`"),
        "{said}"
    );
}

#[test]
fn a_pattern_that_is_exponential_for_others_has_a_small_table() {
    for pattern in ["(a+)+$", "^(a|aa)+$", "([a-z]*)*!", "(x+x+)+y"] {
        let mut tables = Tables::default();
        assert_eq!(tables.add(pattern), Ok(()), "{pattern}");
        let bytes = SCHEMA_PATTERN_TABLES_BYTES_MAX - tables.left();
        assert!((1..2_000).contains(&bytes), "{pattern} {bytes}");
        let (fits, steps) = counted(
            &json!({ "pattern": pattern }),
            &json!("a".repeat(10_000) + "?"),
        );
        assert!(!fits && steps < 2_000, "{pattern} {steps}");
    }
}

#[test]
fn patterns_of_honest_use_are_taken() {
    let mut tables = Tables::default();
    for pattern in [
        "^/",
        r"\S",
        r"^\S+$",
        "^[a-z0-9_-]{1,63}$",
        "^.{1,64}$",
        r"^\p{Lu}\p{Ll}*$",
        r"^[\w.+-]+@[\w-]+\.[\w.]+$",
        r"^(https?|ftp)://[^\s/$.?#].[^\s]*$",
        r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$",
        "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        r"^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?$",
        r"^(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}$",
        r"^arn:aws:[a-z0-9-]+:[a-z0-9-]*:\d{12}:.+$",
        r"(?-u:\b)foo(?-u:\b)",
        "(?i)^(yes|no)$",
    ] {
        assert_eq!(tables.add(pattern), Ok(()), "{pattern}");
        compiled(&json!({ "pattern": pattern })).unwrap();
    }
}

#[test]
fn the_patterns_of_a_manifest_share_the_room_for_their_tables() {
    let mut tables = Tables::default();
    let taken = (1..100_u32).take_while(|n| {
        let pattern = format!("^.{{{n},64}}$");
        // The same again takes no more of it.
        let first = tables.add(&pattern);
        first.is_ok() && (0..100).all(|_| tables.add(&pattern).is_ok())
    });
    let count = taken.count();
    assert!((10..60).contains(&count), "{count}");
    let alone = Tables::default().add("^.{30,64}$");
    assert_eq!(alone, Ok(()));
}

#[test]
fn every_manifest_that_comes_with_keyway_is_taken() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let connectors = std::fs::read_dir(format!("{root}/connectors")).unwrap();
    let mut count = 0;
    for connector in connectors {
        let Ok(text) = std::fs::read_to_string(connector.unwrap().path().join("connector.toml"))
        else {
            continue;
        };
        let manifest = Manifest::parse(&text).unwrap();
        assert_eq!(Schemas::of(&manifest).map(drop), Ok(()), "{text}");
        count += 1;
    }
    assert!(count >= 5, "{count}");
}
