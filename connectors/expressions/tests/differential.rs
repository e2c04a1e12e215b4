//! Our evaluator against the reference: an expression is compiled to a tree,
//! the tree is evaluated, and the result must be what the `cel` crate says of
//! the same text. Where that crate fails, ours must fail.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::HashMap;

use cel::{Context, Program};
use keyway_expressions::{check, run};
use serde_json::{Value, json};

fn trigger() -> Value {
    json!({
        "name": "Ada", "empty": "", "count": 3, "price": 2.5, "whole": 4.0, "yes": true, "no": false,
        "none": null, "numbers": [3, 1, 2], "mixed": [1, "a", null], "deep": {"a": {"b": [{"c": 7}]}},
        "items": [{"sku": "x", "quantity": 2, "cents": 150}, {"sku": "y", "quantity": 1, "cents": 700}],
        "text": "größer ☃", "nothing": [], "odd key": 1
    })
}

fn ours(source: &str) -> Result<Value, String> {
    let request = json!({
        "blocks": [{"variables": ["trigger", "job", "steps", "item", "index"], "steps": []}],
        "templates": [{"id": "t", "kind": "expression", "value": source, "place": {"block": 0, "after": 0}}]
    });
    let answer: Value = serde_json::from_str(&check(&request.to_string()).unwrap()).unwrap();
    if let Some(error) = answer["errors"].get(0) {
        return Err(format!("check: {}", error["message"]));
    }
    let request = json!({
        "variables": {"trigger": trigger(), "index": 5},
        "block": [{"key": "k", "do": "transform", "value": answer["trees"][0]["tree"]}]
    });
    let answer: Value = serde_json::from_str(&run(&request.to_string()).unwrap()).unwrap();
    match &answer["error"] {
        Value::Null => Ok(answer["done"][0]["output"].clone()),
        error => Err(error["message"].to_string()),
    }
}

fn reference(source: &str) -> Result<Value, String> {
    let program = Program::compile(source).map_err(|error| error.to_string())?;
    let mut context = Context::default();
    context
        .add_variable("trigger", integers(&trigger()))
        .unwrap();
    context.add_variable("index", 5_i64).unwrap();
    let value = program
        .execute(&context)
        .map_err(|error| error.to_string())?;
    value.json().map_err(|error| error.to_string())
}

/// The crate's own conversion makes JSON's positive integers unsigned, which
/// CEL's conversion of JSON does not.
fn integers(value: &Value) -> cel::Value {
    match value {
        Value::Number(number) if number.is_i64() => cel::Value::Int(number.as_i64().unwrap()),
        Value::Array(items) => {
            cel::Value::List(items.iter().map(integers).collect::<Vec<_>>().into())
        }
        Value::Object(members) => {
            let members: HashMap<String, cel::Value> = members
                .iter()
                .map(|(key, value)| (key.clone(), integers(value)))
                .collect();
            cel::Value::Map(members.into())
        }
        other => cel::to_value(other).unwrap(),
    }
}

const SAME: &[&str] = &[
    // literals
    "1",
    "-7",
    "0x1F",
    "1.5",
    "1e3",
    "true",
    "null",
    "'a'",
    "\"b\\n\"",
    "r'\\n'",
    "'''q'''",
    "[1, 2]",
    "{'a': 1, 'b': [2]}",
    "9223372036854775807",
    "-9223372036854775808",
    "'\\u00e9'",
    "[]",
    "{}",
    // arithmetic
    "1 + 2 * 3",
    "(1 + 2) * 3",
    "7 / 2",
    "-7 / 2",
    "7 % 3",
    "-7 % 3",
    "1.5 + 2.0",
    "7.0 / 2.0",
    "2 - 5",
    "-index",
    "- -3",
    "trigger.price * 2.0",
    "'a' + 'b'",
    "[1] + [2, 3]",
    // errors of arithmetic
    "1 / 0",
    "1 % 0",
    "9223372036854775807 + 1",
    "-9223372036854775808 - 1",
    "9223372036854775807 * 2",
    "1 + 'a'",
    "'a' + 1",
    "true + true",
    "'a' - 'b'",
    "-'a'",
    "{} + {}",
    // comparison
    "1 < 2",
    "2 <= 2",
    "1 == 1.0",
    "1 < 1.5",
    "2.5 > 2",
    "'a' < 'b'",
    "'a' == 'a'",
    "1 != 2",
    "[1, 2] == [1, 2]",
    "[1, 2] == [2, 1]",
    "{'a': 1} == {'a': 1}",
    "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}",
    "null == null",
    "true > false",
    "trigger.none == null",
    "1 == null",
    "trigger.whole == 4",
    // logic
    "true && false",
    "true || false",
    "!true",
    "false && 1 / 0 == 1",
    "1 / 0 == 1 && false",
    "true || 1 / 0 == 1",
    "1 / 0 == 1 || true",
    "trigger.yes ? 1 : 2",
    "trigger.no ? 1 / 0 : 2",
    "trigger.yes && !trigger.no && true && true",
    // paths
    "trigger.name",
    "trigger.deep.a.b[0].c",
    "trigger['odd key']",
    "trigger.numbers[1]",
    "trigger.numbers[9]",
    "trigger.numbers[-1]",
    "trigger.missing",
    "trigger.name.first",
    "trigger.deep['a']",
    "{'a': 1}.a",
    "{'a': 1}['b']",
    "has(trigger.name)",
    "has(trigger.missing)",
    "has(trigger.deep.a.x)",
    "has(trigger.none)",
    // membership
    "2 in trigger.numbers",
    "9 in trigger.numbers",
    "'name' in trigger",
    "'x' in {'a': 1}",
    "2.0 in [1, 2]",
    // size and strings
    "size('abc')",
    "size(trigger.text)",
    "trigger.text.size()",
    "size([1, 2])",
    "size({'a': 1})",
    "size(1)",
    "'abc'.startsWith('ab')",
    "'abc'.endsWith('bc')",
    "'abc'.contains('z')",
    "trigger.name.startsWith('A')",
    // conversions
    "string(1)",
    "string('a')",
    "string(true)",
    "string(1.5)",
    "string(2.0)",
    "int(3.9)",
    "int(-3.9)",
    "int('12')",
    "int('x')",
    "double(3)",
    "double('2.5')",
    "double('x')",
    "int(1e30)",
    // macros
    "trigger.numbers.map(n, n * 2)",
    "trigger.numbers.map(n, n > 1, n * 2)",
    "trigger.numbers.filter(n, n > 1)",
    "trigger.numbers.all(n, n > 0)",
    "trigger.numbers.exists(n, n == 2)",
    "trigger.numbers.exists_one(n, n > 2)",
    "trigger.items.map(i, i.quantity * i.cents)",
    "trigger.items.filter(i, i.cents > 200).map(i, i.sku)",
    "[[1, 2], [3]].map(l, l.map(n, n + size(l)))",
    "[1, 2].map(trigger, trigger)",
    "[].all(x, x)",
    "[].exists(x, x)",
    "[0, 1].exists(n, 1 / n == 1)",
    "[1, 0].exists(n, 1 / n == 1)",
    "[0, 1].all(n, 1 / n == 5)",
    "{'a': 1, 'b': 2}.all(k, k != 'c')",
    "trigger.mixed.filter(x, x != null)",
    "1.map(x, x)",
    "[1, 2].filter(n, n)",
    "{'total': trigger.items.map(i, i.cents), 'who': trigger.name + '!'}",
    // precedence
    "1 + 2 == 3 && 2 < 3 || false",
    "true ? false ? 1 : 2 : 3",
    "!false && true",
    "-1 + 2",
    "2 * -3",
    "1 - 2 - 3",
    "'a' in ['a'] == true",
];

