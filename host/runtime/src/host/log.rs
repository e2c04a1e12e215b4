//! `keyway:host/log`: cut and counted here, masked by the broker.

use keyway_ipc::{HostCall, LogLevel};

use super::Guest;
use crate::bindings::log;
use crate::convert;
use crate::live::LiveCall;
use crate::log_book::Line;

impl log::Host for Guest {
    async fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        #[cfg(test)]
        crate::panics::provoke(&message);
        write(&self.call, convert::log_level(level), message).await
    }
}

async fn write(call: &LiveCall, level: LogLevel, message: String) -> wasmtime::Result<()> {
    send_printed(call).await?;
    let line = call.log.lock().line(level, message);
    match line {
        Some(line) => send(call, line).await,
        // Counted all the same, so that a flood of them ends.
        None => call.count().map(drop),
    }
}

/// Sends the whole lines that the guest has printed so far.
pub(super) async fn send_printed(call: &LiveCall) -> wasmtime::Result<()> {
    loop {
        let line = call.log.lock().take_unsent();
        match line {
            Some(line) => send(call, line).await?,
            None => return Ok(()),
        }
    }
}

async fn send(call: &LiveCall, line: Line) -> wasmtime::Result<()> {
    call.tell(HostCall::Log {
        level: line.level,
        message: line.message,
    })
    .await
}

/// Sends what a guest printed before it ended, however it ended.
pub(crate) async fn send_rest(call: &LiveCall) {
    call.log.lock().finish_all();
    loop {
        let line = call.log.lock().take_unsent();
        let Some(line) = line else { return };
        if call
            .tell_last(HostCall::Log {
                level: line.level,
                message: line.message,
            })
            .await
            .is_err()
        {
            return;
        }
    }
}
