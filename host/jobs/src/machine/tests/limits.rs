//! Limits of one job that only a long one comes to: here the last step of such a job.

use keyway_model::limit::{JOB_STEPS_MAX, JOURNAL_BYTES_MAX};

use super::*;

/// How a job ends with its last step that has so many steps and bytes of journal behind it, and
/// the bytes that it has then.
fn ended_after(steps: usize, bytes: usize) -> (Outcome, usize) {
    let definition = definition("  - { id: last, transform: 1 }");
    let mut machine = Machine::new(&definition, json!({}).into(), facts(), Vec::new());
    (machine.steps, machine.bytes) = (steps, bytes);
    let Next::Evaluate { request } = machine.next().unwrap() else {
        panic!("nothing is to be evaluated");
    };
    machine.evaluated(&oracle::run(&request), AT).unwrap();
    (machine.outcome().unwrap().clone(), machine.bytes)
}

fn fails_by_name(outcome: Outcome, why: &str) {
    let Outcome::Failed(failure) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        failure.cause.to_string(),
        format!("a limit is exceeded: {why}")
    );
}

#[test]
fn a_job_completes_so_many_steps_and_fails_with_one_more() {
    let (outcome, _) = ended_after(JOB_STEPS_MAX - 1, 0);
    assert_eq!(outcome, Outcome::Succeeded { reason: None });
    let (outcome, _) = ended_after(JOB_STEPS_MAX, 0);
    fails_by_name(outcome, "the job has run 100000 steps (JOB_STEPS_MAX)");
}

#[test]
fn a_journal_holds_so_many_bytes_and_a_job_with_one_more_fails() {
    let (outcome, step) = ended_after(0, 0);
    assert_eq!(outcome, Outcome::Succeeded { reason: None });
    let (outcome, bytes) = ended_after(0, JOURNAL_BYTES_MAX - step);
    assert_eq!(outcome, Outcome::Succeeded { reason: None });
    assert_eq!(bytes, JOURNAL_BYTES_MAX);
    let (outcome, _) = ended_after(0, JOURNAL_BYTES_MAX - step + 1);
    let why = "the job's journal has 67108864 bytes (JOURNAL_BYTES_MAX)";
    fails_by_name(outcome, why);
}
