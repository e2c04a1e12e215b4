//! The words of Keyway: ids, places on the network, manifests, recipes, limits.
//!
//! Parses text into types, once, at the edge; everything further in takes the
//! types. Never does I/O and never waits. The layers above depend on it; it
//! depends on nothing of ours.

pub mod call;
pub mod credential;
pub mod id;
pub mod job;
pub mod json;
pub mod limit;
pub mod manifest;
pub mod name;
pub mod net;
pub mod plain;
pub mod random;
pub mod recipe;
pub mod scratch;
pub mod time;

pub use call::{EffectClass, Failure};
pub use credential::CredentialSlot;
pub use id::{
    AlarmId, ApprovalId, ConnectionId, DeploymentId, Digest, EntryId, InvocationId, JobId,
    RecipeId, Scope, TenantId, TokenId,
};
pub use job::JobState;
pub use json::Json;
pub use name::{Environment, Name, NameError};
pub use scratch::{ScratchName, ScratchNameError};
pub use time::{Clock, Timestamp};
