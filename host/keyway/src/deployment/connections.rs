//! Connections: create, list, check.

use std::collections::BTreeSet;
use std::sync::Arc;

use keyway_gate::resource::ConnectionRecord;
use keyway_gate::{Basis, ControlError, Presence, Purpose, TlsRecord, View, bundled};
use keyway_ipc::{CallOutcome, Entrance, Trap};
use keyway_model::manifest::Parameters;
use keyway_model::net::HostName;
use keyway_model::{ConnectionId, CredentialSlot, Name};
use keyway_vault::Secret;
use zeroize::Zeroizing;

use super::making::Kind;
use super::{Allowed, Caller, Deployment};
use crate::api::types::{Checked, Connection, NewConnection, NewTls};

impl Deployment {
    /// Creates a connection. Its credential is sealed and never comes back.
    pub async fn create_connection(
        &self,
        caller: Caller,
        new: NewConnection,
    ) -> Result<Connection, ControlError> {
        let allowed = self
            .begin(
                &caller,
                "connection:create",
                "connection",
                Some(new.name.to_string()),
            )
            .await?;
        let view = self.view(allowed.scope);
        let record = match self.new_record(&view, &new, &allowed) {
            Ok(record) => record,
            Err(error) => return allowed.fail(error).await,
        };
        let _place = match self.place_for(Kind::Connection, &allowed) {
            Ok(place) => place,
            Err(over) => return Err(allowed.call.over(over).await),
        };
        let (scope, store) = (allowed.scope, self.gate.store().tenant(allowed.scope));
        let mut changes = vec![record.change(&store).await?];
        if record.credential_version > 0 {
            let credential = new.credential.unwrap_or_default();
            let client_key = new.tls.and_then(|tls| tls.client_key);
            let secret = match client_key {
                Some(key) => bundled(credential.as_bytes(), &key),
                None => Secret::new(credential.into_bytes()),
            };
            changes.push(
                store
                    .credential(record.id, record.credential_version, &secret)
                    .await?,
            );
        }
        allowed.call.done(changes).await?;
        let answer = shown(&record);
        self.gate
            .registry()
            .update(scope, |view| view.put_connection(record));
        Ok(answer)
    }

    fn new_record(
        &self,
        view: &View,
        new: &NewConnection,
        allowed: &Allowed,
    ) -> Result<ConnectionRecord, ControlError> {
        let invalid = |text: String| ControlError::Invalid(text);
        if view.connection(&new.name).is_some() {
            return Err(ControlError::Conflict(format!(
                "there is a connection `{}` already",
                new.name
            )));
        }
        let latest = view
            .connectors()
            .into_iter()
            .filter(|c| c.record.name == new.connector);
        let connector = latest
            .max_by_key(|c| c.record.installed_at)
            .ok_or_else(|| {
                ControlError::NotFound(format!(
                    "no connector `{}` is installed: install it first",
                    new.connector
                ))
            })?;
        let manifest = &connector.manifest;
        if let (Some(slot), Some(credential)) = (&manifest.auth.slot, &new.credential) {
            keyway_gate::unless_maskable(slot, credential).map_err(invalid)?;
        }
        if let Some(name) = holder_of_secret(manifest.auth.slot.as_ref(), new) {
            return Err(invalid(format!(
                "parameter `{name}` holds the credential, and guests may read parameters: leave it out"
            )));
        }
        let parameters = Parameters::parse(manifest, new.parameters.clone())
            .map_err(|e| invalid(e.to_string()))?;
        for destination in manifest.destinations.values() {
            destination
                .resolve(&parameters)
                .map_err(|error| invalid(error.to_string()))?;
        }
        let credential_bytes = new.credential.as_ref().map(|credential| credential.len());
        let tls = tls_of(new.tls.clone().unwrap_or_default()).map_err(invalid)?;
        let has_certificate = tls.client_chain_pem.is_some();
        match (&manifest.auth.slot, credential_bytes) {
            (None, None) if has_certificate => {
                return Err(invalid(format!(
                    "connector `{}` takes no credential: leave the client certificate out",
                    new.connector
                )));
            }
            (Some(CredentialSlot::ClientCertificate), Some(_)) => {
                return Err(invalid(format!(
                    "the credential of connector `{}` is its client certificate: pass --no-credential",
                    new.connector
                )));
            }
            (Some(CredentialSlot::ClientCertificate), None) if has_certificate => {}
            (Some(CredentialSlot::ClientCertificate), None) => {
                return Err(invalid(format!(
                    "connector `{}` needs a client certificate: pass --client-certificate and --client-key-file",
                    new.connector
                )));
            }
            (Some(_), None) => {
                return Err(invalid(format!(
                    "connector `{}` needs a credential: pass --credential-file",
                    new.connector
                )));
            }
            (None, Some(_)) => {
                return Err(invalid(format!(
                    "connector `{}` takes no credential: pass --no-credential",
                    new.connector
                )));
            }
            _ => {}
        }
        let hosts: Result<BTreeSet<HostName>, _> =
            new.hosts.iter().map(|host| host.parse()).collect();
        Ok(ConnectionRecord {
            id: ConnectionId::random(),
            name: new.name.clone(),
            connector: new.connector.clone(),
            parameters: new.parameters.clone(),
            hosts: hosts
                .map_err(|error: keyway_model::net::NetError| invalid(error.to_string()))?,
            credential_version: u64::from(credential_bytes.is_some() || has_certificate),
            tls,
            created_by: allowed.principal,
            created_at: self.gate.clock().now(),
        })
    }

