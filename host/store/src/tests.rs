//! The store on real files: what is durable, what is sealed, and what is refused.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod audit;
mod confidential;
mod jobs;
mod opening;
mod scratch;
mod tokens;
mod units;

use std::sync::Arc;
use std::time::Duration;

use keyway_authz::{Actor, Decision, Intent, Outcome, OutcomeKind, Principal, Record, Target};
use keyway_model::{Clock, EntryId, Environment, JobId, RecipeId, Scope, Timestamp};
use keyway_vault::{RootKey, RootKeyProvider};
use tempfile::TempDir;

use crate::{JobOf, Store, StoreOptions, TenantStore};

/// A deployment in a directory of its own, with two workspaces.
struct Deployment {
    directory: TempDir,
    root: Arc<dyn RootKeyProvider>,
    clock: Clock,
    store: Store,
    mine: Scope,
    other: Scope,
}

impl Deployment {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root: Arc<dyn RootKeyProvider> = Arc::new(RootKey::random().unwrap());
        let clock = Clock::manual(Timestamp::from_micros(1_800_000_000_000_000));
        let options = StoreOptions {
            dir: directory.path().join("data"),
            clock: clock.clone(),
        };
        let store = Store::open_with(options, Arc::clone(&root)).await.unwrap();
        let scope = |tenant| Scope {
            tenant,
            environment: Environment::Production,
        };
        let directories = store.directory();
        let mine = scope(
            directories
                .create_workspace(&"mine".parse().unwrap())
                .await
                .unwrap(),
        );
        let other = scope(
            directories
                .create_workspace(&"other".parse().unwrap())
                .await
                .unwrap(),
        );
        Self {
            directory,
            root,
            clock,
            store,
            mine,
            other,
        }
    }

    fn options(&self) -> StoreOptions {
        StoreOptions {
            dir: self.directory.path().join("data"),
            clock: self.clock.clone(),
        }
    }

    /// Ends the store and opens it again, as a new process would.
    async fn reopened(self) -> Self {
        let options = self.options();
        let Self {
            directory,
            root,
            clock,
            store,
            mine,
            other,
        } = self;
        drop(store);
        let store = Store::open_with(options, Arc::clone(&root)).await.unwrap();
        Self {
            directory,
            root,
            clock,
            store,
            mine,
            other,
        }
    }

    fn tenant(&self) -> TenantStore {
        self.store.tenant(self.mine)
    }

    fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.directory.path().join("data/keyway.db")).unwrap()
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

fn intent(id: EntryId, at: Timestamp) -> Record {
    Record::Intent(Intent {
        id,
        at,
        actor: Actor::directly(Principal::Platform(1000)),
        operation: "recipe:update".to_owned(),
        target: Target::Resource {
            kind: "recipe".to_owned(),
            id: Some("orders".to_owned()),
        },
        decision: Decision::Allowed {
            rule: "admin".to_owned(),
        },
    })
}

fn outcome(id: EntryId, at: Timestamp) -> Record {
    Record::Outcome(Outcome {
        id,
        at,
        kind: OutcomeKind::Done,
        status: Some(201),
        bytes_out: 10,
        bytes_in: 20,
        masked: 0,
        detail: None,
    })
}

fn some_job() -> (JobId, JobOf) {
    (
        JobId::random(),
        JobOf {
            recipe: RecipeId::random(),
            version: 1,
            origin: None,
        },
    )
}
