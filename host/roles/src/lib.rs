//! Who may do what: the fixed roles, judged by Cedar.
//!
//! The policies are `policy/roles.cedar`, checked against
//! `policy/schema.cedarschema` when they are loaded. Everything that they do
//! not allow is denied, and so is everything whose judgement fails. This crate
//! does no I/O and keeps no clock: whether a token has expired is decided
//! where it is presented.

mod cedar;
mod operation;
mod roles;

pub use cedar::PolicyError;
pub use operation::{OPERATIONS, OperationInfo, table_markdown};
pub use roles::{Environments, Membership, Role, Roles};
