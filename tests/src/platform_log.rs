//! Logs as they lie in the data directory: that of the platform, of what belongs to
//! no workspace, which nobody reads over the API; and those of workspaces, without
//! a call that would be recorded, too.

use keyway_model::TenantId;
use keyway_model::time::Clock;
use keyway_store::{AuditFilter, PLATFORM, Store, StoreOptions};
use rusqlite::OptionalExtension as _;
use serde_json::Value;

use crate::harness::Stage;

/// Whose log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Log {
    Platform,
    Of(&'static str),
}

impl Log {
    pub(crate) fn tenant(self, stage: &Stage) -> TenantId {
        let Self::Of(name) = self else {
            return PLATFORM.tenant;
        };
        let sql = "SELECT tenant FROM workspace WHERE name = ?";
        let found = database(stage)
            .query_row(sql, [name], |row| row.get::<_, Vec<u8>>(0))
            .optional();
        let found = found
            .unwrap()
            .unwrap_or_else(|| panic!("no workspace {name}"));
        TenantId::from_bytes(found.try_into().unwrap())
    }

    /// How many records it has now, while the deployment runs.
    pub(crate) fn length(self, stage: &Stage) -> usize {
        let tenant = self.tenant(stage).bits().to_be_bytes();
        let sql = "SELECT count(*) FROM audit WHERE tenant = ?";
        let count = database(stage).query_row(sql, [tenant], |row| row.get::<_, i64>(0));
        usize::try_from(count.unwrap()).unwrap()
    }
}

fn database(stage: &Stage) -> rusqlite::Connection {
    rusqlite::Connection::open(stage.data().join("keyway.db")).unwrap()
}

/// The platform's records, the oldest first, of a deployment that is ended for this.
pub(crate) fn records(stage: &mut Stage) -> Vec<Value> {
    stage.serve.as_mut().unwrap().kill();
    stage.serve = None;
    let [records] = ended(stage, [Log::Platform]);
    records
}

/// What a deployment that has ended has stored.
pub(crate) fn opened(stage: &Stage) -> (tokio::runtime::Runtime, Store) {
    assert!(stage.serve.is_none(), "it runs still");
    let options = StoreOptions {
        dir: stage.data(),
        clock: Clock::System,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(Store::open(options, "root.key")).unwrap();
    (runtime, store)
}

/// A secret of the platform's, of a deployment that has ended.
pub(crate) fn secret(stage: &Stage, purpose: &'static str) -> Vec<u8> {
    let (runtime, store) = opened(stage);
    let secret = runtime.block_on(store.platform_secret(purpose)).unwrap();
    secret.expose().to_vec()
}

/// The records of these logs, the oldest first, of a deployment that has ended.
pub(crate) fn ended<const N: usize>(stage: &Stage, logs: [Log; N]) -> [Vec<Value>; N] {
    let tenants = logs.map(|log| log.tenant(stage));
    let (runtime, store) = opened(stage);
    tenants.map(|tenant| {
        let filter = AuditFilter {
            limit: 10_000,
            ..AuditFilter::default()
        };
        let mut records = runtime.block_on(store.audit(tenant).list(filter)).unwrap();
        records.sort_by_key(|record| record.sequence);
        let readable = records.into_iter().filter_map(|record| record.record);
        readable
            .map(|record| serde_json::from_str(&record.to_json()).unwrap())
            .collect()
    })
}

/// What each operation of this name was about that was allowed and done.
pub(crate) fn done(records: &[Value], operation: &str) -> Vec<String> {
    let intents = records
        .iter()
        .filter(|record| record["operation"] == operation && record["decision"] == "allowed");
    intents
        .filter(|intent| is_done(records, intent))
        .map(|intent| {
            intent["target"]["id"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

/// Whether what was intended has been done.
pub(crate) fn is_done(records: &[Value], intent: &Value) -> bool {
    let mut outcomes = records
        .iter()
        .filter(|record| record["id"] == intent["id"] && !record["outcome"].is_null());
    outcomes.any(|outcome| outcome["outcome"] == "done")
}

#[test]
fn each_start_is_recorded_with_the_versions_of_the_program_and_of_the_engine() {
    let mut stage = Stage::new("");
    stage.serve = None;
    stage.start();
    let records = records(&mut stage);
    let program = env!("CARGO_PKG_VERSION");
    let engine = crate::tidy::locked_version("wasmtime");
    let started = format!("keyway {program}, wasmtime {engine}");
    let each = [started.clone(), started];
    assert_eq!(done(&records, "deployment:start"), each);
    assert_eq!(records[0]["operation"], "deployment:start", "the first");
}
