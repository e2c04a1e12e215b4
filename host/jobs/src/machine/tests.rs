//! Jobs of every construct, interrupted at every place.

use std::sync::Arc;

use keyway_model::limit::ITERATIONS_MAX;
use keyway_model::recipe::{Format, Recipe};
use keyway_model::{Failure, JobId, JobState, Json, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::compile;
use crate::machine::oracle;

mod limits;
mod random;
mod resume;

const AT: Timestamp = Timestamp::from_micros(1_000_000);

fn definition(steps: &str) -> Arc<Definition> {
    let text = format!("recipe: test\ntrigger: {{ webhook: {{}} }}\nsteps:\n{steps}");
    let recipe = Recipe::parse(&text, Format::Yaml).unwrap();
    let answer = oracle::check(&compile::check_request(&recipe));
    let definition = compile::finish(&recipe, &answer).unwrap();
    let stored = definition.to_json().unwrap();
    let restored = Definition::from_json(&stored).unwrap();
    assert_eq!(restored, definition);
    Arc::new(restored)
}

fn facts() -> JobFacts {
    let id = JobId::from_bits(7);
    JobFacts {
        id,
        origin: id,
        recipe: "test".parse().unwrap(),
        version: 1,
        started_at: AT,
    }
}

/// The outside world: `fails` in an action's name fails, else the input comes
/// back with the step's key.
fn call(act: &Act) -> Result<Json, Failure> {
    match act.action.as_str() {
        "fails" => Err(Failure::Transient("the upstream is away".to_owned())),
        _ => Ok(json!({ "key": act.key, "input": act.input }).into()),
    }
}

/// What a job did from some point on.
#[derive(Debug, PartialEq)]
struct Ran {
    journal: Vec<Entry>,
    acted: Vec<(String, String)>,
    evaluations: usize,
    outcome: Outcome,
    reply: Option<Reply>,
}

fn run_from(definition: &Definition, trigger: &Value, journal: Vec<Entry>) -> Ran {
    let mut machine = Machine::new(definition, trigger.clone().into(), facts(), journal.clone());
    let mut ran = Ran {
        journal,
        acted: Vec::new(),
        evaluations: 0,
        outcome: Outcome::Succeeded { reason: None },
        reply: None,
    };
    loop {
        match machine.next().unwrap() {
            Next::Evaluate { request } => {
                ran.evaluations += 1;
                ran.journal
                    .extend(machine.evaluated(&oracle::run(&request), AT).unwrap());
            }
            Next::Act(act) => {
                let result = call(&act);
                ran.acted
                    .push((act.key.clone(), act.idempotency_key.clone()));
                ran.journal
                    .extend(machine.acted(&act.key, result, AT).unwrap());
            }
            Next::Finished { outcome } => {
                ran.outcome = outcome;
                ran.reply = machine.reply().cloned();
                return ran;
            }
        }
    }
}

fn run(steps: &str, trigger: &Value) -> Ran {
    run_from(&definition(steps), trigger, Vec::new())
}

fn output(ran: &Ran, key: &str) -> Value {
    let entry = ran.journal.iter().find(|entry| entry.key == key);
    match entry.map(|entry| &entry.record) {
        Some(Record::Completed { output }) => output.to_value().unwrap(),
        other => panic!("{key} is {other:?}"),
    }
}

/// A crash at every place of the journal changes nothing, and no step that the
/// journal has as completed acts again.
fn survives_a_crash_anywhere(definition: &Definition, trigger: &Value) -> Ran {
    let whole = run_from(definition, trigger, Vec::new());
    let positions: Vec<u32> = whole.journal.iter().map(|entry| entry.position).collect();
    assert_eq!(
        positions,
        (0..u32::try_from(positions.len()).unwrap()).collect::<Vec<_>>()
    );
    for kept in 0..=whole.journal.len() {
        let prefix = whole.journal[..kept].to_vec();
        let again = run_from(definition, trigger, prefix.clone());
        assert_eq!(again.journal, whole.journal, "after {kept} entries");
        assert_eq!(again.outcome, whole.outcome, "after {kept} entries");
        assert_eq!(again.reply, whole.reply, "after {kept} entries");
        for (key, _) in &again.acted {
            assert!(
                prefix.iter().all(|entry| entry.key != *key),
                "{key} acted again after {kept}"
            );
            assert!(whole.acted.iter().any(|(first, _)| first == key));
        }
        assert!(
            again.acted.iter().all(|act| whole.acted.contains(act)),
            "idempotency keys stay"
        );
    }
    whole
}

const W1: &str = r#"
  - { id: shape, transform: { order: "${ trigger.body.id }" } }
  - { id: create, action: orders.create, connection: shop, input: { o: "${ steps.shape.order }" } }
  - id: check
    if: "steps.create.input.o == 5"
    then: [ { respond: { status: 201, headers: { X-Order: "${ steps.create.key }" }, body: "${ steps.create.input.o }" } } ]
    else: [ { stop: { outcome: failed, reason: refused } } ]
"#;

#[test]
fn effect_free_steps_around_an_action_cost_two_evaluations() {
    let ran = run(W1, &json!({ "body": { "id": 5 } }));
    assert_eq!(ran.evaluations, 2);
    assert_eq!(ran.outcome, Outcome::Succeeded { reason: None });
    let reply = ran.reply.unwrap();
    assert_eq!((reply.status, reply.body), (201, json!(5)));
    assert_eq!(reply.headers, [("x-order".to_owned(), "create".to_owned())]);
    let kinds: Vec<&str> = ran
        .journal
        .iter()
        .map(|entry| entry.kind.as_str())
        .collect();
    assert_eq!(kinds, ["transform", "action", "if", "respond"]);
    assert_eq!(ran.journal[1].input, Some(json!({ "o": 5 }).into()));
}

#[test]
fn a_recipe_without_effects_costs_one_evaluation() {
    let steps = r#"
  - { id: shape, transform: { order: "${ trigger.body }" } }
  - { id: check, if: "steps.shape.order == 1", then: [ { id: in, transform: "${ steps.shape.order }" } ] }
  - { respond: { body: "${ steps.shape.order }" } }
"#
    .replace("id: in,", "id: inner,");
    let ran = run(&steps, &json!({ "body": 1 }));
    assert_eq!(
        (ran.evaluations, ran.reply.map(|reply| reply.body)),
        (1, Some(json!(1)))
    );
}

#[test]
fn a_stop_ends_the_job_as_it_says() {
    let failed = run(W1, &json!({ "body": { "id": 6 } }));
    let Outcome::Failed(failure) = &failed.outcome else {
        panic!("{failed:?}")
    };
    assert_eq!(
        (failure.key.as_str(), &failure.cause),
        ("stop_5", &Cause::Stop("refused".to_owned()))
    );
    let well = run(
        "  - stop: { outcome: succeeded, reason: enough }",
        &json!({}),
    );
    assert_eq!(
        well.outcome,
        Outcome::Succeeded {
            reason: Some("enough".to_owned())
        }
    );
}

const NESTED: &str = r#"
  - id: each
    foreach: "${ trigger.body }"
    as: line
    steps:
      - id: many
        if: "line.kind == 'many'"
        then:
          - id: inner
            foreach: "${ line.parts }"
            as: part
            steps:
              - { id: send, action: orders.send, connection: shop, input: [ "${ part }", "${ index }", "${ line.kind }" ] }
        else:
          - { id: skip, transform: "${ index }" }
      - { id: last, action: orders.last, connection: shop, input: "${ line.kind }" }
  - { id: after, transform: "${ steps.each }" }
"#;

#[test]
fn a_foreach_gives_the_last_output_of_each_iteration() {
    let trigger = json!({ "body": [{ "kind": "many", "parts": [1, 2] }, { "kind": "one" }] });
    let ran = survives_a_crash_anywhere(&definition(NESTED), &trigger);
    let keys: Vec<&str> = ran.acted.iter().map(|(key, _)| key.as_str()).collect();
    let expected = [
        "each[0]/inner[0]/send",
        "each[0]/inner[1]/send",
        "each[0]/last",
        "each[1]/last",
    ];
    assert_eq!(keys, expected);
    assert_eq!(
        output(&ran, "each[0]/inner[1]/send")["input"],
        json!([2, 1, "many"])
    );
    assert_eq!(output(&ran, "each[1]/skip"), json!(1));
    assert_eq!(output(&ran, "after")[1]["input"], "one");
    let unique: std::collections::HashSet<&String> = ran.acted.iter().map(|(_, key)| key).collect();
    assert_eq!(
        unique.len(),
        4,
        "each iteration has its own idempotency key"
    );
}

#[test]
fn a_foreach_over_nothing_gives_nothing() {
    let ran = survives_a_crash_anywhere(&definition(NESTED), &json!({ "body": [] }));
    assert_eq!((output(&ran, "after"), ran.acted.len()), (json!([]), 0));
}

#[test]
fn a_foreach_over_something_else_fails_the_job() {
    let ran = run(NESTED, &json!({ "body": 3 }));
    let Outcome::Failed(failure) = ran.outcome else {
        panic!("{:?}", ran.outcome)
    };
    assert_eq!(
        (failure.key.as_str(), failure.cause.kind()),
        ("each", "expression")
    );
}

#[test]
fn too_many_items_fail_the_job_with_the_limit_s_name() {
    let items = vec![Value::Null; ITERATIONS_MAX + 1];
    let ran = run(NESTED, &json!({ "body": items }));
    let Outcome::Failed(failure) = ran.outcome else {
        panic!("{:?}", ran.outcome)
    };
    assert_eq!(
        failure.cause.to_string(),
        "a limit is exceeded: 10001 items, at most 10000 (ITERATIONS_MAX)"
    );
}

#[test]
fn a_second_reply_fails_the_job_and_the_first_one_stays() {
    let steps = "  - { respond: { body: 1 } }\n  - { respond: { body: 2 } }";
    let ran = survives_a_crash_anywhere(&definition(steps), &json!({}));
    let Outcome::Failed(failure) = ran.outcome else {
        panic!("{:?}", ran.outcome)
    };
    assert_eq!(
        (failure.key.as_str(), failure.cause.kind()),
        ("respond_2", "reply")
    );
    assert_eq!(ran.reply.map(|reply| reply.body), Some(json!(1)));
}

#[test]
fn a_reply_with_a_broken_header_is_refused() {
    let steps = r#"  - { respond: { headers: { x-a: "${ trigger.body }" } } }"#;
    assert_eq!(
        run(steps, &json!({ "body": "plain" })).outcome.state(),
        JobState::Succeeded
    );
    let ran = run(steps, &json!({ "body": "a\r\nset-cookie: b" }));
    let Outcome::Failed(failure) = ran.outcome else {
        panic!("{:?}", ran.outcome)
    };
    assert_eq!(failure.cause.kind(), "reply");
}

#[test]
fn an_expression_without_a_value_fails_its_step() {
    let steps = "  - { id: a, transform: 1 }\n  - { id: b, transform: \"${ trigger.none }\" }";
    let ran = survives_a_crash_anywhere(&definition(steps), &json!({}));
    let Outcome::Failed(failure) = ran.outcome else {
        panic!("{:?}", ran.outcome)
    };
    assert_eq!(failure.key, "b");
    assert_eq!(
        failure.cause,
        Cause::Expression("there is no `none`".to_owned())
    );
}

/// The variables of the request that comes next.
fn variables(machine: &Machine) -> Value {
    let Next::Evaluate { request } = machine.next().unwrap() else {
        panic!("nothing is to be evaluated");
    };
    serde_json::from_str::<Value>(&request).unwrap()["variables"].clone()
}

#[test]
fn the_component_gets_the_variables_that_are_looked_at_and_no_others() {
    let steps = r#"
  - { id: one, transform: "${ trigger.body.n }" }
  - { id: two, transform: 2 }
  - { id: send, action: orders.create, connection: shop, input: { n: "${ steps.two }" } }
  - id: each
    foreach: "${ trigger.body.items }"
    as: item
    steps:
      - { id: again, action: orders.create, connection: shop, input: { n: "${ steps.send.key }" } }
      - id: check
        if: "steps.again.key == item"
        then:
          - { id: inner, transform: "${ steps.one }" }
  - { id: whole, transform: "${ steps }" }
"#;
    let trigger = json!({ "body": { "n": 1, "items": ["x"] } });
    let mut machine = Machine::new(
        &definition(steps),
        trigger.clone().into(),
        facts(),
        Vec::new(),
    );
    let mut seen = Vec::new();
    while machine.outcome().is_none() {
        match machine.next().unwrap() {
            Next::Evaluate { request } => {
                let mut names: Vec<String> = Vec::new();
                let variables = variables(&machine);
                for (name, value) in variables.as_object().unwrap() {
                    match name.as_str() {
                        "steps" => names.extend(value.as_object().unwrap().keys().cloned()),
                        _ => names.push(format!("${name}")),
                    }
                }
                seen.push(names.join(" "));
                machine.evaluated(&oracle::run(&request), AT).unwrap();
            }
            Next::Act(act) => {
                machine.acted(&act.key, call(&act), AT).unwrap();
            }
            Next::Finished { .. } => {}
        }
    }
    assert_eq!(
        machine.outcome().map(Outcome::state),
        Some(JobState::Succeeded)
    );
    let expected = [
        // `two` is made in the same request.
        "$trigger",
        // The list, and nothing of what its body looks at.
        "$trigger",
        "send $item $index",
        "one again $item $index",
        "one two send each",
    ];
    assert_eq!(seen, expected);
}
