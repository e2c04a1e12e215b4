//! Which version of a connector runs when it is called by its name: the one that was
//! approved last.
//!
//! A version that was installed when limits on manifests were wider may not be taken any
//! more. It is left out at the start, and its approval counts all the same: a version
//! that it has replaced never runs again without somebody saying so.

use std::fmt;
use std::sync::Arc;

use keyway_model::time::Timestamp;
use keyway_model::{Digest, Name};

use super::{Connector, View};
use crate::resource::{ApprovalRecord, ConnectorRecord};

/// An installed connector whose manifest is not taken any more: it does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// As it is kept.
    pub record: ConnectorRecord,
    /// What is wrong with its manifest, in words for the connector's author.
    pub why: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, why } = self;
        let ConnectorRecord {
            name,
            version,
            digest,
            ..
        } = record;
        write!(
            f,
            "connector `{name}` {version} ({digest}) was installed under wider limits and is left out, since its manifest is not taken any more: {why}"
        )
    }
}

/// Why no version of a connector runs.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotRunning {
    /// None is approved, or not any more.
    #[error("connector `{0}` is not approved: run `keyway connector approve {0}`")]
    NotApproved(Name),
    /// The one that was approved last is left out.
    #[error(
        "{left_out}. No version that was approved before runs in its place: approve one that is taken, or run `keyway connector revoke {}`, and the one before runs",
        .left_out.record.digest
    )]
    LeftOut {
        /// Which one.
        left_out: Arc<LeftOut>,
    },
    /// The one that was approved last is not there.
    #[error(
        "connector `{connector}` ({digest}) was approved last and is not installed: install it again, or run `keyway connector revoke {digest}`"
    )]
    NotInstalled {
        /// The connector.
        connector: Name,
        /// Its digest.
        digest: Digest,
    },
}

impl View {
    /// The connector of this name that runs now: the one that was approved last and whose
    /// approval holds.
    ///
    /// # Errors
    ///
    /// [`NotRunning`], in words for whoever calls it.
    pub fn running(
        &self,
        name: &Name,
        now: Timestamp,
    ) -> Result<(&Arc<Connector>, &Arc<ApprovalRecord>), NotRunning> {
        let holding = self.approvals.values().filter_map(|all| all.holding(now));
        let newest = holding
            .filter(|approval| approval.connector == *name)
            .max_by_key(|approval| {
                let digest = approval.digest;
                (approval.at, self.installed_at(&digest), digest)
            })
            .ok_or_else(|| NotRunning::NotApproved(name.clone()))?;
        match self.connectors.get(&newest.digest) {
            Some(connector) => Ok((connector, newest)),
            None => Err(self.why_not(newest)),
        }
    }

    /// The connector of this name that was installed last, unless that one is left out.
    pub fn installed_last(&self, name: &Name) -> Option<&Arc<Connector>> {
        let of_name = |record: &&ConnectorRecord| record.name == *name;
        let last = self.records().filter(of_name);
        let last = last.max_by_key(|record| record.installed_at)?;
        self.connectors.get(&last.digest)
    }

    /// Every installed connector as it is kept, those that are left out, too, by name and
    /// then time.
    pub fn installed(&self) -> Vec<&ConnectorRecord> {
        let mut all: Vec<_> = self.records().collect();
        all.sort_by(|a, b| (&a.name, a.installed_at).cmp(&(&b.name, b.installed_at)));
        all
    }

    /// The connector with this digest, if it is left out.
    pub fn left_out(&self, digest: &Digest) -> Option<&Arc<LeftOut>> {
        self.left_out.get(digest)
    }

    /// Notes that an installed connector does not run.
    pub fn leave_out(&mut self, left_out: Arc<LeftOut>) {
        self.left_out.insert(left_out.record.digest, left_out);
    }

    fn records(&self) -> impl Iterator<Item = &ConnectorRecord> {
        let left_out = self.left_out.values().map(|left_out| &left_out.record);
        let taken = self.connectors.values().map(|connector| &connector.record);
        taken.chain(left_out)
    }

    fn installed_at(&self, digest: &Digest) -> Option<Timestamp> {
        let taken = self.connectors.get(digest).map(|it| it.record.installed_at);
        taken.or_else(|| self.left_out.get(digest).map(|it| it.record.installed_at))
    }

    fn why_not(&self, approval: &ApprovalRecord) -> NotRunning {
        match self.left_out.get(&approval.digest) {
            Some(left_out) => NotRunning::LeftOut {
                left_out: Arc::clone(left_out),
            },
            None => NotRunning::NotInstalled {
                connector: approval.connector.clone(),
                digest: approval.digest,
            },
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use keyway_authz::Principal;
    use keyway_model::limit::DOCUMENT_BYTES_MAX;

    use super::*;
    use crate::stage::Stage;

    /// The stage's connector in a version that was taken once, and its approval of a
    /// second later.
    fn too_long(stage: &Stage) -> (LeftOut, ApprovalRecord) {
        let old = stage.basis().connector.record.clone();
        let record = ConnectorRecord {
            digest: Digest::of(b"another version"),
            version: "2.0.0".to_owned(),
            manifest: format!("{}# {}", old.manifest, "x".repeat(DOCUMENT_BYTES_MAX)),
            ..old
        };
        let approval = ApprovalRecord {
            digest: record.digest,
            at: stage.gate.clock().now().plus(Duration::from_secs(1)),
            ..stage.approval()
        };
        let why = Connector::of(record.clone()).unwrap_err();
        (LeftOut { record, why }, approval)
    }

    #[tokio::test]
    async fn a_version_that_is_left_out_is_not_replaced_by_the_one_before_it() {
        let stage = Stage::new().await;
        let old = stage.basis().connector.record.clone();
        let (left_out, approval) = too_long(&stage);
        let now = stage.gate.clock().now().plus(Duration::from_secs(2));
        let registry = stage.gate.registry();
        let runs = || {
            let view = registry.view(stage.scope);
            let running = view.running(&old.name, now);
            running.map(|(connector, _)| connector.record.digest)
        };
        let put = |approval: ApprovalRecord| {
            registry.update(stage.scope, |view| view.put_approvals([approval]));
        };
        registry.update(stage.scope, |view| {
            view.leave_out(Arc::new(left_out.clone()));
        });
        assert_eq!(runs(), Ok(old.digest), "nobody approved it");
        put(approval.clone());
        let refused = runs().unwrap_err().to_string();
        let revoke = format!("keyway connector revoke {}", approval.digest);
        for told in ["`orders` 2.0.0", "is larger than", revoke.as_str()] {
            assert!(refused.contains(told), "{refused}");
        }
        put(ApprovalRecord {
            revision: 2,
            revoked: Some((now, Principal::Platform(0))),
            ..approval
        });
        assert_eq!(runs(), Ok(old.digest));
    }

    #[tokio::test]
    async fn a_version_that_is_left_out_is_the_one_that_was_installed_last() {
        let stage = Stage::new().await;
        let old = stage.basis().connector.record.clone();
        let (mut left_out, _) = too_long(&stage);
        left_out.record.installed_at = old.installed_at.plus(Duration::from_secs(1));
        let view = || stage.gate.registry().view(stage.scope);
        assert!(view().installed_last(&old.name).is_some());
        stage.gate.registry().update(stage.scope, |view| {
            view.leave_out(Arc::new(left_out.clone()));
        });
        assert!(view().installed_last(&old.name).is_none());
        let view = view();
        assert_eq!(view.installed(), [&old, &left_out.record]);
    }
}
