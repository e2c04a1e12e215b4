//! Connectors: install, approve, revoke, list, show.

use std::collections::BTreeSet;
use std::time::Duration;

use keyway_gate::resource::{ApprovalRecord, ConnectorRecord};
use keyway_gate::{Connector, ControlError, Presence, View};
use keyway_model::limit::{APPROVALS_PER_CONNECTOR_MAX, ARTIFACT_BYTES_MAX, LimitSet};
use keyway_model::manifest::{imports_beyond, page, section};
use keyway_model::{ApprovalId, Digest, Environment, Name, Scope, Timestamp};

use super::{Allowed, Caller, Deployment};
use crate::api::types::{Approval, ConnectorDetail, ConnectorSummary, NewApproval};
use crate::artifacts::{CompileError, Install};

/// Columns of a capability page.
const PAGE_COLUMNS: usize = 96;

impl Deployment {
    /// Installs an artifact: compiled in a child, its imports checked against
    /// its manifest. It runs only when it is approved. Until its code is there, it
    /// ends with the presence of whoever asked.
    pub async fn install(
        &self,
        caller: Caller,
        bytes: Vec<u8>,
        presence: &Presence,
    ) -> Result<ConnectorSummary, ControlError> {
        // Megabytes are hashed where nobody waits for the thread.
        let hashed = tokio::task::spawn_blocking(move || (Digest::of(&bytes), bytes)).await;
        let (digest, bytes) = hashed.map_err(|error| ControlError::Internal(error.to_string()))?;
        let allowed = self
            .begin(
                &caller,
                "connector:install",
                "connector",
                Some(digest.to_string()),
            )
            .await?;
        let install = match self.begin_install(&allowed, digest) {
            Ok(install) => install,
            Err(over) => return Err(allowed.call.over(over).await),
        };
        let examined = self
            .examine(digest, &bytes, &allowed, (&install, presence))
            .await;
        let connector = match examined {
            Ok(connector) => connector,
            Err(error) => return allowed.fail(error).await,
        };
        let (scope, store) = (allowed.scope, self.gate.store());
        let changes = vec![
            store.put_artifact(digest, bytes),
            connector.record.change(&store.tenant(scope)).await?,
        ];
        allowed.call.done(changes).await?;
        self.gate
            .registry()
            .update(scope, |view| view.add_connector(connector));
        self.summary_of(&self.view(scope), digest)
    }

    /// Whether the workspace has room for one more connector, and who compiles it
    /// has. What is under way counts until it is over, and what is left out counts, too.
    fn begin_install(&self, allowed: &Allowed, digest: Digest) -> Result<Install, String> {
        let tenant = allowed.scope.tenant;
        let install = self.artifacts.begin_install(tenant);
        let install = install.map_err(|error| error.to_string())?;
        let view = self.view(allowed.scope);
        let is_new = view.connector(&digest).is_none() && view.left_out(&digest).is_none();
        let installed = Environment::ALL.map(|environment| {
            let view = self.view(Scope {
                tenant,
                environment,
            });
            view.installed().len()
        });
        let limits = self.gate.limits(allowed.scope, &LimitSet::default());
        let max = limits.quotas.connectors_per_workspace_max as usize;
        if is_new && installed.iter().sum::<usize>() + install.of_workspace > max {
            return Err(format!(
                "the workspace exceeds `connectors_per_workspace_max` ({max}), each version of a \
                 connector in each environment counted; ask the platform administrator to raise it under [limits]"
            ));
        }
        Ok(install)
    }

    async fn examine(
        &self,
        digest: Digest,
        bytes: &[u8],
        allowed: &Allowed,
        (install, presence): (&Install, &Presence),
    ) -> Result<Connector, ControlError> {
        if bytes.len() > ARTIFACT_BYTES_MAX {
            return Err(ControlError::Invalid(format!(
                "the artifact exceeds ARTIFACT_BYTES_MAX ({ARTIFACT_BYTES_MAX})"
            )));
        }
        let invalid = |text: String| ControlError::Invalid(text);
        let manifest = section::extract(bytes)
            .map_err(|error| invalid(error.to_string()))?
            .to_owned();
        let compiled = self
            .artifacts
            .compile(install, digest, bytes, presence)
            .await
            .map_err(|error| match matches!(error, CompileError::Cancelled) {
                true => ControlError::Cancelled,
                false => invalid(error.to_string()),
            })?;
        let record = ConnectorRecord {
            digest,
            name: "unread"
                .parse()
                .map_err(|e: keyway_model::NameError| invalid(e.to_string()))?,
            version: String::new(),
            manifest,
            imports: compiled.imports.clone(),
            bytes: bytes.len() as u64,
            installed_at: self.gate.clock().now(),
            installed_by: allowed.principal,
        };
        let mut connector = Connector::of(record).map_err(invalid)?;
        let beyond = imports_beyond(&connector.manifest, &compiled.imports);
        if !beyond.is_empty() {
            return Err(invalid(format!(
                "the component imports more than it declares:\n{}",
                beyond.join("\n")
            )));
        }
        let asked = &connector.manifest.limits;
        let within = self.gate.ceiling().limits.allows(asked);
        within.map_err(|error| invalid(format!("the manifest asks for too much: {error}")))?;
        connector.record.name = connector.manifest.connector.name.clone();
        connector.record.version = connector.manifest.connector.version.to_string();
        Ok(connector)
    }

