//! Promise P3 by construction: every import that a guest can be linked with, and
//! every route of every listener, has a case that is allowed, one that is denied, a
//! limit and an audit record. What is new fails here until it has them.

mod imports;
mod place;
pub(crate) mod routes;
