//! Reruns, attempts whose outcome is unknown, and answers that do not fit.

use keyway_gate::Seen;
use keyway_model::{Digest, EffectClass};

use super::*;
use crate::job::JournalRow;

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
    let rows = ran.journal.iter().cloned().map(plain).collect();
    let kept = completed_before_failure(rows);
    let kept = kept.into_iter().map(|row| row.entry).collect();
    let rerun = run_from(&repaired, &json!({}), kept);
    assert_eq!(rerun.outcome, Outcome::Succeeded { reason: None });
    assert_eq!(
        rerun.acted,
        [ran.acted[1].clone()],
        "one step, with the same idempotency key"
    );
}

/// A row of which nothing is known beside the entry.
fn plain(entry: Entry) -> JournalRow {
    JournalRow {
        entry,
        connector: None,
        seen: None,
    }
}

/// Row `number` of a long journal: every tenth is the mark of an attempt, and what
/// is known of a row tells it from all others.
fn numbered(number: u32) -> JournalRow {
    let record = match number % 10 {
        0 => Record::Started {
            effect: EffectClass::Once,
            attempt: 1,
        },
        _ => Record::Completed {
            output: json!(null).into(),
        },
    };
    let entry = Entry {
        position: number,
        key: format!("each[{number:06}]/create"),
        step: "create".to_owned(),
        kind: "action".to_owned(),
        record,
        input: None,
        at: AT,
    };
    let seen = Seen {
        state_reads: number,
        ..Seen::default()
    };
    JournalRow {
        connector: Some((Digest::of(&number.to_be_bytes()), "orders".parse().unwrap())),
        seen: Some(seen),
        entry,
    }
}

#[test]
fn what_a_rerun_keeps_is_numbered_anew_and_brings_what_is_known_of_it() {
    let mut rows: Vec<JournalRow> = (0..12).map(numbered).collect();
    let reason = json!({ "outcome": "failed", "reason": "no" });
    rows[11].entry.kind = "stop".to_owned();
    rows[11].entry.record = Record::Completed {
        output: reason.into(),
    };
    rows.push(numbered(12));
    rows[12].entry.record = Record::Failed {
        cause: Cause::Limit("over".to_owned()),
    };
    let kept = completed_before_failure(rows);
    for (row, position) in kept.iter().zip(0..) {
        let mut expected = numbered(position + 1);
        expected.entry.position = position;
        assert_eq!(row.entry, expected.entry);
        assert_eq!(row.connector, expected.connector);
        assert_eq!(row.seen, expected.seen);
    }
    assert_eq!(
        kept.len(),
        9,
        "neither marks, nor the stop, nor the failure"
    );
}

#[test]
fn a_rerun_looks_once_at_each_row_of_a_long_journal() {
    let rows: Vec<JournalRow> = (0..100_000).map(numbered).collect();
    // Looking for each among all of them again would take minutes here.
    let kept = completed_before_failure(rows);
    assert_eq!(kept.len(), 90_000);
    let last = &kept[89_999];
    assert_eq!(
        (last.entry.position, last.entry.key.as_str()),
        (89_999, "each[099999]/create")
    );
    assert_eq!(
        last.seen.as_ref().map(|seen| seen.state_reads),
        Some(99_999)
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
