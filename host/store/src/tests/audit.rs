use keyway_authz::log::{Problem, ReadableRecord, RecordKind, VerifierKey, verify, verify_since};
use keyway_authz::{Record, Sink};
use keyway_model::EntryId;
use std::time::Duration;

use super::{Deployment, intent, outcome};
use crate::{AuditFilter, AuditLog, StoreError};

async fn write(deployment: &Deployment, operations: usize) {
    let unit = deployment.store.unit(deployment.mine);
    for _ in 0..operations {
        let id = EntryId::random();
        unit.record(intent(id, deployment.clock.now()));
        unit.record(outcome(id, deployment.clock.now()));
    }
    unit.commit().await.unwrap();
}

fn log(deployment: &Deployment) -> AuditLog {
    deployment.store.audit(deployment.mine.tenant)
}

fn key(deployment: &Deployment) -> VerifierKey {
    deployment.store.audit_key(deployment.mine.tenant).unwrap()
}

#[tokio::test]
async fn an_export_verifies_and_one_changed_character_names_the_record() {
    let deployment = Deployment::new().await;
    write(&deployment, 5).await;
    let export = log(&deployment).export().await.unwrap();
    let report = verify(&export, &key(&deployment)).unwrap();
    assert_eq!(
        (report.from, report.size, report.records, report.erased),
        (0, 10, 10, 0)
    );

    let at = export.match_indices("recipe:update").nth(2).unwrap().0;
    let mut changed = export.clone();
    changed.replace_range(at..=at, "R");
    let error = verify(&changed, &key(&deployment)).unwrap_err();
    assert_eq!(
        (error.line, error.sequence, error.problem.clone()),
        (6, Some(4), Problem::Changed)
    );
    assert!(
        error
            .to_string()
            .starts_with("line 6, record 4: the record was changed")
    );
}

#[tokio::test]
async fn no_bit_of_an_export_can_be_flipped_unseen() {
    let deployment = Deployment::new().await;
    write(&deployment, 1).await;
    let export = log(&deployment).export().await.unwrap();
    let header_end = export.find('\n').unwrap();
    let shown_key = export.find("\"key\":\"").unwrap()..export.find("\",\"from\"").unwrap();
    for at in 0..export.len() - 1 {
        let mut bytes = export.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        let verified = verify(&text, &key(&deployment));
        // The key in the header is for people; a verifier has its own.
        let hint = at < header_end && shown_key.contains(&at);
        assert!(verified.is_err() || hint, "byte {at} of {export}");
    }
}

