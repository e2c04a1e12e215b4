//! `wasi:io`: wasmtime's implementation, with every wait cut short when the
//! call is ended.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::io::{error, poll, streams};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, IoError, StreamError, StreamResult,
};

use super::Guest;

impl error::Host for Guest {}

impl error::HostError for Guest {
    fn drop(&mut self, error: Resource<IoError>) -> wasmtime::Result<()> {
        error::HostError::drop(&mut self.table, error)
    }

    fn to_debug_string(&mut self, error: Resource<IoError>) -> wasmtime::Result<String> {
        error::HostError::to_debug_string(&mut self.table, error)
    }
}

impl poll::Host for Guest {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.call
            .wait(poll::Host::poll(&mut self.table, pollables))
            .await?
    }
}

impl poll::HostPollable for Guest {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.call
            .wait(poll::HostPollable::block(&mut self.table, pollable))
            .await?
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.call
            .wait(poll::HostPollable::ready(&mut self.table, pollable))
            .await?
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(&mut self.table, pollable)
    }
}

impl streams::Host for Guest {
    fn convert_stream_error(
        &mut self,
        error: StreamError,
    ) -> wasmtime::Result<streams::StreamError> {
        streams::Host::convert_stream_error(&mut self.table, error)
    }
}

impl Guest {
    /// Counts what a stream is about to keep.
    fn keep(&self, bytes: u64) -> StreamResult<()> {
        let kept = self.call.ledger.keep(bytes);
        kept.map_err(|trap| StreamError::Trap(self.call.end(trap)))
    }
}

type Input = Resource<DynInputStream>;
type Output = Resource<DynOutputStream>;

/// A stream operation that waits, on the table of `$guest`.
macro_rules! wait {
    ($guest:ident.$interface:ident::$operation:ident($($argument:ident),*)) => {{
        let operation = streams::$interface::$operation(&mut $guest.table, $($argument),*);
        $guest.call.wait(operation).await.map_err(StreamError::Trap)?
    }};
}

impl streams::HostInputStream for Guest {
    async fn drop(&mut self, stream: Input) -> wasmtime::Result<()> {
        self.call
            .wait(streams::HostInputStream::drop(&mut self.table, stream))
            .await?
    }

    fn read(&mut self, stream: Input, length: u64) -> StreamResult<Vec<u8>> {
        streams::HostInputStream::read(&mut self.table, stream, length)
    }

    async fn blocking_read(&mut self, stream: Input, length: u64) -> StreamResult<Vec<u8>> {
        wait!(self.HostInputStream::blocking_read(stream, length))
    }

    fn skip(&mut self, stream: Input, length: u64) -> StreamResult<u64> {
        streams::HostInputStream::skip(&mut self.table, stream, length)
    }

    async fn blocking_skip(&mut self, stream: Input, length: u64) -> StreamResult<u64> {
        wait!(self.HostInputStream::blocking_skip(stream, length))
    }

    fn subscribe(&mut self, stream: Input) -> wasmtime::Result<Resource<DynPollable>> {
        streams::HostInputStream::subscribe(&mut self.table, stream)
    }
}

impl streams::HostOutputStream for Guest {
    async fn drop(&mut self, stream: Output) -> wasmtime::Result<()> {
        self.call
            .wait(streams::HostOutputStream::drop(&mut self.table, stream))
            .await?
    }

    fn check_write(&mut self, stream: Output) -> StreamResult<u64> {
        streams::HostOutputStream::check_write(&mut self.table, stream)
    }

    fn write(&mut self, stream: Output, bytes: Vec<u8>) -> StreamResult<()> {
        self.keep(bytes.len() as u64)?;
        streams::HostOutputStream::write(&mut self.table, stream, bytes)
    }

    fn subscribe(&mut self, stream: Output) -> wasmtime::Result<Resource<DynPollable>> {
        streams::HostOutputStream::subscribe(&mut self.table, stream)
    }

    async fn blocking_write_and_flush(
        &mut self,
        stream: Output,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        self.keep(bytes.len() as u64)?;
        wait!(self.HostOutputStream::blocking_write_and_flush(stream, bytes))
    }

    async fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Output,
        length: u64,
    ) -> StreamResult<()> {
        self.keep(length)?;
        wait!(self.HostOutputStream::blocking_write_zeroes_and_flush(stream, length))
    }

    fn write_zeroes(&mut self, stream: Output, length: u64) -> StreamResult<()> {
        self.keep(length)?;
        streams::HostOutputStream::write_zeroes(&mut self.table, stream, length)
    }

    fn flush(&mut self, stream: Output) -> StreamResult<()> {
        streams::HostOutputStream::flush(&mut self.table, stream)
    }

    async fn blocking_flush(&mut self, stream: Output) -> StreamResult<()> {
        wait!(self.HostOutputStream::blocking_flush(stream))
    }

    fn splice(&mut self, target: Output, source: Input, length: u64) -> StreamResult<u64> {
        let moved = streams::HostOutputStream::splice(&mut self.table, target, source, length)?;
        self.keep(moved)?;
        Ok(moved)
    }

    async fn blocking_splice(
        &mut self,
        target: Output,
        source: Input,
        length: u64,
    ) -> StreamResult<u64> {
        let moved = wait!(self.HostOutputStream::blocking_splice(target, source, length))?;
        self.keep(moved)?;
        Ok(moved)
    }
}
