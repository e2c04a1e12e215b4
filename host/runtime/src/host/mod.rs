//! What guests can call, one file for each interface.
//!
//! Everything outward or inward becomes a message to the broker; what is
//! answered here is limited. Nothing here touches a file, a socket, the
//! environment or a thread.

mod cli;
mod clocks;
mod connection;
mod headers;
mod http;
mod io;
mod log;
mod random;
mod reply;
mod request;
mod scratch;
mod state;
mod upload;

use std::sync::Arc;

use keyway_model::limit::FIELD_BYTES_MAX;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::random::WasiRandomCtx;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::limiter::Limiter;
use crate::live::LiveCall;

use self::clocks::Coarse;
use self::http::Outgoing;

/// The data of one store: the host's side of one guest call.
pub(crate) struct Guest {
    pub(crate) call: Arc<LiveCall>,
    pub(crate) limiter: Limiter,
    table: ResourceTable,
    fields: WasiHttpCtx,
    outgoing: Outgoing,
    /// The connection's parameters, if the call is granted them.
    parameters: Option<Vec<(String, String)>>,
    /// Made when the guest first asks for random bytes.
    random: Option<Box<WasiRandomCtx>>,
    /// What it is shown of time.
    coarse: Coarse,
}

impl Guest {
    pub(crate) fn new(
        call: &Arc<LiveCall>,
        reserved_headers: Vec<String>,
        parameters: Option<Vec<(String, String)>>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(call.limits.handles_max as usize);
        let mut fields = WasiHttpCtx::new();
        fields.set_field_size_limit(FIELD_BYTES_MAX);
        Self {
            call: Arc::clone(call),
            limiter: Limiter::new(Arc::clone(call)),
            table,
            fields,
            outgoing: Outgoing::new(Arc::clone(call), reserved_headers),
            parameters,
            random: None,
            coarse: Coarse::default(),
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.fields,
            table: &mut self.table,
            hooks: &mut self.outgoing,
        }
    }
}
