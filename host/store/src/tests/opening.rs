use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use keyway_vault::RootKey;

use super::Deployment;
use crate::{HomeError, OpenError, Store, StoreOptions};

#[tokio::test]
async fn a_second_store_on_the_same_directory_is_refused() {
    let deployment = Deployment::new().await;
    let second = Store::open_with(deployment.options(), Arc::clone(&deployment.root)).await;
    let error = second.unwrap_err();
    assert!(matches!(error, OpenError::Home(HomeError::InUse { .. })));
    assert!(
        error
            .to_string()
            .contains("is in use by another Keyway (process "),
        "{error}"
    );
    let options = deployment.options();
    let root = Arc::clone(&deployment.root);
    let Deployment {
        store, directory, ..
    } = deployment;
    drop(store);
    Store::open_with(options, root).await.unwrap();
    drop(directory);
}

#[tokio::test]
async fn a_directory_of_a_newer_version_is_refused() {
    let deployment = Deployment::new().await;
    let (options, root) = (deployment.options(), Arc::clone(&deployment.root));
    let sqlite = deployment.sqlite();
    let Deployment {
        store, directory, ..
    } = deployment;
    drop(store);
    let future = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES (99, 'the future', 1, x'00', 0)";
    sqlite.execute(future, []).unwrap();
    let error = Store::open_with(options, root).await.unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::NewerSchema {
                found: 99,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("written by a newer Keyway (schema 99, and this program knows 1)")
    );
    drop(directory);
}

#[tokio::test]
async fn a_directory_of_another_root_key_is_refused() {
    let deployment = Deployment::new().await;
    let options = deployment.options();
    let Deployment {
        store,
        directory,
        root,
        ..
    } = deployment;
    drop(store);
    let other = Arc::new(RootKey::random().unwrap());
    let error = Store::open_with(options.clone(), other).await.unwrap_err();
    assert!(matches!(error, OpenError::OtherRoot { .. }), "{error}");
    assert!(
        error.to_string().contains("belongs to another root key"),
        "{error}"
    );
    Store::open_with(options, root).await.unwrap();
    drop(directory);
}

#[tokio::test]
async fn a_database_whose_root_key_file_is_gone_gets_no_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        dir: directory.path().join("data"),
        clock: keyway_model::Clock::System,
    };
    drop(Store::open(options.clone(), "root.key").await.unwrap());
    drop(Store::open(options.clone(), "root.key").await.unwrap());
    let key = options.dir.join("root.key");
    std::fs::remove_file(&key).unwrap();
    let error = Store::open(options, "root.key").await.unwrap_err();
    assert!(matches!(error, OpenError::RootFile(_)), "{error}");
    assert!(!key.exists());
}

#[tokio::test]
async fn the_directory_and_its_files_are_for_the_owner_alone() {
    let deployment = Deployment::new().await;
    let directory = deployment.options().dir;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&directory), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let own = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), own, "{}", path.display());
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "keyway.db",
            "keyway.db-shm",
            "keyway.db-wal",
            "lock",
            "scratch"
        ]
    );
}

#[tokio::test]
async fn a_directory_that_others_may_look_into_is_refused() {
    let deployment = Deployment::new().await;
    let (options, root) = (deployment.options(), Arc::clone(&deployment.root));
    let Deployment {
        store, directory, ..
    } = deployment;
    drop(store);
    std::fs::set_permissions(&options.dir, std::fs::Permissions::from_mode(0o750)).unwrap();
    let error = Store::open_with(options, root).await.unwrap_err();
    assert!(
        error.to_string().ends_with("run `chmod 700` on it"),
        "{error}"
    );
    drop(directory);
}