    /// Lists connections, without their credentials.
    pub async fn connections(&self, caller: Caller) -> Result<Vec<Connection>, ControlError> {
        let allowed = self
            .begin(&caller, "connection:list", "connection", None)
            .await?;
        let all = self
            .view(allowed.scope)
            .connections()
            .iter()
            .map(|c| shown(c))
            .collect();
        allowed.answer(all).await
    }

    /// Asks the upstream whether it accepts the credential.
    pub async fn check_connection(
        &self,
        caller: Caller,
        name: &str,
        presence: Presence,
    ) -> Result<Checked, ControlError> {
        let allowed = self
            .begin(
                &caller,
                "connection:check",
                "connection",
                Some(name.to_owned()),
            )
            .await?;
        let view = self.view(allowed.scope);
        let basis = match self.check_basis(&view, name, &allowed) {
            Ok(basis) => basis,
            Err(error) => return allowed.fail(error).await,
        };
        allowed.call.commit_intent().await?;
        let unit = self.gate.store().unit(allowed.scope);
        let invocation = match self.gate.open(basis, unit.clone(), None) {
            Ok(invocation) => invocation.for_caller(presence),
            Err(no_grant) => {
                return allowed
                    .fail(ControlError::Conflict(no_grant.to_string()))
                    .await;
            }
        };
        let ended = self.jobs.runner().run(&invocation, Entrance::Check).await;
        invocation.active().end();
        unit.commit().await?;
        let (ok, message) = match &ended.outcome {
            CallOutcome::Value(identity) => (true, identity.clone()),
            CallOutcome::Failure(failure) => {
                (false, ended.seen.explained(failure.clone()).to_string())
            }
            CallOutcome::Trap(Trap::Cancelled(_)) => {
                return allowed.fail(ControlError::Cancelled).await;
            }
            CallOutcome::Trap(trap) => (false, trap.to_string()),
            CallOutcome::LogicError(text) => (false, text.clone()),
            CallOutcome::Batch(_) => (false, "the check answered with events".to_owned()),
        };
        allowed
            .answer(Checked {
                ok,
                message,
                seen: ended.seen,
            })
            .await
    }

    fn check_basis(
        &self,
        view: &View,
        name: &str,
        allowed: &Allowed,
    ) -> Result<Basis, ControlError> {
        let parsed = name.parse::<Name>().ok();
        let connection = parsed
            .and_then(|name| view.connection(&name).cloned())
            .ok_or_else(|| {
                ControlError::NotFound(format!(
                    "there is no connection `{}`",
                    name.chars().take(80).collect::<String>()
                ))
            })?;
        let now = self.gate.clock().now();
        let (connector, _) = view
            .running(&connection.connector, now)
            .map_err(|error| ControlError::Conflict(error.to_string()))?;
        let actor = keyway_jobs::direct_actor(allowed.principal, connector, "check");
        Ok(Basis {
            scope: allowed.scope,
            connector: Arc::clone(connector),
            connection,
            purpose: Purpose::Check,
            actor,
        })
    }
}

/// What is kept of it, after the whole was found usable.
/// The parameter that holds the credential, or what is secret of it. A guest may read every
/// parameter, and must never read the credential.
fn holder_of_secret<'n>(slot: Option<&CredentialSlot>, new: &'n NewConnection) -> Option<&'n str> {
    let credential = new
        .credential
        .as_deref()
        .filter(|secret| !secret.is_empty())?;
    let secret = slot.map_or(credential.as_bytes(), |slot| {
        keyway_gate::secret_part(slot, credential.as_bytes())
    });
    let secret = std::str::from_utf8(secret).ok()?;
    let mut parameters = new.parameters.iter();
    parameters
        .find(|(_, value)| value.contains(secret))
        .map(|(name, _)| name.as_str())
}

fn tls_of(new: NewTls) -> Result<TlsRecord, String> {
    let key = new.client_key.map(Zeroizing::new);
    if key.is_some() != new.client_certificate.is_some() {
        return Err("a client certificate and its key go together: pass both".to_owned());
    }
    let record = TlsRecord {
        roots_pem: new.roots,
        pins: new.pins,
        client_chain_pem: new.client_certificate,
    };
    record.settings(key.as_ref().map(|key| key.as_str()))?;
    Ok(record)
}

fn shown(record: &ConnectionRecord) -> Connection {
    Connection {
        id: record.id,
        name: record.name.clone(),
        connector: record.connector.clone(),
        parameters: record.parameters.clone(),
        hosts: record.hosts.iter().map(ToString::to_string).collect(),
        has_credential: record.credential_version > 0,
        own_roots: record.tls.roots_pem.is_some(),
        pins: record.tls.pins.clone(),
        has_client_certificate: record.tls.client_chain_pem.is_some(),
        created_at: record.created_at.to_string(),
    }
}
