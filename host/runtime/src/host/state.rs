//! `keyway:host/state`: asked of the broker, which decides, seals and stores.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other answer is a defect of the broker"
)]

use keyway_ipc::{HostCall, HostReply, StateRefusal};

use super::Guest;
use crate::bindings::state::{self, Refusal};
use crate::convert;
use crate::live::LiveCall;

impl state::Host for Guest {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Refusal>> {
        if let Err(refusal) = within(&self.call, &key, None)? {
            return Ok(Err(refusal));
        }
        match self.call.ask(HostCall::StateGet { key }).await? {
            HostReply::State(value) => Ok(value.map_err(convert::state_refusal)),
            _ => Err(self.call.misanswered()),
        }
    }

    async fn set(&mut self, key: String, value: String) -> wasmtime::Result<Result<(), Refusal>> {
        if let Err(refusal) = within(&self.call, &key, Some(&value))? {
            return Ok(Err(refusal));
        }
        change(&self.call, HostCall::StateSet { key, value }).await
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Refusal>> {
        if let Err(refusal) = within(&self.call, &key, None)? {
            return Ok(Err(refusal));
        }
        change(&self.call, HostCall::StateDelete { key }).await
    }
}

/// What is over a limit does not leave this process, and counts as a host call all
/// the same.
fn within(
    call: &LiveCall,
    key: &str,
    value: Option<&str>,
) -> wasmtime::Result<Result<(), Refusal>> {
    match StateRefusal::unless_within(&call.limits, key, value) {
        Ok(()) => Ok(Ok(())),
        Err(refusal) => {
            call.count()?;
            Ok(Err(convert::state_refusal(refusal)))
        }
    }
}

async fn change(call: &LiveCall, host_call: HostCall) -> wasmtime::Result<Result<(), Refusal>> {
    match call.ask(host_call).await? {
        HostReply::Stored(stored) => Ok(stored.map_err(convert::state_refusal)),
        _ => Err(call.misanswered()),
    }
}