#[test]
fn trees_evaluate_to_what_the_reference_says() {
    assert!(SAME.len() >= 60);
    let mut wrong = Vec::new();
    for source in SAME {
        let (ours, reference) = (ours(source), reference(source));
        let same = match (&ours, &reference) {
            (Ok(ours), Ok(reference)) => ours == reference,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !same {
            wrong.push(format!(
                "{source}\n   ours {ours:?}\n   reference {reference:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_functions_beyond_the_reference_answer_as_documented() {
    let table: &[(&str, Value)] = &[
        ("'Ab'.lowerAscii() + 'Ab'.upperAscii()", json!("abAB")),
        ("'a,b,c'.split(',')", json!(["a", "b", "c"])),
        ("'añ'.split('')", json!(["a", "ñ"])),
        ("['a', 'b'].join('-') + ['a', 'b'].join()", json!("a-bab")),
        ("'a.b.c'.replace('.', '/')", json!("a/b/c")),
        ("'  a '.trim()", json!("a")),
        ("'größer'.indexOf('ß')", json!(3)),
        ("'größer'.substring(1, 3)", json!("rö")),
        ("sum([1, 2, 3]) + [4, 5].sum()", json!(15)),
        ("sum([1.5, 2.0])", json!(3.5)),
        ("sum([])", json!(0)),
        ("min(3, 1, 2) + max([3, 1, 2])", json!(4)),
        ("round(2.5)", json!(3.0)),
        ("int(round(2.4))", json!(2)),
        ("json('{\"a\":[1]}').a[0]", json!(1)),
        ("toJson({'a': [1, null]})", json!("{\"a\":[1,null]}")),
        (
            "base64.encode('hi') + base64.encode(b'hi')",
            json!("aGk=aGk="),
        ),
        ("string(base64.decode('aGk='))", json!("hi")),
        ("base64.decode('aGk')", json!("aGk=")),
        ("bool('true')", json!(true)),
        ("size(b'abc')", json!(3)),
        (
            "trigger.items.map(i, i.quantity * i.cents).sum()",
            json!(1000),
        ),
    ];
    for (source, expected) in table {
        assert_eq!(ours(source).as_ref(), Ok(expected), "{source}");
    }
}

#[test]
fn misuse_of_a_function_says_what_does_not_fit() {
    for (source, part) in [
        ("sum(['a'])", "adds numbers"),
        ("min([])", "empty list"),
        ("max([1, 'a'])", "cannot compare"),
        ("[1].join(',')", "element 0 is int"),
        ("json('{')", "not JSON"),
        ("base64.decode('*')", "not base64"),
        ("1 + 1.0", "convert one side"),
        ("1.0 / 0.0", "no JSON form"),
        ("'abc'.substring(2, 9)", "3 characters"),
        ("trigger.missing", "has(trigger.missing)"),
        ("trigger.no ? 1 : trigger.count.x", "`trigger.count` is int"),
    ] {
        let problem = ours(source).unwrap_err();
        assert!(problem.contains(part), "{source}: {problem}");
    }
}
