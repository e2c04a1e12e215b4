//! `wasi:clocks`: time in whole milliseconds, too coarse to measure caches by.

use std::time::Duration;

use keyway_model::Clock;
use tokio::time::Instant;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::Guest;

const MILLISECOND_NS: u64 = 1_000_000;

impl wall_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let millis = u64::try_from(Clock::System.now().micros() / 1_000).unwrap_or(0);
        let nanoseconds = u32::try_from(millis % 1_000 * MILLISECOND_NS).unwrap_or(0);
        Ok(wall_clock::Datetime {
            seconds: millis / 1_000,
            nanoseconds,
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime {
            seconds: 0,
            nanoseconds: 1_000_000,
        })
    }
}

impl Guest {
    /// Nanoseconds since the call began, in whole milliseconds.
    fn monotonic_ns(&self) -> u64 {
        let millis = u64::try_from(self.call.meter.wall().as_millis()).unwrap_or(u64::MAX);
        millis.saturating_mul(MILLISECOND_NS)
    }

    fn subscribe_after(&mut self, wait_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let alarm = match wait_ns {
            0 => Alarm::Now,
            _ => Alarm::At(Instant::now().checked_add(Duration::from_nanos(wait_ns))),
        };
        let alarm = self.table.push(alarm)?;
        subscribe(&mut self.table, alarm)
    }
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.monotonic_ns())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(MILLISECOND_NS)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let wait_ns = when.saturating_sub(self.monotonic_ns());
        self.subscribe_after(wait_ns)
    }

    fn subscribe_duration(&mut self, wait_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_after(wait_ns)
    }
}

/// Something to wait for that comes with time.
enum Alarm {
    /// Lets others go on first, so that a guest that asks again and again
    /// does not starve them.
    Now,
    /// `None` is later than can be said.
    At(Option<Instant>),
}

#[async_trait::async_trait]
impl Pollable for Alarm {
    async fn ready(&mut self) {
        match self {
            Self::Now => tokio::task::yield_now().await,
            Self::At(Some(at)) => tokio::time::sleep_until(*at).await,
            Self::At(None) => std::future::pending().await,
        }
    }
}
