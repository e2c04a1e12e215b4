//! The decision on what a guest asks for.
//!
//! A [`Grant`] is the effective authority of one invocation: the gate makes it
//! as the intersection of the action's manifest, the tenant's approval, the
//! connection, the rights of the job's principal and the platform's ceiling.
//! Nothing that is not in it is allowed.

use std::collections::HashMap;
use std::sync::Arc;

use keyway_model::manifest::{Capabilities, Capability};
use keyway_model::net::{Method, Origin, PathTemplate, RequestUrl, Scheme};
use keyway_model::{ConnectionId, CredentialSlot};
use serde::{Deserialize, Serialize};

use crate::inward::{Admitted, Inward, InwardDenied};
use crate::operation::{HttpSend, StateChange, StateWrite};
use crate::permit::Permit;
use crate::policy::{Principal, Resource};
use crate::record::{Actor, Decision, Intent, Record, Target};
use crate::recorder::{Recorder, SinkError};

/// Why something was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenialReason {
    /// No rule names the scheme, host and port.
    Destination,
    /// A rule names the destination, but not with this method.
    Method,
    /// A rule names destination and method, but not this path.
    Path,
    /// The request is not one that could be decided on.
    Malformed,
    /// The guest filled the slot of the credential, in the query or in a header.
    Header,
    /// A credential would travel in clear.
    Cleartext,
    /// The capability is not granted.
    Capability,
    /// The approval was revoked, or has ended.
    Approval,
    /// The owner of the job has lost the right.
    Principal,
    /// The platform's ceiling does not allow it.
    Ceiling,
    /// The role does not allow it.
    Role,
    /// A limit is exceeded.
    Limit,
}

/// What a grant allows for HTTP: one line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// Where to.
    pub origin: Origin,
    /// With which methods.
    pub methods: Vec<Method>,
    /// Which paths.
    pub paths: Vec<PathTemplate>,
    /// Whether the connection's credential goes there.
    pub credential: Option<GrantedCredential>,
    /// Where the rule stands, in words: the manifest's action and destination.
    pub rule: String,
}

/// A credential that may be injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedCredential {
    /// Where it goes in the request.
    pub slot: CredentialSlot,
    /// Whether the platform lets it travel in clear to this very place.
    pub cleartext: bool,
}

/// Rules, found by where they lead.
#[derive(Debug, Default)]
pub struct HttpRules(HashMap<Origin, Vec<HttpRule>>);

impl FromIterator<HttpRule> for HttpRules {
    fn from_iter<I: IntoIterator<Item = HttpRule>>(rules: I) -> Self {
        let mut by_origin: HashMap<Origin, Vec<HttpRule>> = HashMap::new();
        for rule in rules {
            by_origin.entry(rule.origin.clone()).or_default().push(rule);
        }
        Self(by_origin)
    }
}

impl HttpRules {
    /// The rules, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &HttpRule> {
        self.0.values().flatten()
    }
}

/// The effective authority of one invocation.
#[derive(Debug)]
pub struct Grant {
    actor: Actor,
    connection: ConnectionId,
    http: Arc<HttpRules>,
    capabilities: Capabilities,
    source: String,
}

/// Why one operation was not allowed. Must be recorded, too.
#[derive(Debug)]
#[must_use = "a denial must be recorded"]
pub struct Denial(Box<Denied>);

#[derive(Debug)]
struct Denied {
    actor: Actor,
    operation: String,
    target: Target,
    reason: DenialReason,
    remedy: String,
}

impl Grant {
    /// A grant of exactly these capabilities, and of these rules where `http`
    /// is among them. `source` says where they stand: connector and version.
    pub const fn new(
        actor: Actor,
        connection: ConnectionId,
        capabilities: Capabilities,
        http: Arc<HttpRules>,
        source: String,
    ) -> Self {
        Self {
            actor,
            connection,
            http,
            capabilities,
            source,
        }
    }

    /// Who acts under this grant.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Decides one HTTP request.
    ///
    /// # Errors
    ///
    /// A [`Denial`] that says which line would allow the request.
    pub fn decide_http(&self, method: Method, url: RequestUrl) -> Result<Permit<HttpSend>, Denial> {
        if !self.capabilities.contains(Capability::Http) {
            return Err(self.deny_http(method, &url, DenialReason::Capability));
        }
        let Some(rules) = self.http.0.get(&url.origin) else {
            return Err(self.deny_http(method, &url, DenialReason::Destination));
        };
        let with_method = || rules.iter().filter(|rule| rule.methods.contains(&method));
        if with_method().next().is_none() {
            return Err(self.deny_http(method, &url, DenialReason::Method));
        }
        let matched = with_method().find_map(|rule| {
            rule.paths
                .iter()
                .find(|path| path.covers(&url.path))
                .map(|path| (rule, path))
        });
        let Some((rule, path)) = matched else {
            return Err(self.deny_http(method, &url, DenialReason::Path));
        };
        let travels_in_clear = url.origin.scheme == Scheme::Http;
        if travels_in_clear
            && rule
                .credential
                .as_ref()
                .is_some_and(|credential| !credential.cleartext)
        {
            return Err(self.deny_http(method, &url, DenialReason::Cleartext));
        }
        let slot = rule.credential.as_ref().map(|granted| &granted.slot);
        if let Some(CredentialSlot::Query(name)) = slot
            && url.names_parameter(name)
        {
            let remedy = format!(
                "leave the query parameter `{name}` out: the host fills it with the credential"
            );
            let origin = url.origin.to_string();
            return Err(self.deny_http_because(
                method.as_str(),
                &origin,
                DenialReason::Header,
                remedy,
            ));
        }
        let send = HttpSend {
            method,
            url,
            path: path.clone(),
            connection: self.connection,
            connector: self.actor.connector,
            credential: rule
                .credential
                .as_ref()
                .map(|credential| credential.slot.clone()),
        };
        Ok(Permit::mint(send, self.actor.clone(), rule.rule.clone()))
    }

