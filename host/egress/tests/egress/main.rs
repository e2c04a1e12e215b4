//! Egress against real sockets on loopback.
//!
//! Each test sends through a recorded entry, as the gate does: there is no
//! other way.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

mod address_table;
mod coding;
mod headers;
mod host_tricks;
mod http2;
mod limits;
mod misframing;
mod places;
mod pool;
mod quotas;
mod rebinding;
mod requests;
mod support;
mod tls;
mod tls_hello;
mod tls_own;
