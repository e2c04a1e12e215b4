//! Outward operations: each a type, so that a permit for one opens no other.

use std::sync::Arc;

use keyway_model::manifest::Redirects;
use keyway_model::net::{Method, PathTemplate, RequestUrl};
use keyway_model::{ConnectionId, CredentialSlot, Digest, ScratchName};

use crate::policy::PolicyRequest;
use crate::record::Target;

/// Something that reaches outside or changes state.
pub trait Operation: Send + Sync + std::fmt::Debug {
    /// The operation's name in records.
    fn name(&self) -> &str;
    /// Where it goes, as a record says it.
    fn target(&self) -> Target;
}

/// An operation that may open one credential.
pub trait NamesSecret: Operation {
    /// The connection whose credential this operation carries, if any.
    fn secret(&self) -> Option<ConnectionId>;
}

/// One HTTP request to the outside. Its fields are what was decided on and
/// what is sent; there is no second target.
#[derive(Debug)]
pub struct HttpSend {
    pub(crate) method: Method,
    pub(crate) url: RequestUrl,
    pub(crate) path: PathTemplate,
    pub(crate) connection: ConnectionId,
    pub(crate) credential: Option<CredentialSlot>,
    pub(crate) connector: Option<Digest>,
    pub(crate) redirects: Redirects,
}

impl HttpSend {
    /// The method.
    pub const fn method(&self) -> Method {
        self.method
    }
    /// The target.
    pub const fn url(&self) -> &RequestUrl {
        &self.url
    }
    /// The slot to fill with the connection's credential, if it goes here.
    pub const fn credential(&self) -> Option<&CredentialSlot> {
        self.credential.as_ref()
    }
    /// The connection that this request is made for.
    pub const fn connection(&self) -> ConnectionId {
        self.connection
    }
    /// What happens to a redirect from there.
    pub const fn redirects(&self) -> Redirects {
        self.redirects
    }
    /// The connector that asks, if a guest does.
    pub const fn connector(&self) -> Option<Digest> {
        self.connector
    }
}

impl Operation for HttpSend {
    fn name(&self) -> &str {
        "http.send"
    }
    fn target(&self) -> Target {
        Target::Http {
            method: self.method.to_string(),
            origin: self.url.origin.to_string(),
            path: Some(self.path.to_string()),
        }
    }
}

impl NamesSecret for HttpSend {
    fn secret(&self) -> Option<ConnectionId> {
        self.credential.is_some().then_some(self.connection)
    }
}

/// A change of a connection's state.
#[derive(Debug)]
pub struct StateWrite {
    pub(crate) connection: ConnectionId,
    pub(crate) key: String,
    pub(crate) change: StateChange,
}

/// What happens to a key of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// It gets this value.
    Set(String),
    /// It goes.
    Delete,
}

impl StateWrite {
    /// Whose state.
    pub const fn connection(&self) -> ConnectionId {
        self.connection
    }
    /// Which key.
    pub fn key(&self) -> &str {
        &self.key
    }
    /// What happens to it.
    pub const fn change(&self) -> &StateChange {
        &self.change
    }
}

impl Operation for StateWrite {
    fn name(&self) -> &str {
        match self.change {
            StateChange::Set(_) => "state.set",
            StateChange::Delete => "state.delete",
        }
    }
    fn target(&self) -> Target {
        Target::State {
            connection: self.connection.to_string(),
        }
    }
}

/// A change of the scratch files of one guest call. Its record does not say
/// which file: a name can be a tenant's content.
#[derive(Debug)]
pub struct ScratchChange {
    pub(crate) edit: ScratchEdit,
}

/// What happens to a scratch file.
#[derive(Clone, PartialEq, Eq)]
pub enum ScratchEdit {
    /// It is made if it is not there.
    Open(ScratchName),
    /// It gets these bytes, from an offset on.
    Write(ScratchName, u64, Arc<[u8]>),
    /// It goes.
    Remove(ScratchName),
}

impl ScratchChange {
    /// What happens.
    pub const fn edit(&self) -> &ScratchEdit {
        &self.edit
    }
}

impl Operation for ScratchChange {
    fn name(&self) -> &str {
        match self.edit {
            ScratchEdit::Open(_) => "scratch.open",
            ScratchEdit::Write(..) => "scratch.write",
            ScratchEdit::Remove(_) => "scratch.remove",
        }
    }
    fn target(&self) -> Target {
        Target::Scratch
    }
}

impl std::fmt::Debug for ScratchEdit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(name) => write!(f, "Open({name:?})"),
            Self::Write(name, offset, bytes) => {
                write!(f, "Write({name:?}, {offset}, {} bytes)", bytes.len())
            }
            Self::Remove(name) => write!(f, "Remove({name:?})"),
        }
    }
}

/// One call of the control path, decided by the roles.
#[derive(Debug)]
pub struct ControlCall {
    pub(crate) request: PolicyRequest,
}

impl ControlCall {
    /// What was asked for.
    pub const fn request(&self) -> &PolicyRequest {
        &self.request
    }
}

impl Operation for ControlCall {
    fn name(&self) -> &str {
        self.request.operation
    }
    fn target(&self) -> Target {
        Target::Resource {
            kind: self.request.resource.kind.to_owned(),
            id: self.request.resource.id.clone(),
        }
    }
}