    /// Decides one change of the connection's state.
    ///
    /// # Errors
    ///
    /// A [`Denial`] if the grant does not hold the capability `state`.
    pub fn decide_state(
        &self,
        key: String,
        change: StateChange,
    ) -> Result<Permit<StateWrite>, Denial> {
        let write = StateWrite {
            connection: self.connection,
            key,
            change,
        };
        if self.capabilities.contains(Capability::State) {
            let rule = format!("{}: capability state", self.source);
            return Ok(Permit::mint(write, self.actor.clone(), rule));
        }
        Err(Denial::new(
            self.actor.clone(),
            crate::Operation::name(&write).to_owned(),
            crate::Operation::target(&write),
            DenialReason::Capability,
            capability_remedy(Capability::State),
        ))
    }

    /// Decides one inward call.
    ///
    /// # Errors
    ///
    /// An [`InwardDenied`] if the grant does not hold its capability.
    pub fn decide_inward(&self, call: Inward) -> Result<Admitted, InwardDenied> {
        let capability = call.capability();
        if self.capabilities.contains(capability) {
            return Ok(Admitted(()));
        }
        let remedy = capability_remedy(capability);
        Err(InwardDenied { call, remedy })
    }

    /// A denial of a state change for a reason that the gate found.
    pub fn deny_state_because(&self, reason: DenialReason, remedy: String) -> Denial {
        let target = Target::State {
            connection: self.connection.to_string(),
        };
        Denial::new(
            self.actor.clone(),
            "state.change".to_owned(),
            target,
            reason,
            remedy,
        )
    }

    /// A denial of an HTTP request for a reason that the gate found.
    pub fn deny_http_because(
        &self,
        method: &str,
        origin: &str,
        reason: DenialReason,
        remedy: String,
    ) -> Denial {
        let target = Target::Http {
            method: cut(method),
            origin: cut(origin),
            path: None,
        };
        Denial::new(
            self.actor.clone(),
            "http.send".to_owned(),
            target,
            reason,
            remedy,
        )
    }

    fn deny_http(&self, method: Method, url: &RequestUrl, reason: DenialReason) -> Denial {
        let action = self.actor.action.as_deref().unwrap_or("the action");
        let origin = &url.origin;
        let remedy = match reason {
            DenialReason::Destination => format!(
                "if `{action}` should reach {origin}: declare a destination with schemes = [\"{}\"], host = \"{}\", port = {}, name it in `uses` of `{action}`, and approve the new digest",
                origin.scheme, origin.host, origin.port
            ),
            DenialReason::Method => format!(
                "if `{action}` should use {method} on {origin}: add \"{method}\" to `methods` in its `uses`, and approve the new digest"
            ),
            DenialReason::Path => format!(
                "if `{action}` should use {method} on this path of {origin}: add its template to `paths` in its `uses`, and approve the new digest"
            ),
            DenialReason::Cleartext => format!(
                "use https, or let the platform administrator add [[egress.allow]] host = \"{}\", port = {}, cleartext = true",
                origin.host, origin.port
            ),
            DenialReason::Capability => capability_remedy(Capability::Http),
            DenialReason::Malformed
            | DenialReason::Header
            | DenialReason::Approval
            | DenialReason::Principal
            | DenialReason::Ceiling
            | DenialReason::Role
            | DenialReason::Limit => String::new(),
        };
        self.deny_http_because(method.as_str(), &origin.to_string(), reason, remedy)
    }
}

fn capability_remedy(capability: Capability) -> String {
    format!(
        "approve the connector's digest with the capability `{capability}`, which its manifest must name in `capabilities`"
    )
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

impl Denial {
    /// A denial with its remedy.
    pub(crate) fn new(
        actor: Actor,
        operation: String,
        target: Target,
        reason: DenialReason,
        remedy: String,
    ) -> Self {
        Self(Box::new(Denied {
            actor,
            operation,
            target,
            reason,
            remedy,
        }))
    }

    /// A refusal of something that never became a request to decide on: an
    /// event over a limit, or one that cannot be read.
    pub fn of_request(
        principal: Principal,
        operation: &str,
        resource: &Resource,
        reason: DenialReason,
        why: &str,
    ) -> Self {
        let target = Target::Resource {
            kind: resource.kind.to_owned(),
            id: resource.id.clone(),
        };
        let actor = Actor::directly(principal);
        Self::new(actor, operation.to_owned(), target, reason, cut(why))
    }

    /// Why.
    pub fn reason(&self) -> DenialReason {
        self.0.reason
    }

    /// What would allow it; for authors and administrators, never for guests.
    pub fn remedy(&self) -> &str {
        &self.0.remedy
    }

    /// Records the denial and waits until it is durable.
    ///
    /// # Errors
    ///
    /// The sink's error; the operation stays denied.
    pub async fn record(self, recorder: &Recorder) -> Result<(), SinkError> {
        let record = self.into_record(recorder);
        recorder.sink().append(recorder.scope(), record).await
    }

    fn into_record(self, recorder: &Recorder) -> Record {
        let Denied {
            actor,
            operation,
            target,
            reason,
            remedy,
        } = *self.0;
        Record::Intent(Intent {
            id: keyway_model::EntryId::random(),
            at: recorder.clock().now(),
            actor,
            operation,
            target,
            decision: Decision::Denied { reason, remedy },
        })
    }
}
