//! The effective authority of one invocation: manifest of the action ∩
//! tenant's approval ∩ connection ∩ rights of the principal ∩ platform
//! ceiling. Computed when the invocation opens, never stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use keyway_authz::{
    Actor, DenialReason, Grant, GrantedCredential, HttpRule, HttpRules, Judgement, Policy,
    PolicyRequest, Resource,
};
use keyway_model::limit::PlatformLimits;
use keyway_model::manifest::{Capabilities, Manifest, Parameters, Redirects, Use};
use keyway_model::net::{HostName, Origin, Scheme};
use keyway_model::time::Timestamp;
use keyway_model::{Digest, Name, Scope};

use crate::registry::{Connector, View};
use crate::resource::ConnectionRecord;

/// What a guest is called for; each has destinations of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// An action.
    Action(Name),
    /// A poll trigger.
    Trigger(Name),
    /// The connection's own check.
    Check,
}

impl Purpose {
    /// As records name it.
    pub fn name(&self) -> &str {
        match self {
            Self::Action(name) | Self::Trigger(name) => name.as_str(),
            Self::Check => "check",
        }
    }
}

/// What a connection may reach for one purpose.
#[derive(Debug)]
pub(crate) struct Reach(pub(crate) Arc<HttpRules>);

/// What no tenant and no manifest can go beyond.
#[derive(Clone, Debug, Default)]
pub struct Ceiling {
    /// Hosts that nobody may reach.
    pub hosts_denied: Vec<HostName>,
    /// Places where a credential may travel in clear.
    pub cleartext: Vec<(HostName, u16)>,
    /// The platform's limits.
    pub limits: PlatformLimits,
    /// Guest calls at once, over all tenants.
    pub guest_calls: usize,
}

/// Why there is no grant at all.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoGrant {
    /// The manifest does not declare what was asked for.
    #[error("connector `{connector}` {version} has no {kind} `{name}`; it has: {known}")]
    NoSuchPurpose {
        /// The connector.
        connector: Name,
        /// Its version.
        version: String,
        /// `action` or `trigger`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The digest is not approved, or not any more.
    #[error(
        "connector `{connector}` ({digest}) is not approved: run `keyway connector approve {digest}`"
    )]
    NotApproved {
        /// The connector.
        connector: Name,
        /// Its digest.
        digest: Digest,
    },
    /// Whoever the job acts for may not use the connection.
    #[error("the owner may not use the connection: {0}")]
    Principal(String),
    /// The connection's parameters do not make a destination.
    #[error("connection `{connection}`: {reason}")]
    Parameters {
        /// The connection.
        connection: Name,
        /// What is wrong.
        reason: String,
    },
}

/// Everything that a grant is made of.
#[derive(Clone, Debug)]
pub struct Basis {
    /// Whose.
    pub scope: Scope,
    /// The connector.
    pub connector: Arc<Connector>,
    /// The connection.
    pub connection: Arc<ConnectionRecord>,
    /// What for.
    pub purpose: Purpose,
    /// Who acts.
    pub actor: Actor,
}

/// Computes the grant. Approval and rights are looked at here and again at
/// each outward call, by [`standing`].
pub(crate) fn compute(
    basis: &Basis,
    view: &View,
    policy: &dyn Policy,
    ceiling: &Ceiling,
    now: Timestamp,
) -> Result<Grant, NoGrant> {
    standing(basis, view, policy, now).map_err(|lost| lost.into_no_grant(basis))?;
    let Basis {
        connector,
        connection,
        purpose,
        actor,
        ..
    } = basis;
    let digest = connector.record.digest;
    let capabilities = view
        .approval(&digest, now)
        .map(|approval| held(&connector.manifest, &approval.capabilities))
        .unwrap_or_default();
    let key = (connection.id, digest, purpose.clone());
    let reach = view.reach(key, || rules(basis, ceiling))?;
    let source = format!("{} {}", connector.record.name, connector.record.version);
    Ok(Grant::new(
        actor.clone(),
        connection.id,
        capabilities,
        Arc::clone(&reach.0),
        source,
    ))
}

/// What the manifest declares and the approval covers: never what only one of
/// them names.
fn held(manifest: &Manifest, approved: &BTreeSet<String>) -> Capabilities {
    let declared = manifest.connector.capabilities.iter().copied();
    declared
        .filter(|capability| approved.contains(capability.as_str()))
        .collect()
}

/// Why an invocation may not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) reason: DenialReason,
    pub(crate) remedy: String,
}

impl Lost {
    fn into_no_grant(self, basis: &Basis) -> NoGrant {
        if self.reason == DenialReason::Approval {
            NoGrant::NotApproved {
                connector: basis.connector.record.name.clone(),
                digest: basis.connector.record.digest,
            }
        } else {
            NoGrant::Principal(self.remedy)
        }
    }
}