    /// Lists installed connectors.
    pub async fn connectors(&self, caller: Caller) -> Result<Vec<ConnectorSummary>, ControlError> {
        let allowed = self
            .begin(&caller, "connector:list", "connector", None)
            .await?;
        let view = self.view(allowed.scope);
        let all = view
            .installed()
            .into_iter()
            .map(|record| self.summarize(&view, record))
            .collect();
        allowed.answer(all).await
    }

    /// Shows one with its capability page and approvals.
    pub async fn connector(
        &self,
        caller: Caller,
        which: &str,
    ) -> Result<ConnectorDetail, ControlError> {
        let allowed = self
            .begin(
                &caller,
                "connector:show",
                "connector",
                Some(which.to_owned()),
            )
            .await?;
        let view = self.view(allowed.scope);
        let Some(connector) = find(&view, which) else {
            return allowed.fail(not_there(&view, which)).await;
        };
        let page = page::CapabilityPage::of(
            &connector.manifest,
            connector.record.digest,
            connector.record.imports.clone(),
        );
        let digest = connector.record.digest;
        let detail = ConnectorDetail {
            summary: self.summarize(&view, &connector.record),
            page_text: page.render(PAGE_COLUMNS),
            page: serde_json::to_value(&page)
                .map_err(|error| ControlError::Internal(error.to_string()))?,
            approvals: view
                .approvals_of(&digest)
                .iter()
                .rev()
                .map(|a| shown(a))
                .collect(),
        };
        allowed.answer(detail).await
    }

    /// Approves exactly one digest.
    pub async fn approve(
        &self,
        caller: Caller,
        digest: &str,
        new: NewApproval,
    ) -> Result<Approval, ControlError> {
        let allowed = self
            .begin(
                &caller,
                "connector:approve",
                "connector",
                Some(digest.to_owned()),
            )
            .await?;
        let view = self.view(allowed.scope);
        let Some(connector) = digest
            .parse()
            .ok()
            .and_then(|digest| view.connector(&digest))
        else {
            return allowed.fail(not_there(&view, digest)).await;
        };
        let approval = match self.approval(connector, new, &allowed) {
            Ok(approval) => approval,
            Err(error) => return allowed.fail(error).await,
        };
        let Some(gone) = view.approvals_in_the_way_of(&approval, approval.at) else {
            return Err(allowed.call.over(too_many_approvals(approval.digest)).await);
        };
        let (scope, store) = (allowed.scope, self.gate.store().tenant(allowed.scope));
        let mut changes = vec![approval.change(&store).await?];
        changes.extend(gone.iter().map(|id| ApprovalRecord::forget(&store, *id)));
        allowed.call.done(changes).await?;
        let answer = shown(&approval);
        self.gate.registry().update(scope, |view| {
            view.forget_approvals(&approval.digest, &gone);
            view.put_approvals([approval]);
        });
        Ok(answer)
    }

    fn approval(
        &self,
        connector: &Connector,
        new: NewApproval,
        allowed: &Allowed,
    ) -> Result<ApprovalRecord, ControlError> {
        let declared: BTreeSet<String> = connector
            .manifest
            .connector
            .capabilities
            .iter()
            .map(|c| c.as_str().to_owned())
            .collect();
        let capabilities = new.capabilities.unwrap_or_else(|| declared.clone());
        if let Some(beyond) = capabilities.difference(&declared).next() {
            let declared: Vec<_> = declared.iter().map(String::as_str).collect();
            return Err(ControlError::Invalid(format!(
                "capability `{beyond}` is not declared by the manifest, which has: {}",
                declared.join(", ")
            )));
        }
        let now = self.gate.clock().now();
        let days = |days: u32| now.plus(Duration::from_secs(u64::from(days) * 86_400));
        Ok(ApprovalRecord {
            id: ApprovalId::random(),
            digest: connector.record.digest,
            connector: connector.record.name.clone(),
            capabilities,
            by: allowed.principal,
            why: new.why.chars().take(1_000).collect(),
            at: now,
            until: new.days.map(days),
            revision: 1,
            revoked: None,
        })
    }

