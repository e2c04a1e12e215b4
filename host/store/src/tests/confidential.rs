use std::path::Path;

use keyway_model::{ConnectionId, Environment, RecipeId, Scope};
use keyway_vault::{Secret, VaultError};
use serde_json::{Value, json};

use super::{Deployment, intent, some_job};
use crate::{Kind, NewResource, StoreError, Token};

const CANARY: &str = "canary-7f3a1e";

fn files(directory: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    found
}

fn resource<'a>(kind: Kind, name: Option<&'a str>, body: &'a Value) -> NewResource<'a, Value> {
    NewResource {
        kind,
        id: RecipeId::random().into(),
        name,
        version: 1,
        state: 0,
        body,
    }
}

/// Writes the canary through every door that takes a tenant's content.
async fn write_everywhere(deployment: &Deployment) {
    let tenant = deployment.tenant();
    let unit = deployment.store.unit(deployment.mine);
    let body = json!({ "value": CANARY });
    let kinds = [
        Kind::Connector,
        Kind::Approval,
        Kind::Connection,
        Kind::Recipe,
        Kind::RecipeVersion,
    ];
    for kind in kinds {
        unit.push(
            tenant
                .put(resource(kind, Some(CANARY), &body))
                .await
                .unwrap(),
        );
    }
    let connection = ConnectionId::random();
    unit.push(
        tenant
            .credential(connection, 1, &Secret::from(CANARY.to_owned()))
            .await
            .unwrap(),
    );
    let (job, of) = some_job();
    unit.push(tenant.create_job(job, of, &body).await.unwrap());
    unit.push(tenant.journal_row(job, 0, &body).await.unwrap());
    unit.push(tenant.masked_journal_row(job, 1, &body).await.unwrap());
    unit.push(
        tenant
            .finish_job(job, keyway_model::JobState::Failed, Some(&body))
            .await
            .unwrap(),
    );
    unit.push(
        tenant
            .job_if_new(CANARY, some_job().0, of, &body)
            .await
            .unwrap(),
    );
    unit.push(
        tenant
            .set_poll_cursor(of.recipe, Some(CANARY))
            .await
            .unwrap(),
    );
    unit.push(tenant.put_webhook(CANARY, of.recipe));
    let token = Token {
        id: keyway_model::TokenId::random(),
        hash: [1; 32],
        tenant: Some(deployment.mine.tenant),
        environment: None,
        role: "admin".to_owned(),
        label: CANARY.to_owned(),
        created_at: deployment.clock.now(),
        expires_at: deployment.clock.now(),
        revoked_at: None,
        used_at: None,
    };
    unit.push(
        deployment
            .store
            .directory()
            .put_token(&token)
            .await
            .unwrap(),
    );
    let mut record = intent(keyway_model::EntryId::random(), deployment.clock.now());
    if let keyway_authz::Record::Intent(intent) = &mut record {
        intent.operation = CANARY.to_owned();
    }
    unit.record(record);
    unit.commit().await.unwrap();
    deployment.store.make_checkpoints().await.unwrap();
    let listed = deployment
        .store
        .audit(deployment.mine.tenant)
        .list(Default::default())
        .await
        .unwrap();
    assert!(
        format!("{listed:?}").contains(CANARY),
        "the canary was written"
    );
}

#[tokio::test]
async fn no_file_of_the_data_directory_holds_what_was_written() {
    let deployment = Deployment::new().await;
    write_everywhere(&deployment).await;
    let found = |files: Vec<(std::path::PathBuf, Vec<u8>)>| {
        assert!(
            files
                .iter()
                .any(|(path, bytes)| path.ends_with("keyway.db") && bytes.len() > 10_000)
        );
        let holds = |bytes: &[u8], needle: &[u8]| {
            bytes.windows(needle.len()).any(|window| window == needle)
        };
        files
            .into_iter()
            .filter(|(_, bytes)| holds(bytes, CANARY.as_bytes()))
            .map(|(path, _)| path)
            .collect::<Vec<_>>()
    };
    let directory = deployment.directory.path().join("data");
    assert_eq!(found(files(&directory)), Vec::<std::path::PathBuf>::new());
    let deployment = deployment.reopened().await;
    assert_eq!(found(files(&directory)), Vec::<std::path::PathBuf>::new());
    drop(deployment);
}

