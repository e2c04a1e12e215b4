//! `keyway:host/scratch`: asked of the broker, which has the files; a worker may
//! open none.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other answer is a defect of the broker"
)]

use keyway_ipc::{HostCall, HostReply, ScratchCall};

use super::Guest;
use crate::bindings::scratch::{self, Entry, Refusal};
use crate::convert;
use crate::live::LiveCall;

impl scratch::Host for Guest {
    async fn open(&mut self, name: String) -> wasmtime::Result<Result<u64, Refusal>> {
        change(&self.call, ScratchCall::Open { name }).await
    }

    async fn read(
        &mut self,
        name: String,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Refusal>> {
        let call = ScratchCall::Read {
            name,
            offset,
            length,
        };
        if let Some(refusal) = call.refusal() {
            self.call.count()?;
            return Ok(Err(convert::scratch_refusal(refusal)));
        }
        match self.call.ask(HostCall::Scratch(call)).await? {
            HostReply::ScratchBytes(read) => {
                Ok(read.map(Vec::from).map_err(convert::scratch_refusal))
            }
            _ => Err(self.call.misanswered()),
        }
    }

    async fn write(
        &mut self,
        name: String,
        offset: u64,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Refusal>> {
        let call = ScratchCall::Write {
            name,
            offset,
            bytes: bytes.into(),
        };
        Ok(change(&self.call, call).await?.map(drop))
    }

    async fn list(&mut self) -> wasmtime::Result<Result<Vec<Entry>, Refusal>> {
        let files = match self.call.ask(HostCall::Scratch(ScratchCall::List)).await? {
            HostReply::ScratchFiles(files) => files,
            _ => return Err(self.call.misanswered()),
        };
        let entry = |(name, bytes)| Entry { name, bytes };
        Ok(files
            .map(|files| files.into_iter().map(entry).collect())
            .map_err(convert::scratch_refusal))
    }

    async fn remove(&mut self, name: String) -> wasmtime::Result<Result<(), Refusal>> {
        Ok(change(&self.call, ScratchCall::Remove { name })
            .await?
            .map(drop))
    }
}

async fn change(call: &LiveCall, change: ScratchCall) -> wasmtime::Result<Result<u64, Refusal>> {
    if let Some(refusal) = change.refusal() {
        call.count()?;
        return Ok(Err(convert::scratch_refusal(refusal)));
    }
    match call.ask(HostCall::Scratch(change)).await? {
        HostReply::Scratch(changed) => Ok(changed.map_err(convert::scratch_refusal)),
        _ => Err(call.misanswered()),
    }
}
