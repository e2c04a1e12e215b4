//! `keyway:host/log`: cut and counted here, masked by the broker.

use keyway_ipc::LogLevel;

use super::Guest;
use crate::bindings::log;
use crate::convert;
use crate::live::LiveCall;

impl log::Host for Guest {
    async fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        #[cfg(test)]
        crate::panics::provoke(&message);
        write(&self.call, convert::log_level(level), message).await
    }
}

async fn write(call: &LiveCall, level: LogLevel, message: String) -> wasmtime::Result<()> {
    // What is dropped counts, too, so that a flood of it ends.
    call.count()?;
    let is_full = {
        let mut log = call.log.lock();
        log.write(level, message);
        log.is_full()
    };
    if is_full {
        call.tell_log().await?;
    }
    Ok(())
}
