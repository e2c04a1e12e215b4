use keyway_authz::{Ending, Grant, HttpRules, OutcomeKind, Principal, Recorder, StateChange};
use keyway_model::manifest::Capabilities;
use keyway_model::{ConnectionId, JobId, JobState, RecipeId};
use keyway_vault::Secret;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{Deployment, some_job};
use crate::{JobOf, Kind, NewResource, StoreError};

#[tokio::test]
async fn an_unfinished_job_is_found_after_a_restart_with_its_journal() {
    let deployment = Deployment::new().await;
    let ((going, of), (ended, _)) = (some_job(), some_job());
    let tenant = deployment.tenant();
    let unit = deployment.store.unit(deployment.mine);
    for job in [going, ended] {
        unit.push(
            tenant
                .create_job(job, of, &json!({ "order": 7 }))
                .await
                .unwrap(),
        );
        unit.push(tenant.journal_row(job, 1, &json!("second")).await.unwrap());
        unit.push(tenant.journal_row(job, 0, &json!("first")).await.unwrap());
    }
    unit.push(
        tenant
            .finish_job(ended, JobState::Succeeded, Some(&json!("well")))
            .await
            .unwrap(),
    );
    unit.commit().await.unwrap();
    drop((unit, tenant));

    let deployment = deployment.reopened().await;
    let unfinished = deployment.store.unfinished_jobs().await.unwrap();
    assert_eq!(
        unfinished
            .iter()
            .map(|job| (job.scope, job.id))
            .collect::<Vec<_>>(),
        [(deployment.mine, going)]
    );
    let tenant = deployment.tenant();
    assert_eq!(
        tenant.journal::<String>(going).await.unwrap(),
        ["first", "second"]
    );
    assert_eq!(
        tenant.job_record::<Value>(going).await.unwrap(),
        json!({ "order": 7 })
    );
    let job = tenant.job::<Value, String>(ended).await.unwrap().unwrap();
    assert_eq!(
        (job.state, job.summary.as_deref()),
        (JobState::Succeeded, Some("well"))
    );
}

#[tokio::test]
async fn jobs_are_listed_the_newest_first_by_recipe_and_state() {
    let deployment = Deployment::new().await;
    let tenant = deployment.tenant();
    let unit = deployment.store.unit(deployment.mine);
    let recipe = RecipeId::random();
    let mut ids = Vec::new();
    for number in 0..5_u32 {
        let of = JobOf {
            recipe: if number == 2 {
                RecipeId::random()
            } else {
                recipe
            },
            version: 1,
            origin: None,
        };
        let id = JobId::at(deployment.clock.now());
        unit.push(tenant.create_job(id, of, &number).await.unwrap());
        ids.push(id);
        deployment.pass(std::time::Duration::from_millis(1));
    }
    unit.push(tenant.job_state(ids[4], JobState::Stopped));
    unit.commit().await.unwrap();
    let listed = async |recipe, state, limit| {
        let jobs = tenant.jobs::<Value>(recipe, state, limit).await.unwrap();
        let place = |id| ids.iter().position(|known| *known == id).unwrap();
        jobs.into_iter()
            .map(|job| place(job.id))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(None, None, 3).await, [4, 3, 2]);
    assert_eq!(listed(Some(recipe), None, 10).await, [4, 3, 1, 0]);
    assert_eq!(
        listed(Some(recipe), Some(JobState::Queued), 10).await,
        [3, 1, 0]
    );
}

#[tokio::test]
async fn a_list_of_jobs_reads_nothing_of_what_started_them_and_all_pages() {
    let deployment = Deployment::new().await;
    let tenant = deployment.tenant();
    let unit = deployment.store.unit(deployment.mine);
    let (_, of) = some_job();
    let mut ids: Vec<_> = (0..123).map(|_| JobId::random()).collect();
    for id in &ids {
        unit.push(tenant.create_job(*id, of, "an event").await.unwrap());
    }
    unit.commit().await.unwrap();
    let file = deployment.sqlite();
    let changed = file.execute("UPDATE job SET body = x'00'", ()).unwrap();
    assert_eq!(changed, ids.len());
    assert!(tenant.job_record::<String>(ids[0]).await.is_err());
    ids.sort_by_key(|id| std::cmp::Reverse(id.bits()));
    let listed = async |limit| {
        let jobs = tenant.jobs::<Value>(None, None, limit).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(1_000).await, ids);
    assert_eq!(listed(51).await, ids[..51]);
}

