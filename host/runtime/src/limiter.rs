//! Memory and tables of one call: counted, limited, and ended by name.

use std::sync::Arc;

use keyway_model::limit::{CORE_INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};
use wasmtime::ResourceLimiter;

use crate::live::{LiveCall, over};

pub(crate) struct Limiter {
    call: Arc<LiveCall>,
    memory_bytes: u64,
    table_elements: u64,
}

impl Limiter {
    pub(crate) const fn new(call: Arc<LiveCall>) -> Self {
        Self {
            call,
            memory_bytes: 0,
            table_elements: 0,
        }
    }

    /// All linear memory. It never shrinks, so this is also the most there was.
    pub(crate) const fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.call.memory.give_back(self.memory_bytes);
    }
}

/// The sum after something grew from `current` to `desired`.
fn grown(sum: u64, current: usize, desired: usize) -> u64 {
    let by = desired.saturating_sub(current);
    sum.saturating_add(u64::try_from(by).unwrap_or(u64::MAX))
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.call.limits.memory_bytes_max;
        let sum = grown(self.memory_bytes, current, desired);
        if sum > limit {
            return Err(self.call.end(over("memory_bytes_max", limit)));
        }
        if let Err(full) = self.call.memory.take(sum - self.memory_bytes) {
            return Err(self.call.end(over(full.name, full.bytes_max)));
        }
        self.memory_bytes = sum;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(self
            .call
            .end(over("memory_bytes_max", self.call.limits.memory_bytes_max)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.call.limits.table_elements_max.into();
        let sum = grown(self.table_elements, current, desired);
        if sum > limit {
            return Err(self.call.end(over("table_elements_max", limit)));
        }
        self.table_elements = sum;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        let limit = self.call.limits.table_elements_max.into();
        Err(self.call.end(over("table_elements_max", limit)))
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }
}
