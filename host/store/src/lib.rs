//! Everything durable of one deployment, and the only SQL.
//!
//! [`Store::open`] takes a data directory. [`TenantStore`] is the view of one
//! tenant in one environment; it makes [`Change`]s, sealed already, and reads
//! what is that tenant's. A [`Unit`] gathers changes and audit records and
//! writes them as one atomic group; one writer commits all groups that wait at
//! once. [`AuditLog`] lists, signs and exports one tenant's log.
//!
//! Never holds content in clear: not in a column that is not listed in
//! `clear.rs`, and not in a cache. Never says that something is written before
//! it is durable.

mod audit;
mod cache;
mod change;
mod clear;
mod directory;
mod error;
mod heads;
mod home;
mod keys;
mod open;
mod record;
mod row;
mod scratch;
mod store;
mod tenant;
mod unit;
mod writer;

pub use audit::{AuditFilter, AuditLog, AuditRecord, Export};
pub use change::Change;
pub use directory::{Directory, Token, Workspace};
pub use error::StoreError;
pub use home::HomeError;
pub use open::{OpenError, StoreOptions};
pub use scratch::{Scratch, ScratchError};
pub use store::{PLATFORM, Store, UnfinishedJob};
pub use tenant::{JobOf, Kind, NewResource, RowId, StoredJob, StoredResource, TenantStore};
pub use unit::{Pending, Unit};
pub use writer::SetupError;

#[cfg(test)]
mod tests;