    /// Revokes every approval of a digest that holds, also of a connector that is left
    /// out.
    pub async fn revoke(
        &self,
        caller: Caller,
        digest: &str,
    ) -> Result<Vec<Approval>, ControlError> {
        let allowed = self
            .begin(
                &caller,
                "connector:revoke",
                "connector",
                Some(digest.to_owned()),
            )
            .await?;
        let (scope, now) = (allowed.scope, self.gate.clock().now());
        let view = self.view(scope);
        let known = digest.parse().ok().filter(|digest: &Digest| {
            view.connector(digest).is_some() || !view.approvals_of(digest).is_empty()
        });
        let Some(digest) = known else {
            return allowed.fail(not_there(&view, digest)).await;
        };
        let holding = view
            .approvals_of(&digest)
            .iter()
            .rev()
            .filter(|a| a.holds(now));
        let revoked: Vec<ApprovalRecord> = holding
            .map(|a| ApprovalRecord {
                revision: a.revision + 1,
                revoked: Some((now, allowed.principal)),
                ..ApprovalRecord::clone(a)
            })
            .collect();
        let mut changes = Vec::with_capacity(revoked.len());
        for approval in &revoked {
            changes.push(approval.change(&self.gate.store().tenant(scope)).await?);
        }
        allowed.call.done(changes).await?;
        let answer = revoked.iter().map(shown).collect();
        self.gate
            .registry()
            .update(scope, |view| view.put_approvals(revoked));
        Ok(answer)
    }

    fn summary_of(&self, view: &View, digest: Digest) -> Result<ConnectorSummary, ControlError> {
        view.connector(&digest)
            .map(|connector| self.summarize(view, &connector.record))
            .ok_or_else(|| {
                ControlError::Internal("the connector was installed and is not there".to_owned())
            })
    }

    fn summarize(&self, view: &View, record: &ConnectorRecord) -> ConnectorSummary {
        let now = self.gate.clock().now();
        let state = match view.approvals_of(&record.digest).first() {
            _ if view.left_out(&record.digest).is_some() => "left out",
            _ if self.workers.quarantined(&record.digest).is_some() => "quarantined",
            _ if view.approval(&record.digest, now).is_some() => "approved",
            None => "not approved",
            Some(approval) if approval.revoked.is_some() => "revoked",
            Some(_) => "ended",
        };
        ConnectorSummary {
            name: record.name.clone(),
            version: record.version.clone(),
            digest: record.digest,
            bytes: record.bytes,
            state: state.to_owned(),
            installed_at: record.installed_at.to_string(),
        }
    }
}

/// By digest, or by name the one that was installed last.
fn find(view: &View, which: &str) -> Option<std::sync::Arc<Connector>> {
    if let Ok(digest) = which.parse::<Digest>() {
        return view.connector(&digest).cloned();
    }
    let name: Name = which.parse().ok()?;
    view.connectors()
        .into_iter()
        .filter(|c| c.record.name == name)
        .max_by_key(|c| c.record.installed_at)
}

/// Why there is nothing to show or approve.
fn not_there(view: &View, which: &str) -> ControlError {
    let digest = which.parse().ok();
    if let Some(left_out) = digest.and_then(|digest: Digest| view.left_out(&digest)) {
        return ControlError::Conflict(left_out.to_string());
    }
    ControlError::NotFound(format!(
        "no connector `{}` is installed: run `keyway connector list`, or install it",
        which.chars().take(80).collect::<String>()
    ))
}

fn too_many_approvals(digest: Digest) -> String {
    format!(
        "the approvals of {digest} exceed APPROVALS_PER_CONNECTOR_MAX ({APPROVALS_PER_CONNECTOR_MAX}), \
         and each counts when those after it have ended: run `keyway connector revoke {digest}`, \
         then approve it again"
    )
}

fn shown(approval: &ApprovalRecord) -> Approval {
    let time = |at: Timestamp| at.to_string();
    Approval {
        id: approval.id,
        digest: approval.digest,
        capabilities: approval.capabilities.clone(),
        by: approval.by.to_string(),
        why: approval.why.clone(),
        at: time(approval.at),
        until: approval.until.map(time),
        revoked_at: approval.revoked.map(|(at, _)| time(at)),
    }
}
