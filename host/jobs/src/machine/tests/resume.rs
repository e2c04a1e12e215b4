//! Reruns, attempts whose outcome is unknown, and answers that do not fit.

use keyway_model::EffectClass;

use super::*;

const FAILING: &str = r#"
  - { id: first, action: orders.create, connection: shop, input: 1 }
  - { id: second, action: orders.fails, connection: shop, input: "${ steps.first.key }" }
"#;

#[test]
fn a_failed_action_fails_the_job_and_a_rerun_goes_on_there() {
    let failing = definition(FAILING);
    let ran = survives_a_crash_anywhere(&failing, &json!({}));
    let Outcome::Failed(failure) = &ran.outcome else {
        panic!("{:?}", ran.outcome)
    };
    assert_eq!(
        (failure.key.as_str(), failure.cause.kind()),
        ("second", "transient")
    );
    assert_eq!(
        ran.journal[1].input,
        Some(json!("first").into()),
        "people see what was tried"
    );

    let repaired = definition(&FAILING.replace("fails", "works"));
    let rerun = run_from(
        &repaired,
        &json!({}),
        completed_before_failure(&ran.journal),
    );
    assert_eq!(rerun.outcome, Outcome::Succeeded { reason: None });
    assert_eq!(
        rerun.acted,
        [ran.acted[1].clone()],
        "one step, with the same idempotency key"
    );
}

/// The job of `W1` at its action, and the marker of its first attempt.
fn at_the_action(effect: EffectClass) -> (Arc<Definition>, Vec<Entry>) {
    let definition = definition(W1);
    let mut machine = Machine::new(
        &definition,
        json!({ "body": { "id": 5 } }).into(),
        facts(),
        Vec::new(),
    );
    let Next::Evaluate { request } = machine.next().unwrap() else {
        panic!("no evaluation")
    };
    let mut journal = machine.evaluated(&oracle::run(&request), AT).unwrap();
    journal.push(machine.started(effect, AT).unwrap());
    (definition, journal)
}

#[test]
fn an_unknown_outcome_of_a_once_action_is_left_to_a_person() {
    let (definition, journal) = at_the_action(EffectClass::Once);
    assert_eq!(
        journal[1].input,
        Some(json!({ "o": 5 }).into()),
        "people see what was tried"
    );
    let ran = run_from(&definition, &json!({ "body": { "id": 5 } }), journal);
    let review = Review {
        key: "create".to_owned(),
        step: "create".to_owned(),
        attempt: 1,
    };
    assert_eq!(ran.outcome, Outcome::Review(review));
    assert_eq!(
        (ran.outcome.state(), ran.acted.len(), ran.evaluations),
        (JobState::Review, 0, 0)
    );
}

#[test]
fn an_unknown_outcome_of_any_other_action_is_tried_again() {
    for effect in [
        EffectClass::Read,
        EffectClass::Idempotent,
        EffectClass::Keyed,
    ] {
        let (definition, journal) = at_the_action(effect);
        let mut machine = Machine::new(
            &definition,
            json!({ "body": { "id": 5 } }).into(),
            facts(),
            journal.clone(),
        );
        let Next::Evaluate { request } = machine.next().unwrap() else {
            panic!("no evaluation")
        };
        assert_eq!(machine.evaluated(&oracle::run(&request), AT).unwrap(), []);
        let Next::Act(act) = machine.next().unwrap() else {
            panic!("no action")
        };
        assert_eq!(act.attempt, 2);
        assert_eq!(act.idempotency_key, facts().idempotency_key("create"));
        let ran = run_from(&definition, &json!({ "body": { "id": 5 } }), journal);
        assert_eq!(ran.outcome, Outcome::Succeeded { reason: None });
    }
}

#[test]
fn a_once_action_whose_outcome_is_known_goes_on() {
    let (definition, mut journal) = at_the_action(EffectClass::Once);
    let done = run_from(&definition, &json!({ "body": { "id": 5 } }), Vec::new());
    let completed = done
        .journal
        .into_iter()
        .find(|entry| entry.key == "create")
        .unwrap();
    journal.push(Entry {
        position: 2,
        ..completed
    });
    let ran = run_from(&definition, &json!({ "body": { "id": 5 } }), journal);
    assert_eq!(
        (ran.outcome.state(), ran.acted.len()),
        (JobState::Succeeded, 0)
    );
}

#[test]
fn answers_that_do_not_fit_are_refused() {
    let definition = definition(W1);
    let fresh = || {
        Machine::new(
            &definition,
            json!({ "body": {} }).into(),
            facts(),
            Vec::new(),
        )
    };
    let refused = [
        (
            "no JSON",
            "the expression component's answer is not readable",
        ),
        (r#"{"done":[]}"#, "the expression component did nothing"),
        (
            r#"{"done":[{"key":"create","output":1}]}"#,
            "a result came for step `create`; the job is at `shape`",
        ),
        (
            r#"{"done":[{"key":"shape","input":1}]}"#,
            "the result for step `shape` does not fit the step's kind",
        ),
        (
            r#"{"done":[{"key":"shape","output":1},{"key":"create","output":1}]}"#,
            "the result for step `create` does not fit the step's kind",
        ),
        (
            r#"{"done":[],"error":{"key":"check","message":"m"}}"#,
            "a result came for step `check`; the job is at `shape`",
        ),
    ];
    for (answer, expected) in refused {
        assert_eq!(
            fresh().evaluated(answer, AT).unwrap_err().to_string(),
            expected,
            "{answer}"
        );
    }
    assert!(fresh().acted("create", Ok(Value::Null.into()), AT).is_err());
    assert!(fresh().started(EffectClass::Once, AT).is_err());
}