/// The export's lines, rearranged, with a line feed after each.
fn rearranged<'a>(export: &'a str, change: impl FnOnce(&mut Vec<&'a str>)) -> String {
    let mut lines: Vec<_> = export.lines().collect();
    change(&mut lines);
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn without(lines: &mut Vec<&str>, index: usize) {
    lines.remove(index);
}

#[tokio::test]
async fn records_cannot_be_removed_inserted_repeated_or_moved() {
    let deployment = Deployment::new().await;
    write(&deployment, 4).await;
    let export = log(&deployment).export().await.unwrap();
    let problem = |text: String| verify(&text, &key(&deployment)).unwrap_err();
    let removed = problem(rearranged(&export, |lines| without(lines, 3)));
    assert_eq!(
        (removed.line, removed.problem),
        (4, Problem::Sequence { wanted: 2 })
    );
    let repeated = problem(rearranged(&export, |lines| lines.insert(3, lines[3])));
    assert_eq!(
        (repeated.line, repeated.problem),
        (5, Problem::Sequence { wanted: 3 })
    );
    let moved = problem(rearranged(&export, |lines| lines.swap(2, 3)));
    assert_eq!(
        (moved.line, moved.problem),
        (3, Problem::Sequence { wanted: 1 })
    );
    let truncated = problem(rearranged(&export, |lines| without(lines, 8)));
    assert_eq!(
        truncated.problem,
        Problem::Truncated {
            signed: 8,
            found: 7
        }
    );
    let cut = problem(rearranged(&export, |lines| lines.truncate(lines.len() - 1)));
    assert!(matches!(cut.problem, Problem::NotALine(_)));
}

#[tokio::test]
async fn a_record_of_another_log_does_not_fit_even_with_its_own_leaf() {
    let deployment = Deployment::new().await;
    write(&deployment, 2).await;
    let export = log(&deployment).export().await.unwrap();
    let unit = deployment.store.unit(deployment.other);
    for _ in 0..2 {
        let id = EntryId::random();
        unit.record(intent(id, deployment.clock.now()));
        unit.record(outcome(id, deployment.clock.now()));
    }
    unit.commit().await.unwrap();
    let foreign = deployment
        .store
        .audit(deployment.other.tenant)
        .export()
        .await
        .unwrap();
    let line = foreign.lines().nth(2).unwrap();
    let inserted = rearranged(&export, |lines| lines[2] = line);
    assert_eq!(
        verify(&inserted, &key(&deployment)).unwrap_err().problem,
        Problem::Changed
    );
    let other = verify(&foreign, &key(&deployment)).unwrap_err();
    assert!(matches!(other.problem, Problem::OtherLog { .. }));
    let elsewhere = Deployment::new().await;
    let wrong = elsewhere.store.audit_key(elsewhere.mine.tenant).unwrap();
    assert!(matches!(
        verify(&export, &wrong).unwrap_err().problem,
        Problem::OtherLog { .. }
    ));
}

#[tokio::test]
async fn a_log_that_lost_its_end_or_was_forked_shows_against_a_kept_checkpoint() {
    let deployment = Deployment::new().await;
    write(&deployment, 2).await;
    let short = log(&deployment).export().await.unwrap();
    write(&deployment, 1).await;
    let kept = log(&deployment).make_checkpoint().await.unwrap();
    write(&deployment, 3).await;
    let long = log(&deployment).export().await.unwrap();
    assert_eq!(
        verify_since(&long, &key(&deployment), &kept).unwrap().since,
        Some(6)
    );
    assert_eq!(verify(&short, &key(&deployment)).unwrap().size, 4);
    assert_eq!(
        verify_since(&short, &key(&deployment), &kept)
            .unwrap_err()
            .problem,
        Problem::Forked(6)
    );
}

#[tokio::test]
async fn a_part_of_a_log_verifies_with_the_roots_of_what_is_before_it() {
    let deployment = Deployment::new().await;
    write(&deployment, 6).await;
    let mut export = log(&deployment).export_from(7).await.unwrap();
    let mut text = String::new();
    while let Some(part) = export.next().await.unwrap() {
        text.push_str(&part);
    }
    let report = verify(&text, &key(&deployment)).unwrap();
    assert_eq!((report.from, report.records, report.size), (7, 5, 12));
    assert!(
        verify(
            &rearranged(&text, |lines| without(lines, 1)),
            &key(&deployment)
        )
        .is_err()
    );
}

#[tokio::test]
async fn an_intent_that_was_left_open_is_closed_as_unknown_at_the_next_start() {
    let deployment = Deployment::new().await;
    write(&deployment, 2).await;
    log(&deployment).make_checkpoint().await.unwrap();
    let lost = EntryId::random();
    deployment
        .store
        .unit(deployment.mine)
        .append(deployment.mine, intent(lost, deployment.clock.now()))
        .await
        .unwrap();
    let deployment = deployment.reopened().await;
    assert_eq!(log(&deployment).size(), 6);
    let filter = AuditFilter {
        entry: Some(lost),
        kind: Some(RecordKind::Outcome),
        ..AuditFilter::default()
    };
    let closed = log(&deployment).list(filter).await.unwrap();
    let Some(ReadableRecord::Outcome(outcome)) = &closed[0].record else {
        panic!("{closed:?}")
    };
    assert_eq!(outcome.outcome, "unknown");
    let deployment = deployment.reopened().await;
    assert_eq!(log(&deployment).size(), 6, "it is closed once");
}

#[tokio::test]
async fn an_audit_record_cannot_be_changed_or_deleted_in_the_database() {
    let deployment = Deployment::new().await;
    write(&deployment, 1).await;
    log(&deployment).make_checkpoint().await.unwrap();
    let sqlite = deployment.sqlite();
    for sql in [
        "UPDATE audit SET time = 0",
        "DELETE FROM audit",
        "UPDATE checkpoint SET size = 0",
        "DELETE FROM checkpoint",
    ] {
        assert!(
            sqlite
                .execute(sql, [])
                .unwrap_err()
                .to_string()
                .contains("is never"),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn what_does_not_go_on_from_a_checkpoint_is_not_signed() {
    let deployment = Deployment::new().await;
    write(&deployment, 2).await;
    log(&deployment).make_checkpoint().await.unwrap();
    write(&deployment, 2).await;
    let sqlite = deployment.sqlite();
    sqlite
        .execute_batch("DROP TRIGGER audit_is_never_deleted; DELETE FROM audit WHERE sequence = 5")
        .unwrap();
    let refused = log(&deployment).make_checkpoint().await;
    assert!(
        matches!(refused, Err(StoreError::LogInconsistent { size: 4, .. })),
        "{refused:?}"
    );
    sqlite
        .execute("DELETE FROM audit WHERE sequence >= 3", [])
        .unwrap();
    let deployment = deployment.reopened().await;
    let refused = log(&deployment).make_checkpoint().await;
    assert!(
        matches!(refused, Err(StoreError::LogInconsistent { size: 4, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_checkpoint_is_due_after_ten_seconds_or_a_thousand_records() {
    let deployment = Deployment::new().await;
    deployment.store.make_checkpoints().await.unwrap();
    assert!(!deployment.store.checkpoint_due());
    write(&deployment, 1).await;
    deployment.store.make_checkpoints().await.unwrap();
    write(&deployment, 1).await;
    assert!(!deployment.store.checkpoint_due());
    deployment.pass(Duration::from_secs(10));
    assert!(deployment.store.checkpoint_due());
    deployment.store.make_checkpoints().await.unwrap();
    assert!(!deployment.store.checkpoint_due());
    write(&deployment, 500).await;
    assert!(deployment.store.checkpoint_due());
}

#[tokio::test]
async fn text_that_would_break_a_line_stays_inside_its_record() {
    let deployment = Deployment::new().await;
    let mut record = intent(EntryId::random(), deployment.clock.now());
    if let Record::Intent(intent) = &mut record {
        intent.operation = "a\r\nb\u{1b}[31m\u{2028}\u{202e}\"}\u{0}".to_owned();
    }
    deployment
        .store
        .unit(deployment.mine)
        .append(deployment.mine, record.clone())
        .await
        .unwrap();
    let export = log(&deployment).export().await.unwrap();
    assert_eq!(export.split('\n').count(), 4);
    verify(&export, &key(&deployment)).unwrap();
    let listed = log(&deployment).list(AuditFilter::default()).await.unwrap();
    assert_eq!(listed[0].record, Some(ReadableRecord::from(&record)));
}

#[tokio::test]
async fn an_erased_record_stays_provable() {
    let deployment = Deployment::new().await;
    write(&deployment, 2).await;
    deployment.pass(Duration::from_secs(86_400));
    write(&deployment, 1).await;
    let sqlite = deployment.sqlite();
    sqlite.execute("DELETE FROM wrapped_key WHERE class = 5 AND period = (SELECT min(period) FROM wrapped_key WHERE class = 5)", []).unwrap();
    let deployment = deployment.reopened().await;
    let export = log(&deployment).export().await.unwrap();
    let report = verify(&export, &key(&deployment)).unwrap();
    assert_eq!((report.records, report.erased), (6, 4));
    let listed = log(&deployment).list(AuditFilter::default()).await.unwrap();
    assert_eq!(
        listed
            .iter()
            .filter(|record| record.record.is_none())
            .count(),
        4
    );
}

#[tokio::test]
async fn a_second_verifier_that_shares_no_code_comes_to_the_same_verdict() {
    let deployment = Deployment::new().await;
    write(&deployment, 7).await;
    let kept = log(&deployment).make_checkpoint().await.unwrap();
    write(&deployment, 2).await;
    let export = log(&deployment).export().await.unwrap();
    let script =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/verify_audit.py");
    let directory = tempfile::tempdir().unwrap();
    let second = |text: &str| {
        let (file, earlier) = (
            directory.path().join("export"),
            directory.path().join("checkpoint"),
        );
        std::fs::write(&file, text).unwrap();
        std::fs::write(&earlier, &kept).unwrap();
        let key = key(&deployment).to_string();
        let run = std::process::Command::new("python3")
            .arg(&script)
            .arg(file)
            .arg(key)
            .arg(earlier)
            .output()
            .unwrap();
        (
            run.status.success(),
            String::from_utf8(run.stdout).unwrap(),
            String::from_utf8(run.stderr).unwrap(),
        )
    };
    assert_eq!(
        second(&export),
        (
            true,
            "holds: 18 records; the checkpoint covers 18\n".to_owned(),
            String::new()
        )
    );
    let (holds, _, complaint) = second(&export.replacen("recipe:update", "recipe:delete", 1));
    assert_eq!(
        (holds, complaint.as_str()),
        (
            false,
            "does not hold: line 2, record 0: changed, it does not hash to its leaf\n"
        )
    );
    let (holds, ..) = second(&rearranged(&export, |lines| lines.swap(4, 5)));
    assert!(!holds);
}
