//! The tests of the whole: one binary. Each starts what it needs, on loopback,
//! in a directory of its own, and ends it by its process id.
#![cfg(test)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod advisories;
mod attacks;
mod authoring;
mod bad_input;
mod bodies;
mod calls;
mod client;
mod code;
mod confinement;
mod contract;
mod control;
mod coverage;
mod credentials;
mod fairness;
mod fast_path;
mod fixtures;
mod harness;
mod hostile;
mod http;
mod jobs;
mod kill;
mod left_out;
mod limits;
mod listener;
mod network;
mod network_limits;
mod platform_log;
mod processes;
mod promises;
mod quarantine;
mod redirects;
mod reflections;
mod requirements;
mod routes;
mod scratch;
mod secrets;
mod tidy;
mod tls;
mod ways_out;
mod workers;
