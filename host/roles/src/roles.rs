//! Memberships of principals, and the policy that judges by them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use keyway_authz::{Judgement, Policy, PolicyRequest, Principal};
use keyway_model::{Environment, Scope, TenantId};
use parking_lot::RwLock;

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

/// How many judgements are remembered until the next change of a membership.
const REMEMBERED_MAX: usize = 16_384;

/// The fixed roles as a [`Policy`]. Cheap to ask again: a judgement is
/// remembered until any membership changes.
#[derive(Debug)]
pub struct Roles {
    cedar: Cedar,
    now: RwLock<Arc<Snapshot>>,
}

/// Memberships at one moment, with what was judged by them. A change makes a
/// new snapshot, so that a remembered judgement cannot outlive its reason.
#[derive(Debug, Default)]
struct Snapshot {
    generation: u64,
    members: HashMap<Principal, Membership>,
    remembered: RwLock<HashMap<Key, Judgement>>,
}

/// All that a judgement depends on; not on the resource's id, so that no
/// answer can tell whether something exists.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    principal: Principal,
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
            now: RwLock::default(),
        })
    }

    /// Makes `principal` a member, in place of what it was.
    pub fn set_principal(&self, principal: Principal, membership: Membership) {
        self.change(|members| members.insert(principal, membership));
    }

    /// Takes everything from `principal`.
    pub fn remove(&self, principal: Principal) {
        self.change(|members| members.remove(&principal));
    }

    /// What `principal` is, if it is a member.
    pub fn membership(&self, principal: Principal) -> Option<Membership> {
        self.now.read().members.get(&principal).copied()
    }

    /// Grows with every change of a membership. A judgement holds as long as
    /// this number stays.
    pub fn generation(&self) -> u64 {
        self.now.read().generation
    }

    fn change(
        &self,
        change: impl FnOnce(&mut HashMap<Principal, Membership>) -> Option<Membership>,
    ) {
        let mut now = self.now.write();
        let mut members = now.members.clone();
        change(&mut members);
        let generation = now.generation + 1;
        *now = Arc::new(Snapshot {
            generation,
            members,
            remembered: RwLock::default(),
        });
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

impl Policy for Roles {
    fn judge(&self, request: &PolicyRequest) -> Judgement {
        let snapshot = Arc::clone(&self.now.read());
        let key = Key {
            principal: request.principal,
            operation: request.operation,
            kind: request.resource.kind,
            scope: request.resource.scope,
        };
        if let Some(judgement) = snapshot.remembered.read().get(&key) {
            return judgement.clone();
        }
        let judgement = self.judge_afresh(&key, snapshot.members.get(&key.principal));
        let mut remembered = snapshot.remembered.write();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(key, judgement.clone());
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
