//! Random recipes, interrupted at every place.

use proptest::prelude::*;

use super::*;

/// Steps in random nesting; ids come after.
fn block(depth: u32) -> BoxedStrategy<Vec<Value>> {
    let leaf = prop_oneof![
        3 => Just(json!({ "transform": { "n": "${ trigger.body.n }" } })),
        3 => Just(json!({ "action": "orders.works", "connection": "shop", "input": "${ job.id }" })),
        1 => Just(json!({ "action": "orders.fails", "connection": "shop" })),
        1 => Just(json!({ "respond": { "body": "${ trigger.body.n }" } })),
        1 => Just(json!({ "transform": "${ trigger.none }" })),
    ];
    if depth == 0 {
        return prop::collection::vec(leaf, 1..3).boxed();
    }
    let step = prop_oneof![
        4 => leaf,
        1 => (block(depth - 1), block(depth - 1), 0..3)
            .prop_map(|(then, other, n)| json!({ "if": format!("trigger.body.n == {n}"), "then": then, "else": other })),
        1 => block(depth - 1).prop_map(|steps| json!({ "foreach": "${ trigger.body.items }", "steps": steps })),
    ];
    prop::collection::vec(step, 1..4).boxed()
}

fn name_steps(steps: &mut [Value], next: &mut usize) {
    for step in steps {
        *next += 1;
        step["id"] = json!(format!("s{next}"));
        if step["foreach"].is_string() {
            step["as"] = json!(format!("v{next}"));
        }
        for inner in ["then", "else", "steps"] {
            if let Some(inner) = step[inner].as_array_mut() {
                name_steps(inner, next);
            }
        }
        step.as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn no_crash_changes_what_any_job_does(mut steps in block(2), n in 0..3, items in 0..3_usize) {
        name_steps(&mut steps, &mut 0);
        let text = json!({ "recipe": "test", "trigger": { "webhook": {} }, "steps": steps }).to_string();
        let recipe = Recipe::parse(&text, Format::Json).unwrap();
        let answer = oracle::check(&compile::check_request(&recipe));
        let definition = compile::finish(&recipe, &answer).unwrap();
        let trigger = json!({ "body": { "n": n, "items": vec![1; items] } });
        survives_a_crash_anywhere(&definition, &trigger);
    }
}
