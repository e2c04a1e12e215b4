use keyway_authz::Sink;
use keyway_model::EntryId;
use serde_json::{Value, json};

use super::{Deployment, intent, outcome, some_job};
use crate::StoreError;

#[tokio::test]
async fn what_is_pushed_is_not_there_before_the_commit_and_is_there_after() {
    let deployment = Deployment::new().await;
    let (id, of) = some_job();
    let unit = deployment.store.unit(deployment.mine);
    unit.push(
        deployment
            .tenant()
            .create_job(id, of, &json!({"order": 1}))
            .await
            .unwrap(),
    );
    assert!(!deployment.tenant().job_exists(id).await.unwrap());
    unit.commit().await.unwrap();
    assert!(deployment.tenant().job_exists(id).await.unwrap());
}

#[tokio::test]
async fn a_record_that_is_appended_takes_along_what_waits() {
    let deployment = Deployment::new().await;
    let (id, of) = some_job();
    let unit = deployment.store.unit(deployment.mine);
    unit.push(
        deployment
            .tenant()
            .create_job(id, of, &json!({}))
            .await
            .unwrap(),
    );
    let entry = EntryId::random();
    unit.append(deployment.mine, intent(entry, deployment.clock.now()))
        .await
        .unwrap();
    assert!(deployment.tenant().job_exists(id).await.unwrap());
    assert_eq!(deployment.store.audit(deployment.mine.tenant).size(), 1);
}

#[tokio::test]
async fn a_unit_that_is_refused_changes_nothing_and_keeps_what_it_holds() {
    let deployment = Deployment::new().await;
    let (id, of) = some_job();
    let tenant = deployment.tenant();
    let unit = deployment.store.unit(deployment.mine);
    unit.push(tenant.create_job(id, of, &json!({})).await.unwrap());
    unit.push(tenant.journal_row(id, 0, &json!("first")).await.unwrap());
    unit.push(tenant.journal_row(id, 0, &json!("again")).await.unwrap());
    unit.record(intent(EntryId::random(), deployment.clock.now()));
    assert!(matches!(
        unit.commit().await,
        Err(StoreError::Stale("journal"))
    ));
    assert!(!tenant.job_exists(id).await.unwrap());
    assert_eq!(deployment.store.audit(deployment.mine.tenant).size(), 0);
    assert_eq!(unit.take_pending().len(), 4);
}

#[tokio::test]
async fn a_unit_that_is_refused_does_not_hinder_those_that_share_its_commit() {
    let deployment = Deployment::new().await;
    let tenant = deployment.tenant();
    let (taken, of) = some_job();
    let first = deployment.store.unit(deployment.mine);
    first.push(tenant.create_job(taken, of, &json!({})).await.unwrap());
    first.commit().await.unwrap();

    let mut units = Vec::new();
    for number in 0..40 {
        let id = if number % 10 == 3 {
            taken
        } else {
            some_job().0
        };
        let unit = deployment.store.unit(deployment.mine);
        unit.push(
            tenant
                .create_job(id, of, &json!({ "number": number }))
                .await
                .unwrap(),
        );
        unit.record(intent(EntryId::random(), deployment.clock.now()));
        units.push((id, unit));
    }
    let commits = units.iter().map(|(_, unit)| {
        tokio::spawn({
            let unit = unit.clone();
            async move { unit.commit().await }
        })
    });
    let commits: Vec<_> = commits.collect();
    let mut refused = 0;
    for (commit, (id, _)) in commits.into_iter().zip(&units) {
        match commit.await.unwrap() {
            Ok(()) => assert!(tenant.job_exists(*id).await.unwrap()),
            Err(error) => {
                assert!(matches!(error, StoreError::Refused(_)), "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 4);
    let log = deployment.store.audit(deployment.mine.tenant);
    assert_eq!(log.size(), 36);
    log.make_checkpoint().await.unwrap();
}

#[tokio::test]
async fn what_one_task_writes_first_is_first_in_the_log() {
    let deployment = Deployment::new().await;
    let unit = deployment.store.unit(deployment.mine);
    let entries: Vec<_> = (0..50).map(|_| EntryId::random()).collect();
    for (number, entry) in entries.iter().enumerate() {
        unit.record(intent(*entry, deployment.clock.now()));
        if number % 7 == 0 {
            unit.commit().await.unwrap();
        }
        unit.record(outcome(*entry, deployment.clock.now()));
    }
    unit.commit().await.unwrap();
    let filter = crate::AuditFilter {
        limit: 1_000,
        ..Default::default()
    };
    let listed = deployment
        .store
        .audit(deployment.mine.tenant)
        .list(filter)
        .await
        .unwrap();
    let order: Vec<_> = listed.iter().rev().map(|record| record.header.id).collect();
    let wanted: Vec<_> = entries.iter().flat_map(|entry| [*entry, *entry]).collect();
    assert_eq!(order, wanted);
}

#[tokio::test]
async fn what_is_left_in_a_dropped_unit_is_written() {
    let deployment = Deployment::new().await;
    let (id, of) = some_job();
    let unit = deployment.store.unit(deployment.mine);
    unit.push(
        deployment
            .tenant()
            .create_job(id, of, &Value::Null)
            .await
            .unwrap(),
    );
    unit.queue(
        deployment.mine,
        intent(EntryId::random(), deployment.clock.now()),
    );
    drop(unit);
    // Its keys were never used here, so a task gets them first.
    while deployment.store.audit(deployment.mine.tenant).size() < 1 {
        tokio::task::yield_now().await;
    }
    assert!(deployment.tenant().job_exists(id).await.unwrap());
}

#[tokio::test]
async fn a_commit_that_is_given_up_while_it_is_put_together_loses_nothing() {
    let deployment = Deployment::new().await;
    let unit = deployment.store.unit(deployment.mine);
    unit.record(intent(EntryId::random(), deployment.clock.now()));
    let mut commit = Box::pin(unit.commit());
    // The keys are not loaded yet, so the first poll waits for the database.
    let polled = std::future::poll_fn(|context| {
        std::task::Poll::Ready(commit.as_mut().poll(context).is_pending())
    });
    assert!(polled.await);
    drop(commit);
    unit.commit().await.unwrap();
    assert_eq!(deployment.store.audit(deployment.mine.tenant).size(), 1);
}
