//! What goes on where the validator looks once, or not at all.

use super::*;

/// How many errors there are of what does not fit, and how many steps finding them took.
fn errors_counted(schema: &Value, value: &Value) -> (u64, u64) {
    let schema = compiled(schema).unwrap();
    let meter = Meter::new(u64::MAX, Aim::Places, schema.weights);
    let errors = schema.validator.iter_errors(Metered::root(value, &meter));
    (errors.count() as u64, meter.taken(u64::MAX))
}

#[test]
fn an_error_holds_nothing_of_the_value_that_it_is_about() {
    let value = json!(["long".repeat(1_000)]);
    for branch in [
        json!({ "unevaluatedItems": false }),
        json!({ "type": "string" }),
    ] {
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let schema = compiled(&json!({ keyword: vec![branch.clone(); 20] })).unwrap();
            let meter = Meter::new(u64::MAX, Aim::Places, schema.weights);
            let errors = schema.validator.iter_errors(Metered::root(&value, &meter));
            let held: String = errors.map(|error| format!("{error:?}")).collect();
            assert!(!held.is_empty() && !held.contains("long"), "{held}");
        }
    }
}

#[test]
fn a_name_that_does_not_fit_is_told_as_it_is() {
    let schema = json!({ "propertyNames": { "maxLength": 2 } });
    assert_eq!(
        told_of(&schema, &json!({ "abc": 1 })),
        ["at /: \"abc\" is longer than 2 characters"]
    );
}

#[test]
fn what_an_error_copies_of_the_schema_costs_steps() {
    let long = "x".repeat(1_000);
    let values = json!(vec!["a"; 100]);
    for schema in [
        json!({ "items": { "not": { "type": "string", "description": long } } }),
        json!({ "items": { "not": { "enum": vec!["a"; 125] } } }),
        json!({ "items": { "pattern": long } }),
    ] {
        let (errors, steps) = errors_counted(&schema, &values);
        assert!(errors == 100 && steps >= 100 * 125, "{errors} {steps}");
    }
    let objects = json!(vec![json!({}); 100]);
    let (errors, steps) = errors_counted(&json!({ "items": { "required": [long] } }), &objects);
    assert!(errors == 100 && steps >= 100 * 125, "{errors} {steps}");
}

#[test]
fn of_a_long_schema_only_the_beginning_is_written_when_it_is_told() {
    let long = "x".repeat(100_000);
    let problems = told_of(&json!({ "const": long }), &json!(1));
    let told = format!("at /: \"{}…", "x".repeat(PROBLEM_CHARS - 1));
    assert_eq!(problems, [told]);
    assert_eq!(cut("ä"), "ä");
    let whole = "ä".repeat(PROBLEM_CHARS);
    assert_eq!(cut(&whole), whole);
    assert_eq!(cut(&(whole.clone() + "ä")), whole + "…");
}

#[test]
fn looking_for_a_long_name_costs_steps_by_its_length() {
    let long = "k".repeat(100_000);
    let value = json!({ long.as_str(): 1, "b": 2, "c": 3, "d": 4 });
    for required in [
        json!([long]),
        json!(["b", long]),
        json!(["b", "c", long]),
        json!(["b", "c", "d", long]),
    ] {
        let (fits, steps) = counted(&json!({ "required": required }), &value);
        assert!(fits && steps >= 100_000 / 8, "{steps}");
    }
    let (fits, steps) = counted(&json!({ "const": value }), &value);
    assert!(fits && steps >= 100_000 / 8, "{steps}");
    let mut schema = json!({ "type": "object", "required": [long] });
    let mut nested = json!({ long.as_str(): 1 });
    for _ in 0..10 {
        schema = json!({ "type": "array", "unevaluatedItems": false, "contains": schema });
        nested = json!([nested]);
    }
    ends_at_its_steps(&schema, &nested);
}

#[test]
fn marking_elements_costs_steps_by_the_length_of_the_list() {
    let values = json!(vec![0; 10_000]);
    for keyword in ["allOf", "anyOf"] {
        for branch in [json!({ "items": true }), json!({ "minItems": 1 })] {
            let mut branches = vec![branch; 200];
            branches.insert(0, json!({ "items": true }));
            let schema = json!({ "unevaluatedItems": false, keyword: branches });
            let (fits, steps) = counted(&schema, &values);
            assert!(fits && steps >= 200 * 10_000 / 16, "{steps}");
        }
    }
}

#[test]
fn a_pattern_of_many_alternatives_costs_steps_for_each_text_and_name() {
    let alternatives: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    let pattern = format!("^({})$", alternatives.join("|"));
    let texts = json!(vec!["199"; 100]);
    let (fits, steps) = counted(&json!({ "items": { "pattern": pattern } }), &texts);
    assert!(fits && steps >= 100 * 200 / 8, "{steps}");
    let names: serde_json::Map<_, _> = alternatives.into_iter().map(|n| (n, json!(1))).collect();
    let names = Value::Object(names);
    for schema in [
        json!({ "propertyNames": { "pattern": pattern } }),
        json!({ "patternProperties": { pattern.as_str(): { "type": "number" } } }),
    ] {
        let (fits, steps) = counted(&schema, &names);
        assert!(fits && steps >= 200 * 200 / 8, "{steps}");
    }
}

#[test]
fn putting_many_members_in_order_costs_more_than_each_alone() {
    let members: serde_json::Map<_, _> = (0..1_024).map(|n| (format!("{n}"), json!(1))).collect();
    let (unique, steps) = counted(
        &json!({ "uniqueItems": true }),
        &json!([Value::Object(members)]),
    );
    assert!(unique && steps >= 1_024 * 10, "{steps}");
}
