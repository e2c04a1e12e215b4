//! `wasi:random`: real random bytes, a bounded number of them at once.

use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::random::WasiRandomCtx;

use super::Guest;
use crate::live::over;

impl Guest {
    /// The source, if `length` is allowed.
    fn random(&mut self, length: u64) -> wasmtime::Result<&mut WasiRandomCtx> {
        let bytes_max = u64::from(self.call.limits.random_bytes_max);
        if length > bytes_max {
            return Err(self.call.end(over("random_bytes_max", bytes_max)));
        }
        Ok(self.random.get_or_insert_default())
    }
}

impl random::Host for Guest {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        random::Host::get_random_bytes(self.random(length)?, length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        random::Host::get_random_u64(self.random(0)?)
    }
}

impl insecure::Host for Guest {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        insecure::Host::get_insecure_random_bytes(self.random(length)?, length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        insecure::Host::get_insecure_random_u64(self.random(0)?)
    }
}

impl insecure_seed::Host for Guest {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        insecure_seed::Host::insecure_seed(self.random(0)?)
    }
}
