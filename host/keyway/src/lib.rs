//! Keyway, put together: configuration, API, command line, workers.
//!
//! [`wire`] is the one place where the parts meet; [`serve`] runs them;
//! [`deployment`] holds every verb. A reader starts in [`serve::start`].

pub mod api;
mod artifacts;
mod bench;
pub mod cli;
pub mod config;
mod confined;
mod connections;
mod demo;
pub mod deployment;
mod local;
mod refusals;
pub mod routes;
mod scaffold;
pub mod serve;
mod strangers;
mod webhook;
pub mod wire;
mod worker;
mod workers;
