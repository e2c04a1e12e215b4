//! Memberships of principals, and the policy that judges by them.

use std::collections::HashMap;
use std::fmt;

use keyway_authz::{Judgement, Policy, PolicyRequest, Principal};
use keyway_model::{Environment, Scope, TenantId};
use parking_lot::{Mutex, RwLock};

use crate::cedar::{Cedar, PolicyError, Question};
use crate::operation::{self, OperationInfo};

/// A fixed role inside a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything inside its reach, the audit log included.
    Admin,
    /// Runs what admins set up.
    Operator,
    /// Reads definitions and masked job history.
    Analyst,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Operator, Self::Analyst];

    /// The word for it, as policies, files and the command line write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Analyst => "analyst",
        }
    }

    /// The role of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "Admin",
            Self::Operator => "Operator",
            Self::Analyst => "Analyst",
        })
    }
}

/// Which environments of a workspace a principal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Environments {
    /// Every one.
    All,
    /// This one alone.
    One(Environment),
}

/// What a token is inside the one workspace that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The workspace.
    pub tenant: TenantId,
    /// How far into it.
    pub environments: Environments,
    /// As what.
    pub role: Role,
}

impl Membership {
    /// Everything that the membership reaches.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> + use<> {
        let Self {
            tenant,
            environments,
            role: _,
        } = *self;
        Environment::ALL
            .into_iter()
            .filter(move |environment| match environments {
                Environments::All => true,
                Environments::One(one) => one == *environment,
            })
            .map(move |environment| Scope {
                tenant,
                environment,
            })
    }

    fn reaches(&self, scope: Option<Scope>) -> bool {
        scope.is_some_and(|scope| self.scopes().any(|own| own == scope))
    }
}

/// How many judgements are remembered.
const REMEMBERED_MAX: usize = 16_384;

/// The fixed roles as a [`Policy`]. Cheap to ask again: a judgement is
/// remembered, and holds until the membership that it was made from changes.
#[derive(Debug)]
pub struct Roles {
    cedar: Cedar,
    members: RwLock<Members>,
    remembered: Mutex<Remembered>,
}

/// Judgements, at most [`REMEMBERED_MAX`]: those that were asked for last. When the
/// newer half is full, it becomes the older one, which is let go.
#[derive(Debug, Default)]
struct Remembered {
    newer: HashMap<Key, Judgement>,
    older: HashMap<Key, Judgement>,
}

/// Every membership.
#[derive(Debug, Default)]
struct Members {
    generation: u64,
    all: HashMap<Principal, Member>,
}

/// A membership, and the generation that it came with: no other has the same.
#[derive(Clone, Copy, Debug)]
struct Member {
    membership: Membership,
    since: u64,
}

/// All that a judgement depends on; not on the resource's id, so that no
/// answer can tell whether something exists. It names the membership, so that a
/// judgement of one that is changed or gone is found by nobody: also one that was
/// being made then, and if the same comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    principal: Principal,
    /// The generation of its membership; `None` for who is no member.
    since: Option<u64>,
    operation: &'static str,
    kind: &'static str,
    scope: Option<Scope>,
}

impl Roles {
    /// The roles of this release, with no members yet.
    ///
    /// # Errors
    ///
    /// If the policies do not fit their schema.
    pub fn new() -> Result<Self, PolicyError> {
        Ok(Self {
            cedar: Cedar::load()?,
            members: RwLock::default(),
            remembered: Mutex::default(),
        })
    }

    /// Makes `principal` a member, in place of what it was.
    pub fn set_principal(&self, principal: Principal, membership: Membership) {
        let mut members = self.members.write();
        members.generation += 1;
        let since = members.generation;
        members.all.insert(principal, Member { membership, since });
    }

    /// Takes everything from `principal`.
    pub fn remove(&self, principal: Principal) {
        self.remove_all([principal]);
    }

    /// Takes everything from each of these, in one change.
    pub fn remove_all(&self, principals: impl IntoIterator<Item = Principal>) {
        let mut members = self.members.write();
        members.generation += 1;
        for principal in principals {
            members.all.remove(&principal);
        }
    }

    /// What `principal` is, if it is a member.
    pub fn membership(&self, principal: Principal) -> Option<Membership> {
        let members = self.members.read();
        members.all.get(&principal).map(|member| member.membership)
    }

    /// Grows with every change of a membership. A judgement holds as long as
    /// this number stays.
    pub fn generation(&self) -> u64 {
        self.members.read().generation
    }

    /// What is asked, and of which membership: that of this moment.
    fn key(&self, request: &PolicyRequest) -> (Key, Option<Membership>) {
        let member = self.members.read().all.get(&request.principal).copied();
        let key = Key {
            principal: request.principal,
            since: member.map(|member| member.since),
            operation: request.operation,
            kind: request.resource.kind,
            scope: request.resource.scope,
        };
        (key, member.map(|member| member.membership))
    }

    fn judge_afresh(&self, key: &Key, membership: Option<&Membership>) -> Judgement {
        let Some(operation) =
            operation::find(key.operation).filter(|known| known.resource == key.kind)
        else {
            let remedy = format!(
                "there is no operation {} on a {}; use another",
                key.operation, key.kind
            );
            return Judgement::Deny { remedy };
        };
        let question = Question {
            principal: key.principal,
            membership,
            operation: operation.name,
            kind: operation.resource,
            scope: key.scope,
        };
        match self.cedar.ask(&question) {
            Ok(Some(policy)) => Judgement::Allow { policy },
            Ok(None) => Judgement::Deny {
                remedy: remedy(operation, membership, key.scope),
            },
            Err(error) => Judgement::Deny {
                remedy: error.to_string(),
            },
        }
    }
}

impl Remembered {
    fn find(&mut self, key: &Key) -> Option<Judgement> {
        if let Some(judgement) = self.newer.get(key) {
            return Some(judgement.clone());
        }
        let judgement = self.older.remove(key)?;
        self.put(*key, judgement.clone());
        Some(judgement)
    }

    fn put(&mut self, key: Key, judgement: Judgement) {
        if self.newer.len() >= REMEMBERED_MAX / 2 {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, judgement);
    }
}

impl Policy for Roles {
    fn judge(&self, request: &PolicyRequest) -> Judgement {
        let (key, membership) = self.key(request);
        if let Some(judgement) = self.remembered.lock().find(&key) {
            return judgement;
        }
        let judgement = self.judge_afresh(&key, membership.as_ref());
        self.remembered.lock().put(key, judgement.clone());
        judgement
    }
}

fn remedy(
    operation: &OperationInfo,
    membership: Option<&Membership>,
    scope: Option<Scope>,
) -> String {
    let name = operation.name;
    if operation.roles.is_empty() {
        return format!("{name} is the platform administrator's; ask whoever runs this deployment");
    }
    match membership {
        None => "the token belongs to no workspace; ask a workspace admin for a new one".to_owned(),
        Some(member) if !member.reaches(scope) => format!(
            "no such {} within this token's reach; use a token of the workspace and environment that holds it",
            operation.resource
        ),
        Some(member) => {
            let able = operation
                .roles
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            format!(
                "role {} may not {name}; a role that may: {able}; ask a workspace admin",
                member.role
            )
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