#[tokio::test]
async fn a_poll_makes_each_event_one_job_whatever_is_polled_again() {
    let deployment = Deployment::new().await;
    let tenant = deployment.tenant();
    let recipe = RecipeId::random();
    let of = JobOf {
        recipe,
        version: 1,
        origin: None,
    };
    let poll = async |keys: &[&str], cursor: &str| {
        let unit = deployment.store.unit(deployment.mine);
        for key in keys {
            unit.push(
                tenant
                    .job_if_new(key, JobId::random(), of, key)
                    .await
                    .unwrap(),
            );
        }
        unit.push(tenant.set_poll_cursor(recipe, Some(cursor)).await.unwrap());
        unit.commit_new_jobs().await.unwrap().len()
    };
    assert_eq!(tenant.poll_cursor(recipe).await.unwrap(), None);
    assert_eq!(poll(&["a", "b", "a"], "2").await, 2);
    assert_eq!(poll(&["b", "c"], "3").await, 1);
    assert_eq!(
        tenant.poll_cursor(recipe).await.unwrap().as_deref(),
        Some("3")
    );
    let elsewhere = JobOf {
        recipe: RecipeId::random(),
        ..of
    };
    let unit = deployment.store.unit(deployment.mine);
    unit.push(
        tenant
            .job_if_new("a", JobId::random(), elsewhere, "a")
            .await
            .unwrap(),
    );
    assert_eq!(
        unit.commit_new_jobs().await.unwrap().len(),
        1,
        "another recipe saw no event yet"
    );
    assert_eq!(
        tenant
            .jobs::<Value>(Some(recipe), None, 10)
            .await
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn a_name_is_taken_once_for_each_kind_and_a_stale_version_is_refused() {
    let deployment = Deployment::new().await;
    let tenant = deployment.tenant();
    let (one, two) = (RecipeId::random(), RecipeId::random());
    let put = async |kind, id: RecipeId, version, body: &str| {
        let resource = NewResource {
            kind,
            id: id.into(),
            name: Some("orders"),
            version,
            state: 0,
            body,
        };
        let unit = deployment.store.unit(deployment.mine);
        unit.push(tenant.put(resource).await.unwrap());
        let committed = unit.commit().await;
        drop(unit.take_pending());
        committed
    };
    put(Kind::Recipe, one, 1, "first").await.unwrap();
    assert!(matches!(
        put(Kind::Recipe, two, 1, "another").await,
        Err(StoreError::NameTaken("recipe"))
    ));
    put(Kind::Connection, two, 1, "of another kind")
        .await
        .unwrap();
    put(Kind::Recipe, one, 2, "second").await.unwrap();
    assert!(matches!(
        put(Kind::Recipe, one, 2, "too late").await,
        Err(StoreError::Stale("recipe"))
    ));
    let stored = tenant
        .by_name::<String>(Kind::Recipe, "orders")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((stored.version, stored.body.as_str()), (2, "second"));
}

fn grant(deployment: &Deployment, connection: ConnectionId) -> (Grant, Recorder) {
    let actor = keyway_authz::Actor::directly(Principal::Platform(0));
    let grant = Grant::new(
        actor,
        connection,
        Capabilities::ALL,
        Arc::new(HttpRules::default()),
        "the manifest".to_owned(),
    );
    (grant, deployment.store.recorder(deployment.mine))
}

#[tokio::test]
async fn state_is_kept_under_its_connection_up_to_the_limit() {
    let deployment = Deployment::new().await;
    let tenant = deployment.tenant();
    let connection = ConnectionId::random();
    let (grant, recorder) = grant(&deployment, connection);
    let change = async |key: &str, change, keys_max| {
        let entry = grant
            .decide_state(key.to_owned(), change)
            .unwrap()
            .record(&recorder)
            .await
            .unwrap();
        let change = match tenant.state_change(&entry, keys_max).await {
            Ok(change) => change,
            Err(error) => {
                deployment
                    .store
                    .commit_alone(entry.close(Ending::of(OutcomeKind::Refused)))
                    .await
                    .unwrap();
                return Err(error);
            }
        };
        deployment
            .store
            .commit(entry.close(Ending::of(OutcomeKind::Done)), vec![change])
            .await
    };
    change("a", StateChange::Set("1".to_owned()), 2)
        .await
        .unwrap();
    change("b", StateChange::Set("2".to_owned()), 2)
        .await
        .unwrap();
    let third = change("c", StateChange::Set("3".to_owned()), 2).await;
    assert!(matches!(
        third,
        Err(StoreError::Limit {
            name: "state_keys_max",
            value: 2
        })
    ));
    change("a", StateChange::Set("4".to_owned()), 2)
        .await
        .unwrap();
    change("b", StateChange::Delete, 2).await.unwrap();
    assert_eq!(
        tenant.state(connection, "a").await.unwrap().as_deref(),
        Some("4")
    );
    assert_eq!(tenant.state(connection, "b").await.unwrap(), None);
    assert_eq!(
        tenant.state(ConnectionId::random(), "a").await.unwrap(),
        None
    );
    assert_eq!(deployment.store.audit(deployment.mine.tenant).size(), 10);
}

#[tokio::test]
async fn a_credential_is_opened_in_its_newest_version_by_an_entry_that_names_it() {
    let deployment = Deployment::new().await;
    let tenant = deployment.tenant();
    let connection = ConnectionId::random();
    let put = async |version, secret: &str| {
        let unit = deployment.store.unit(deployment.mine);
        unit.push(
            tenant
                .credential(connection, version, &Secret::from(secret.to_owned()))
                .await
                .unwrap(),
        );
        unit.commit().await
    };
    let open = async |connection| {
        let (grant, recorder) = sending(&deployment, connection);
        let permit = grant
            .decide_http(
                "GET".parse().unwrap(),
                "https://api.example/".parse().unwrap(),
            )
            .unwrap();
        let entry = permit.record(&recorder).await.unwrap();
        let opened = tenant.open_credential(&entry).await;
        deployment
            .store
            .commit_alone(entry.close(Ending::of(OutcomeKind::Done)))
            .await
            .unwrap();
        opened
    };
    put(1, "old").await.unwrap();
    assert_eq!(open(connection).await.unwrap().expose(), b"old");
    put(2, "new").await.unwrap();
    assert_eq!(open(connection).await.unwrap().expose(), b"new");
    assert!(matches!(
        put(2, "late").await,
        Err(StoreError::Stale("credential"))
    ));
    assert!(matches!(
        open(ConnectionId::random()).await,
        Err(StoreError::NotFound("credential"))
    ));
    let unit = deployment.store.unit(deployment.mine);
    unit.push(tenant.delete_credential(connection));
    unit.commit().await.unwrap();
    assert!(matches!(
        open(connection).await,
        Err(StoreError::NotFound("credential"))
    ));
}

fn sending(deployment: &Deployment, connection: ConnectionId) -> (Grant, Recorder) {
    let rule = keyway_authz::HttpRule {
        origin: "https://api.example/"
            .parse::<keyway_model::net::RequestUrl>()
            .unwrap()
            .origin,
        methods: vec!["GET".parse().unwrap()],
        paths: vec!["/".parse().unwrap()],
        credential: Some(keyway_authz::GrantedCredential {
            slot: keyway_model::CredentialSlot::Bearer,
            cleartext: false,
        }),
        redirects: keyway_model::manifest::Redirects::Return,
        rule: "the manifest".to_owned(),
    };
    let actor = keyway_authz::Actor::directly(Principal::Platform(0));
    let grant = Grant::new(
        actor,
        connection,
        Capabilities::ALL,
        Arc::new([rule].into_iter().collect()),
        "the manifest".to_owned(),
    );
    (grant, deployment.store.recorder(deployment.mine))
}

#[tokio::test]
async fn a_webhook_leads_to_its_recipe_until_it_is_replaced() {
    let deployment = Deployment::new().await;
    let recipe = RecipeId::random();
    let hash = |path: &str| *keyway_model::Digest::of(path.as_bytes()).as_bytes();
    let put = async |deployment: &Deployment, path: &str| {
        let unit = deployment.store.unit(deployment.mine);
        unit.push(deployment.tenant().put_webhook(path, recipe));
        unit.commit().await.unwrap();
    };
    put(&deployment, "first").await;
    assert_eq!(
        deployment.store.webhook(&hash("first")),
        Some((deployment.mine, recipe))
    );
    put(&deployment, "second").await;
    let deployment = deployment.reopened().await;
    assert_eq!(deployment.store.webhook(&hash("first")), None);
    assert_eq!(
        deployment.store.webhook(&hash("second")),
        Some((deployment.mine, recipe))
    );
}
