//! `keyway:host/connection`: parameters that came with the call are answered
//! here, and counted; the rest is asked of the broker.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other answer is a defect of the broker"
)]

use keyway_ipc::{HostCall, HostReply};

use super::Guest;
use crate::bindings::connection;

impl connection::Host for Guest {
    async fn parameter(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        if let Some(known) = &self.parameters {
            self.call.count_parameter()?;
            let found = known.iter().find(|(known, _)| *known == name);
            return Ok(found.map(|(_, value)| value.clone()));
        }
        match self.call.ask(HostCall::Parameter).await? {
            HostReply::Parameter(value) => Ok(value),
            _ => Err(self.call.misanswered()),
        }
    }

    async fn scopes(&mut self) -> wasmtime::Result<Vec<String>> {
        match self.call.ask(HostCall::Scopes).await? {
            HostReply::Scopes(scopes) => Ok(scopes),
            _ => Err(self.call.misanswered()),
        }
    }
}
