//! `wasi:cli`, which Rust's and other standard libraries import: no arguments,
//! no environment, no input, no terminal; what is printed becomes log lines.

use std::sync::Arc;

use bytes::Bytes;
use keyway_ipc::Trap;
use keyway_model::limit::PRINT_BYTES_MAX;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr,
    terminal_stdin, terminal_stdout,
};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::Guest;
use crate::live::LiveCall;
use crate::log_book::Stdio;

impl environment::Host for Guest {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl exit::Host for Guest {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        self.exit_with_code(if status.is_ok() { 0 } else { 1 })
    }

    fn exit_with_code(&mut self, code: u8) -> wasmtime::Result<()> {
        Err(self.call.end(Trap::Guest(format!(
            "it ended itself with exit code {code}"
        ))))
    }
}

impl stdin::Host for Guest {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        let stream: DynInputStream = Box::new(NoInput);
        Ok(self.table.push(stream)?)
    }
}

impl stdout::Host for Guest {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.printer(Stdio::Output)
    }
}

impl stderr::Host for Guest {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.printer(Stdio::Error)
    }
}

impl Guest {
    fn printer(&mut self, stdio: Stdio) -> wasmtime::Result<Resource<DynOutputStream>> {
        let stream: DynOutputStream = Box::new(Printer {
            call: Arc::clone(&self.call),
            stdio,
        });
        Ok(self.table.push(stream)?)
    }
}

/// An input that has ended.
struct NoInput;

#[async_trait::async_trait]
impl Pollable for NoInput {
    async fn ready(&mut self) {}
}

impl InputStream for NoInput {
    fn read(&mut self, _size: usize) -> StreamResult<Bytes> {
        Err(StreamError::Closed)
    }
}

/// Makes log lines of what is printed. It is ready again when they are sent.
struct Printer {
    call: Arc<LiveCall>,
    stdio: Stdio,
}

#[async_trait::async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {
        // An error is the end of the call, which whoever waits here sees too.
        drop(self.call.tell_log().await);
    }
}

impl OutputStream for Printer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > PRINT_BYTES_MAX {
            return Err(StreamError::trap("printed more than `check-write` allows"));
        }
        self.call.log.lock().print(self.stdio, &bytes);
        // The log has limits of its own.
        self.call.ledger.release(bytes.len());
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.call.log.lock().is_full() {
            Ok(0)
        } else {
            Ok(PRINT_BYTES_MAX)
        }
    }
}

impl terminal_input::Host for Guest {}

impl terminal_input::HostTerminalInput for Guest {
    fn drop(&mut self, terminal: Resource<terminal_input::TerminalInput>) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_output::Host for Guest {}

impl terminal_output::HostTerminalOutput for Guest {
    fn drop(
        &mut self,
        terminal: Resource<terminal_output::TerminalOutput>,
    ) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_stdin::Host for Guest {
    fn get_terminal_stdin(
        &mut self,
    ) -> wasmtime::Result<Option<Resource<terminal_input::TerminalInput>>> {
        Ok(None)
    }
}

impl terminal_stdout::Host for Guest {
    fn get_terminal_stdout(
        &mut self,
    ) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}

impl terminal_stderr::Host for Guest {
    fn get_terminal_stderr(
        &mut self,
    ) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use keyway_ipc::{CallId, ToWorker, in_process};
    use keyway_model::limit::CallLimits;

    use super::*;
    use crate::memory::Memory;

    #[test]
    fn what_is_printed_at_once_has_an_end_and_one_byte_more_ends_the_guest() {
        let (ours, _theirs) = in_process::<_, ToWorker>();
        let memory = Arc::new(Memory::new(1 << 20)).share(0, 1 << 20);
        let live = LiveCall::new(CallId(1), CallLimits::default(), memory, ours.sender);
        let mut printer = Printer {
            call: Arc::new(live),
            stdio: Stdio::Output,
        };
        assert!(matches!(printer.check_write(), Ok(PRINT_BYTES_MAX)));
        let mut print = |bytes| printer.write(Bytes::from(vec![b'x'; bytes]));
        assert!(print(PRINT_BYTES_MAX).is_ok());
        let refused = print(PRINT_BYTES_MAX + 1);
        assert!(matches!(refused, Err(StreamError::Trap(_))));
    }
}
