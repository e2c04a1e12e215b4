//! `keyway:host/state`: asked of the broker, which decides, seals and stores.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other answer is a defect of the broker"
)]

use keyway_ipc::{HostCall, HostReply};

use super::Guest;
use crate::bindings::state::{self, Refusal};
use crate::convert;
use crate::live::LiveCall;

impl state::Host for Guest {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Refusal>> {
        match self.call.ask(HostCall::StateGet { key }).await? {
            HostReply::State(value) => Ok(value.map_err(convert::state_refusal)),
            _ => Err(self.call.misanswered()),
        }
    }

    async fn set(&mut self, key: String, value: String) -> wasmtime::Result<Result<(), Refusal>> {
        change(&self.call, HostCall::StateSet { key, value }).await
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Refusal>> {
        change(&self.call, HostCall::StateDelete { key }).await
    }
}

async fn change(call: &LiveCall, host_call: HostCall) -> wasmtime::Result<Result<(), Refusal>> {
    match call.ask(host_call).await? {
        HostReply::Stored(stored) => Ok(stored.map_err(convert::state_refusal)),
        _ => Err(call.misanswered()),
    }
}
