//! A gate over a store of its own, for tests: one workspace, in which one connector is
//! approved and has a connection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use keyway_authz::{Actor, Judgement, Policy, PolicyRequest, Principal};
use keyway_egress::{Egress, EgressConfig};
use keyway_model::{ApprovalId, Clock, ConnectionId, Digest, Environment, Scope, Timestamp};
use keyway_store::{AuditFilter, Store, StoreOptions};
use keyway_vault::RootKey;
use tempfile::TempDir;

use crate::resource::{ApprovalRecord, ConnectionRecord, ConnectorRecord};
use crate::{Basis, Ceiling, Connector, Gate, Invocation, Purpose, Registry, TlsRecord};

const MANIFEST: &str = r#"
[connector]
name = "orders"
version = "1.0.0"
title = "Orders"
capabilities = ["log", "state"]

[actions.create]
title = "Create an order"
"#;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// Lets everybody do everything.
#[derive(Debug)]
struct Anything;

impl Policy for Anything {
    fn judge(&self, _: &PolicyRequest) -> Judgement {
        Judgement::Allow {
            policy: "anything".to_owned(),
        }
    }
}

pub(crate) struct Stage {
    pub(crate) gate: Arc<Gate>,
    pub(crate) scope: Scope,
    connector: Arc<Connector>,
    connection: Arc<ConnectionRecord>,
    _directory: TempDir,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            dir: directory.path().join("data"),
            clock: Clock::manual(NOW),
        };
        let root = Arc::new(RootKey::random().unwrap());
        let store = Store::open_with(options, root).await.unwrap();
        let name = "acme".parse().unwrap();
        let scope = Scope {
            tenant: store.directory().create_workspace(&name).await.unwrap(),
            environment: Environment::Production,
        };
        let registry = Arc::new(Registry::default());
        let egress = Egress::new(EgressConfig::default()).unwrap();
        let ceiling = Ceiling {
            guest_calls: 8,
            ..Ceiling::default()
        };
        let clock = store.clock().clone();
        let gate = Gate::new(egress, store, Arc::new(Anything), registry, ceiling, clock);
        let stage = Self {
            gate,
            scope,
            connector: Arc::new(connector()),
            connection: Arc::new(connection()),
            _directory: directory,
        };
        stage.gate.registry().update(scope, |view| {
            view.add_connector(connector());
            view.put_connection(connection());
            view.put_approvals([stage.approval()]);
        });
        stage
    }

    /// One more approval of the connector.
    pub(crate) fn approval(&self) -> ApprovalRecord {
        ApprovalRecord {
            id: ApprovalId::random(),
            digest: self.connector.record.digest,
            connector: self.connector.record.name.clone(),
            capabilities: BTreeSet::from(["log".to_owned(), "state".to_owned()]),
            by: Principal::Platform(0),
            why: String::new(),
            at: NOW,
            until: None,
            revision: 1,
            revoked: None,
        }
    }

    /// What a call of the connector's action is made on.
    pub(crate) fn basis(&self) -> Basis {
        Basis {
            scope: self.scope,
            connector: Arc::clone(&self.connector),
            connection: Arc::clone(&self.connection),
            purpose: Purpose::Action("create".parse().unwrap()),
            actor: Actor::directly(Principal::Platform(0)),
        }
    }

    /// A call of the connector's action.
    pub(crate) fn invocation(&self) -> Invocation {
        let unit = self.gate.store().unit(self.scope);
        self.gate.open(self.basis(), unit, None).unwrap()
    }

    /// What is recorded, as people read it, the newest first.
    pub(crate) async fn records(&self) -> Vec<serde_json::Value> {
        let log = self.gate.store().audit(self.scope.tenant);
        let listed = log.list(AuditFilter::default()).await.unwrap();
        let records = listed.into_iter().filter_map(|one| one.record);
        records
            .map(|record| serde_json::from_str(&record.to_json()).unwrap())
            .collect()
    }
}

fn connector() -> Connector {
    let record = ConnectorRecord {
        digest: Digest::of(MANIFEST.as_bytes()),
        name: "orders".parse().unwrap(),
        version: "1.0.0".to_owned(),
        manifest: MANIFEST.to_owned(),
        imports: Vec::new(),
        bytes: 0,
        installed_at: NOW,
        installed_by: Principal::Platform(0),
    };
    Connector::of(record).unwrap()
}

fn connection() -> ConnectionRecord {
    ConnectionRecord {
        id: ConnectionId::from_bits(1),
        name: "shop".parse().unwrap(),
        connector: "orders".parse().unwrap(),
        parameters: BTreeMap::new(),
        hosts: BTreeSet::new(),
        tls: TlsRecord::default(),
        credential_version: 0,
        created_by: Principal::Platform(0),
        created_at: NOW,
    }
}
