//! The decision on what a guest asks for.
//!
//! A [`Grant`] is the effective authority of one invocation: the gate makes it
//! as the intersection of the action's manifest, the tenant's approval, the
//! connection, the rights of the job's principal and the platform's ceiling.
//! Nothing that is not in it is allowed.

mod scratch;

use std::collections::HashMap;
use std::sync::Arc;

use keyway_model::manifest::{Capabilities, Capability, Redirects};
use keyway_model::net::{Method, Origin, PathTemplate, RequestUrl, Scheme};
use keyway_model::{ConnectionId, CredentialSlot};

use crate::denial::{Denial, DenialReason, cut};
use crate::inward::{Admitted, Inward, InwardDenied};
use crate::operation::{HttpSend, StateChange, StateWrite};
use crate::permit::Permit;
use crate::record::{Actor, Target};

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
    /// What happens to redirects from there.
    pub redirects: Redirects,
    /// Where the rule stands, in words: the manifest's action and destination.
    pub rule: String,
}

/// Whether a request may carry the connection's credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    /// Where the grant says so.
    Credential,
    /// Never: a redirect led to it from another origin.
    Nothing,
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
        self.decide_http_carrying(method, url, Carry::Credential)
    }

    /// Decides one HTTP request, which carries the connection's credential, or
    /// never does, even where a rule would let it.
    ///
    /// # Errors
    ///
    /// As [`Grant::decide_http`].
    pub fn decide_http_carrying(
        &self,
        method: Method,
        url: RequestUrl,
        carry: Carry,
    ) -> Result<Permit<HttpSend>, Denial> {
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
        let credential = match carry {
            Carry::Credential => rule.credential.as_ref(),
            Carry::Nothing => None,
        };
        let travels_in_clear = url.origin.scheme == Scheme::Http;
        if travels_in_clear && credential.is_some_and(|credential| !credential.cleartext) {
            return Err(self.deny_http(method, &url, DenialReason::Cleartext));
        }
        let slot = credential.map(|granted| &granted.slot);
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
            credential: slot.cloned(),
            redirects: rule.redirects,
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
            | DenialReason::Limit
            | DenialReason::Redirect
            | DenialReason::Unknown => String::new(),
        };
        self.deny_http_because(method.as_str(), &origin.to_string(), reason, remedy)
    }
}

fn capability_remedy(capability: Capability) -> String {
    format!(
        "approve the connector's digest with the capability `{capability}`, which its manifest must name in `capabilities`"
    )
}