#[tokio::test]
async fn another_view_finds_nothing_of_what_is_there() {
    let deployment = Deployment::new().await;
    let body = json!({ "secret": true });
    let (job, of) = some_job();
    let tenant = deployment.tenant();
    let unit = deployment.store.unit(deployment.mine);
    let recipe = RecipeId::random();
    let put = NewResource {
        kind: Kind::Recipe,
        id: recipe.into(),
        name: Some("orders"),
        version: 1,
        state: 0,
        body: &body,
    };
    unit.push(tenant.put(put).await.unwrap());
    unit.push(tenant.create_job(job, of, &body).await.unwrap());
    unit.push(tenant.journal_row(job, 0, &body).await.unwrap());
    unit.push(tenant.set_poll_cursor(recipe, Some("7")).await.unwrap());
    unit.commit().await.unwrap();
    assert!(
        tenant
            .by_name::<Value>(Kind::Recipe, "orders")
            .await
            .unwrap()
            .is_some()
    );

    let elsewhere = Scope {
        environment: Environment::Test,
        ..deployment.mine
    };
    for scope in [deployment.other, elsewhere] {
        let view = deployment.store.tenant(scope);
        assert!(
            view.get::<Value>(Kind::Recipe, recipe)
                .await
                .unwrap()
                .is_none()
        );
        assert!(
            view.by_name::<Value>(Kind::Recipe, "orders")
                .await
                .unwrap()
                .is_none()
        );
        assert!(view.list::<Value>(Kind::Recipe).await.unwrap().is_empty());
        assert!(view.job::<Value, Value>(job).await.unwrap().is_none());
        assert!(view.jobs::<Value>(None, None, 10).await.unwrap().is_empty());
        assert!(view.journal::<Value>(job).await.unwrap().is_empty());
        assert_eq!(view.poll_cursor(recipe).await.unwrap(), None);
        let unit = deployment.store.unit(scope);
        unit.push(view.job_state(job, keyway_model::JobState::Stopped));
        assert!(matches!(
            unit.commit().await,
            Err(StoreError::NotFound("job"))
        ));
    }
}

#[tokio::test]
async fn ciphertext_that_is_moved_to_another_place_does_not_open() {
    let deployment = Deployment::new().await;
    let tenant = deployment.tenant();
    let other = deployment.store.tenant(deployment.other);
    let (one, of) = some_job();
    let (two, _) = some_job();
    let unit = deployment.store.unit(deployment.mine);
    for (view, job) in [(&tenant, one), (&tenant, two), (&other, one)] {
        unit.push(view.create_job(job, of, &json!("event")).await.unwrap());
        unit.push(view.journal_row(job, 0, &json!("row 0")).await.unwrap());
        unit.push(view.journal_row(job, 1, &json!("row 1")).await.unwrap());
    }
    unit.commit().await.unwrap();
    assert_eq!(
        tenant.journal::<String>(one).await.unwrap(),
        ["row 0", "row 1"]
    );

    let blob = |bytes: [u8; 16]| bytes.to_vec();
    let source = "SELECT body FROM journal WHERE tenant = ?1 AND job = ?2 AND position = ?3";
    let target = "UPDATE journal SET body = ?4 WHERE tenant = ?1 AND job = ?2 AND position = ?3";
    let mine = blob(deployment.mine.tenant.to_bytes());
    let theirs = blob(deployment.other.tenant.to_bytes());
    let sqlite = deployment.sqlite();
    let read = |tenant: &Vec<u8>, job: [u8; 16], position: i64| -> Vec<u8> {
        sqlite
            .query_row(source, rusqlite::params![tenant, job, position], |row| {
                row.get(0)
            })
            .unwrap()
    };
    let original = read(&mine, one.to_bytes(), 0);
    let from = [
        read(&mine, one.to_bytes(), 1),
        read(&mine, two.to_bytes(), 0),
        read(&theirs, one.to_bytes(), 0),
    ];
    for moved in from {
        sqlite
            .execute(target, rusqlite::params![mine, one.to_bytes(), 0, moved])
            .unwrap();
        let opened = tenant.journal::<String>(one).await;
        let refused = matches!(&opened, Err(StoreError::Vault(error)) if matches!(**error, VaultError::Mismatch))
            || matches!(&opened, Err(StoreError::Erased(_)));
        assert!(refused, "{opened:?}");
    }
    sqlite
        .execute(target, rusqlite::params![mine, one.to_bytes(), 0, original])
        .unwrap();
    assert_eq!(tenant.journal::<String>(one).await.unwrap().len(), 2);
}

#[tokio::test]
async fn masked_rows_open_until_their_key_is_erased() {
    let deployment = Deployment::new().await;
    let tenant = deployment.tenant();
    let (job, of) = some_job();
    let unit = deployment.store.unit(deployment.mine);
    unit.push(tenant.create_job(job, of, &json!({})).await.unwrap());
    unit.push(
        tenant
            .masked_journal_row(job, 0, &json!("masked"))
            .await
            .unwrap(),
    );
    unit.commit().await.unwrap();
    assert_eq!(tenant.journal::<String>(job).await.unwrap(), ["masked"]);
    unit.push(tenant.erase_masked(job));
    unit.commit().await.unwrap();
    drop(unit);
    drop(tenant);
    let deployment = deployment.reopened().await;
    let journal = deployment.tenant().journal::<String>(job).await;
    assert!(
        matches!(journal, Err(StoreError::Erased("journal row"))),
        "{journal:?}"
    );
}
