//! The bound of mediated HTTP: a connector in this process, on the worker's own
//! engine, with wasmtime's stock host functions and whatever client the caller
//! brings. No broker, no limits, no supervision, no record.
//!
//! Nothing of the product may use it: what a guest sends here is decided by
//! nobody.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use keyway_ipc::CallOutcome;
use wasmtime::Store;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::BenchError;
use crate::bindings::connector::ConnectorPre;
use crate::bindings::{connection, log, scratch, state};
use crate::engine::{PoolSize, Runner};
use crate::load::{self, LoadError};
use crate::sealed::seal;

/// A client that sends what a guest asks for, as it is.
#[async_trait]
pub trait BareSender: Send + Sync + fmt::Debug {
    /// One exchange; `None` if it failed.
    async fn send(&self, request: http::Request<Bytes>) -> Option<http::Response<Bytes>>;
}

/// A connector that is ready to be called.
pub struct Bare {
    runner: Runner,
    pre: ConnectorPre<Guest>,
    sender: Arc<dyn BareSender>,
}

impl fmt::Debug for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bare").finish_non_exhaustive()
    }
}

impl Bare {
    /// Compiles and links a component of the world `connector`.
    ///
    /// # Errors
    ///
    /// [`BenchError`], if it is none.
    pub fn new(component: &[u8], sender: Arc<dyn BareSender>) -> Result<Self, BenchError> {
        let code = crate::compile::compile(component)?.code;
        let runner = Runner::new(&PoolSize::default())?;
        runner.start_clock()?;
        let file = seal(&code).map_err(LoadError::from)?;
        let component = load::trust(&runner, file, code.len() as u64)?;
        let mut linker = Linker::<Guest>::new(&runner.engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(BenchError::Bare)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)
            .map_err(BenchError::Bare)?;
        connection::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)
            .and_then(|()| log::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest))
            .and_then(|()| state::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest))
            .and_then(|()| scratch::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest))
            .map_err(BenchError::Bare)?;
        let pre = linker
            .instantiate_pre(&component)
            .and_then(ConnectorPre::new)
            .map_err(BenchError::Bare)?;
        Ok(Self {
            runner,
            pre,
            sender,
        })
    }

    /// Runs one action in a fresh instance.
    ///
    /// # Errors
    ///
    /// [`BenchError`], if the guest traps or fails.
    pub async fn invoke(&self, action: &str, input: &str) -> Result<String, BenchError> {
        let guest = Guest::new(Arc::clone(&self.sender));
        let mut store = Store::new(&self.runner.engine, guest);
        // Far more ticks than the call takes.
        store.set_epoch_deadline(1 << 40);
        let guest = self
            .pre
            .instantiate_async(&mut store)
            .await
            .map_err(BenchError::Bare)?;
        let answer = guest
            .keyway_guest_actions()
            .call_invoke(&mut store, action, input)
            .await
            .map_err(BenchError::Bare)?;
        answer
            .map_err(|failure| BenchError::Outcome(CallOutcome::LogicError(format!("{failure:?}"))))
    }
}

struct Guest {
    table: ResourceTable,
    wasi: WasiCtx,
    fields: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks(Arc<dyn BareSender>);

impl Guest {
    fn new(sender: Arc<dyn BareSender>) -> Self {
        Self {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            fields: WasiHttpCtx::new(),
            hooks: Hooks(sender),
        }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.fields,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

// Keyway's own interfaces have nothing behind them: the bound is about HTTP.

fn nothing<T>() -> wasmtime::Result<T> {
    Err(wasmtime::Error::msg("the bound has no such function"))
}

impl connection::Host for Guest {
    async fn parameter(&mut self, _: String) -> wasmtime::Result<Option<String>> {
        nothing()
    }

    async fn scopes(&mut self) -> wasmtime::Result<Vec<String>> {
        nothing()
    }
}

impl log::Host for Guest {
    async fn write(&mut self, _: log::Level, _: String) -> wasmtime::Result<()> {
        nothing()
    }
}

impl state::Host for Guest {
    async fn get(&mut self, _: String) -> wasmtime::Result<Result<Option<String>, state::Refusal>> {
        nothing()
    }

    async fn set(&mut self, _: String, _: String) -> wasmtime::Result<Result<(), state::Refusal>> {
        nothing()
    }

    async fn delete(&mut self, _: String) -> wasmtime::Result<Result<(), state::Refusal>> {
        nothing()
    }
}

impl scratch::Host for Guest {
    async fn open(&mut self, _: String) -> wasmtime::Result<Result<u64, scratch::Refusal>> {
        nothing()
    }

    async fn read(
        &mut self,
        _: String,
        _: u64,
        _: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, scratch::Refusal>> {
        nothing()
    }

    async fn write(
        &mut self,
        _: String,
        _: u64,
        _: Vec<u8>,
    ) -> wasmtime::Result<Result<(), scratch::Refusal>> {
        nothing()
    }

    async fn list(&mut self) -> wasmtime::Result<Result<Vec<scratch::Entry>, scratch::Refusal>> {
        nothing()
    }

    async fn remove(&mut self, _: String) -> wasmtime::Result<Result<(), scratch::Refusal>> {
        nothing()
    }
}

type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Driver), Error>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Driver,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        Box::new(send(Arc::clone(&self.0), request))
    }
}

async fn send(sender: Arc<dyn BareSender>, request: http::Request<WasiBody>) -> Answer {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let reply = sender.send(http::Request::from_parts(head, body)).await;
    let reply = reply.ok_or(Error::ConnectionTerminated)?;
    let reply = reply.map(|bytes| {
        Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync()
    });
    Ok((reply, Box::new(std::future::ready(Ok(())))))
}