/// Whether approval and rights still hold: asked before every outward call.
pub(crate) fn standing(
    basis: &Basis,
    view: &View,
    policy: &dyn Policy,
    now: Timestamp,
) -> Result<(), Lost> {
    let digest = &basis.connector.record.digest;
    if view.approval(digest, now).is_none() {
        let remedy = format!(
            "the approval was revoked or has ended; approve again with `keyway connector approve {digest}`"
        );
        return Err(Lost {
            reason: DenialReason::Approval,
            remedy,
        });
    }
    let request = PolicyRequest {
        principal: basis.actor.principal,
        operation: "connection:use",
        resource: Resource {
            kind: "connection",
            id: Some(basis.connection.id.to_string()),
            scope: Some(basis.scope),
        },
    };
    match policy.judge(&request) {
        Judgement::Allow { .. } => Ok(()),
        Judgement::Deny { remedy } => Err(Lost {
            reason: DenialReason::Principal,
            remedy,
        }),
    }
}

/// The manifest's destinations for the purpose, with the connection's
/// parameters in them, as far as connection and ceiling let them be.
fn rules(basis: &Basis, ceiling: &Ceiling) -> Result<HttpRules, NoGrant> {
    let (manifest, connection) = (&basis.connector.manifest, &basis.connection);
    let wrong = |reason: String| NoGrant::Parameters {
        connection: connection.name.clone(),
        reason,
    };
    let parameters = Parameters::parse(manifest, connection.parameters.clone())
        .map_err(|error| wrong(error.to_string()))?;
    let mut rules = Vec::new();
    for used in uses(basis)? {
        let Some(destination) = manifest.destinations.get(&used.destination) else {
            continue;
        };
        let origins = destination
            .resolve(&parameters)
            .map_err(|error| wrong(error.to_string()))?;
        for origin in origins {
            if allowed_by_connection(connection, &origin)
                && !ceiling.hosts_denied.contains(&origin.host)
            {
                let used = (used, destination.redirects);
                rules.push(rule(basis, used, origin, ceiling));
            }
        }
    }
    Ok(rules.into_iter().collect())
}

fn allowed_by_connection(connection: &ConnectionRecord, origin: &Origin) -> bool {
    connection.hosts.is_empty() || connection.hosts.contains(&origin.host)
}

fn rule(
    basis: &Basis,
    (used, redirects): (&Use, Redirects),
    origin: Origin,
    ceiling: &Ceiling,
) -> HttpRule {
    let manifest = &basis.connector.manifest;
    let cleartext = origin.scheme == Scheme::Http
        && ceiling
            .cleartext
            .contains(&(origin.host.clone(), origin.port));
    let credential = manifest
        .auth
        .slot_for(&used.destination)
        .map(|slot| GrantedCredential {
            slot: slot.clone(),
            cleartext,
        });
    HttpRule {
        origin,
        methods: used.methods.clone(),
        paths: used.paths.to_vec(),
        credential,
        redirects,
        rule: format!(
            "{} {}: {} uses {}",
            basis.connector.record.name,
            basis.connector.record.version,
            basis.purpose.name(),
            used.destination
        ),
    }
}

fn uses(basis: &Basis) -> Result<&[Use], NoGrant> {
    let manifest = &basis.connector.manifest;
    let (kind, name, found, known): (_, _, _, Vec<&str>) = match &basis.purpose {
        Purpose::Action(name) => (
            "action",
            name,
            manifest
                .actions
                .get(name)
                .map(|action| action.uses.as_slice()),
            manifest.actions.keys().map(Name::as_str).collect(),
        ),
        Purpose::Trigger(name) => (
            "trigger",
            name,
            manifest
                .triggers
                .get(name)
                .map(|trigger| trigger.uses.as_slice()),
            manifest.triggers.keys().map(Name::as_str).collect(),
        ),
        Purpose::Check => {
            return Ok(&manifest.check.uses);
        }
    };
    found.ok_or_else(|| NoGrant::NoSuchPurpose {
        connector: basis.connector.record.name.clone(),
        version: basis.connector.record.version.clone(),
        kind,
        name: name.to_string(),
        known: if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ApprovalRecord;
    use crate::stage::Stage;

    #[tokio::test]
    async fn a_call_stands_after_ten_thousand_approvals_as_after_one() {
        let stage = Stage::new().await;
        let basis = stage.basis();
        let now = stage.gate.clock().now();
        let stands = || {
            let view = stage.gate.registry().view(stage.scope);
            standing(&basis, &view, &**stage.gate.policy(), now).map_err(|lost| lost.reason)
        };
        assert_eq!(stands(), Ok(()));
        stage.gate.registry().update(stage.scope, |view| {
            view.put_approvals((0..10_000).map(|_| stage.approval()));
        });
        assert_eq!(stands(), Ok(()));
        let digest = basis.connector.record.digest;
        stage.gate.registry().update(stage.scope, |view| {
            let all = view.approvals_of(&digest).to_vec();
            assert_eq!(all.len(), 10_001);
            view.put_approvals(all.into_iter().map(|one| ApprovalRecord {
                revoked: Some((now, basis.actor.principal)),
                ..ApprovalRecord::clone(&one)
            }));
        });
        assert_eq!(stands(), Err(DenialReason::Approval));
    }
}
