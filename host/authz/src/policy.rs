//! The control path's decision: a policy judges, and a permit comes of it.
//!
//! The policy itself is the `keyway-roles` crate; this crate only knows the
//! question and the answer.

use std::fmt;

use keyway_model::{RecipeId, Scope, TokenId};
use serde::{Deserialize, Serialize};

use crate::denial::{Denial, DenialReason};
use crate::operation::ControlCall;
use crate::permit::Permit;
use crate::record::{Actor, Target};

/// Whoever acts, authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Principal {
    /// Whoever may open the deployment's own socket: the platform
    /// administrator, known by the user id of the process.
    Platform(u32),
    /// An API client, known by its token.
    Token(TokenId),
    /// Whoever knows the path of a recipe's webhook. It may send events and
    /// nothing else: no policy names it.
    Webhook(RecipeId),
    /// Whoever calls without a token that is valid, over the API, or knows no
    /// path of a webhook. What it is refused is counted; no policy names it.
    Nobody,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform(uid) => write!(f, "platform:{uid}"),
            Self::Token(id) => write!(f, "{id}"),
            Self::Webhook(recipe) => write!(f, "webhook:{recipe}"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

/// What a call works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The kind: `workspace`, `token`, `connector`, `connection`, `recipe`,
    /// `job`, `audit`, `approval`, `alarm`, `deployment`.
    pub kind: &'static str,
    /// Its id, digest or name, if one exists yet.
    pub id: Option<String>,
    /// Whose it is; `None` for what belongs to the platform.
    pub scope: Option<Scope>,
}

/// The question: may `principal` do `operation` on `resource`?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRequest {
    /// Who asks.
    pub principal: Principal,
    /// What for, for example `recipe:update`.
    pub operation: &'static str,
    /// On what.
    pub resource: Resource,
}

/// A policy's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Judgement {
    /// Yes, by this policy.
    Allow {
        /// The policy's name.
        policy: String,
    },
    /// No.
    Deny {
        /// What would allow it, in words for an administrator.
        remedy: String,
    },
}

/// Something that answers [`PolicyRequest`]s.
pub trait Policy: Send + Sync + fmt::Debug {
    /// Answers. An error inside is a denial.
    fn judge(&self, request: &PolicyRequest) -> Judgement;
}

/// Decides one call of the control path.
///
/// # Errors
///
/// A [`Denial`], which must be recorded too.
pub fn decide_control(
    policy: &dyn Policy,
    request: PolicyRequest,
) -> Result<Permit<ControlCall>, Denial> {
    let actor = Actor::directly(request.principal);
    match policy.judge(&request) {
        Judgement::Allow { policy } => Ok(Permit::mint(ControlCall { request }, actor, policy)),
        Judgement::Deny { remedy } => Err(Denial::new(
            actor,
            request.operation.to_owned(),
            Target::Resource {
                kind: request.resource.kind.to_owned(),
                id: request.resource.id,
            },
            DenialReason::Role,
            remedy,
        )),
    }
}
