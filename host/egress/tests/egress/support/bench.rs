//! Makes entries in the one honest way: decide, then record.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keyway_authz::{
    Actor, Entry, Grant, GrantedCredential, HttpRule, HttpRules, HttpSend, Principal, Record,
    Recorder, Sink, SinkError,
};
use keyway_egress::{
    AllowedPlace, Egress, EgressConfig, EgressError, Exchange, FixedResolver, Reply, Resolve,
};
use keyway_model::manifest::{Capabilities, Redirects};
use keyway_model::net::{Method, RequestUrl};
use keyway_model::{Clock, ConnectionId, CredentialSlot, Digest, Environment, Scope, TenantId};

/// A sink that keeps nothing: what records hold is tested where they are made.
#[derive(Debug)]
struct Memory;

#[async_trait]
impl Sink for Memory {
    async fn append(&self, _: Scope, _: Record) -> Result<(), SinkError> {
        Ok(())
    }
    fn queue(&self, _: Scope, _: Record) {}
}

/// Whether an operation carries the connection's credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// It carries none.
    None,
    /// The decision let one travel, even in clear.
    Granted,
}

/// An egress, and entries to send through it.
pub(crate) struct Bench {
    pub(crate) egress: Egress,
    pub(crate) scope: Scope,
    pub(crate) connection: ConnectionId,
    pub(crate) connector: Option<Digest>,
}

/// Sets a bench up.
pub(crate) struct BenchBuilder(pub(crate) EgressConfig);

impl Bench {
    /// Short waits, a name server that knows `upstream.test` as 127.0.0.1.
    pub(crate) fn builder() -> BenchBuilder {
        let names = FixedResolver::new([(
            "upstream.test".parse().unwrap(),
            vec![IpAddr::from([127, 0, 0, 1])],
        )]);
        let mut config = EgressConfig {
            resolver: Arc::new(names),
            ..EgressConfig::default()
        };
        config.timeouts.head = Duration::from_secs(20);
        BenchBuilder(config)
    }

    /// The same but for the tenant.
    pub(crate) fn other_tenant(&self) -> Self {
        self.in_scope(any_scope())
    }

    /// The same but for the environment.
    pub(crate) fn other_environment(&self) -> Self {
        self.in_scope(Scope {
            tenant: self.scope.tenant,
            environment: Environment::Production,
        })
    }

    fn in_scope(&self, scope: Scope) -> Self {
        Self {
            scope,
            ..self.again()
        }
    }

    /// The same but for the connector.
    pub(crate) fn other_connector(&self) -> Self {
        Self {
            connector: Some(Digest::of(b"another connector")),
            ..self.again()
        }
    }

    /// The same but for the connection.
    pub(crate) fn other_connection(&self) -> Self {
        Self {
            connection: ConnectionId::random(),
            ..self.again()
        }
    }

    /// The same egress, for the same connection of the same tenant.
    pub(crate) fn again(&self) -> Self {
        Self {
            egress: self.egress.clone(),
            scope: self.scope,
            connection: self.connection,
            connector: self.connector,
        }
    }

    pub(crate) async fn entry(
        &self,
        method: Method,
        url: &str,
        credential: Credential,
    ) -> Entry<HttpSend> {
        let url: RequestUrl = url.parse().unwrap();
        let granted = GrantedCredential {
            slot: CredentialSlot::Bearer,
            cleartext: true,
        };
        let rule = HttpRule {
            origin: url.origin.clone(),
            methods: vec![method],
            paths: vec!["/**".parse().unwrap()],
            credential: (credential == Credential::Granted).then_some(granted),
            redirects: Redirects::Return,
            rule: "test".to_owned(),
        };
        let mut actor = Actor::directly(Principal::Platform(0));
        actor.connector = self.connector;
        let grant = Grant::new(
            actor,
            self.connection,
            Capabilities::ALL,
            Arc::new(HttpRules::from_iter([rule])),
            "test".to_owned(),
        );
        let recorder = Recorder::new(Arc::new(Memory), self.scope, Clock::default());
        grant
            .decide_http(method, url)
            .unwrap()
            .record(&recorder)
            .await
            .unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        exchange: Exchange,
    ) -> Result<Reply, EgressError> {
        let entry = self.entry(method, url, Credential::None).await;
        self.egress.send(&entry, exchange).await
    }

    pub(crate) async fn get(&self, url: &str) -> Result<Reply, EgressError> {
        self.send(Method::Get, url, Exchange::default()).await
    }
}

impl BenchBuilder {
    /// Lets `host:port` be reached.
    pub(crate) fn allow(self, host: &str, port: u16) -> Self {
        self.allow_place(host, port, false)
    }

    /// Lets `host:port` be reached, with a credential in clear.
    pub(crate) fn allow_clear(self, host: &str, port: u16) -> Self {
        self.allow_place(host, port, true)
    }

    fn allow_place(mut self, host: &str, port: u16, cleartext: bool) -> Self {
        self.0.allowed.push(AllowedPlace {
            host: host.parse().unwrap(),
            port,
            cleartext,
            addresses: Vec::new(),
        });
        self
    }

    /// Lets `host:port` be reached at this address.
    pub(crate) fn allow_at(mut self, host: &str, port: u16, address: &str) -> Self {
        self.0.allowed.push(AllowedPlace {
            host: host.parse().unwrap(),
            port,
            cleartext: false,
            addresses: vec![address.parse().unwrap()],
        });
        self
    }

    /// Trusts this authority, too.
    pub(crate) fn trust(mut self, pem: String) -> Self {
        self.0.extra_roots_pem.push(pem);
        self
    }

    /// Asks this resolver.
    pub(crate) fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.0.resolver = resolver;
        self
    }

    /// Changes the configuration in any other way.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut EgressConfig)) -> Self {
        change(&mut self.0);
        self
    }

    pub(crate) fn build(self) -> Bench {
        Bench {
            egress: Egress::new(self.0).unwrap(),
            scope: any_scope(),
            connection: ConnectionId::random(),
            connector: Some(Digest::of(b"a connector")),
        }
    }
}

fn any_scope() -> Scope {
    Scope {
        tenant: TenantId::random(),
        environment: Environment::Test,
    }
}
