//! A small order system, as Keyway's demo, tests and benches meet it: an *independent* upstream.
//!
//! It exists so that claims about effects can be counted on the far side of the wire, by a process that shares nothing
//! with Keyway. It serves TLS with a certificate authority made at start (HTTP/1.1 and HTTP/2 by ALPN) or, for benches,
//! clear HTTP/1.1; it wants a bearer credential; it counts every effect by its idempotency key; and it can be told to
//! misbehave. It listens on 127.0.0.1 only and must never be used as a model for a service that faces a network.

mod answer;
mod book;
mod control;
mod encode;
mod line;
mod listen;
mod mode;
mod options;
mod orders;
mod reflect;
mod reply;
mod tls;

pub use listen::{Running, serve, start};
pub use options::Options;
