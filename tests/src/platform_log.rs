//! The platform's own log: of what belongs to no workspace. Nobody reads it over
//! the API, so it is opened as it lies in the data directory.

use keyway_model::time::Clock;
use keyway_store::{AuditFilter, PLATFORM, Store, StoreOptions};
use serde_json::Value;

use crate::harness::Stage;

/// Its records, the oldest first, of a deployment that is ended for this.
pub(crate) fn records(stage: &mut Stage) -> Vec<Value> {
    stage.serve.as_mut().unwrap().kill();
    stage.serve = None;
    let options = StoreOptions {
        dir: stage.data(),
        clock: Clock::System,
    };
    let filter = AuditFilter {
        limit: 10_000,
        ..AuditFilter::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut records = runtime.block_on(async {
        let store = Store::open(options, "root.key").await.unwrap();
        store.audit(PLATFORM.tenant).list(filter).await.unwrap()
    });
    records.sort_by_key(|record| record.sequence);
    let readable = records.into_iter().filter_map(|record| record.record);
    readable
        .map(|record| serde_json::from_str(&record.to_json()).unwrap())
        .collect()
}

/// What each operation of this name was about that was allowed and done.
pub(crate) fn done(records: &[Value], operation: &str) -> Vec<String> {
    let intents = records
        .iter()
        .filter(|record| record["operation"] == operation && record["decision"] == "allowed");
    let is_done = |intent: &&Value| {
        let outcome = |record: &&Value| record["id"] == intent["id"] && record["outcome"] == "done";
        records.iter().any(|record| outcome(&record))
    };
    intents
        .filter(is_done)
        .map(|intent| {
            intent["target"]["id"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}
