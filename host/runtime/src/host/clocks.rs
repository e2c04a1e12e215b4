//! `wasi:clocks`: time in whole milliseconds, too coarse to measure caches by, each of
//! which comes at a moment that nobody can foretell: who counts between two of them
//! learns no more.

use std::hash::{BuildHasher as _, RandomState};
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
        let micros = u64::try_from(Clock::System.now().micros()).unwrap_or(0);
        let millis = self.coarse.millis(Duration::from_micros(micros));
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

/// Makes time coarse, for one guest.
#[derive(Debug, Default)]
pub(crate) struct Coarse(RandomState);

impl Coarse {
    /// Whole milliseconds. Each of them comes early, by less than one, at a moment of its
    /// own: with steps that are as regular as time, a guest that counts how far it gets
    /// to the next one would measure much less than a step.
    fn millis(&self, time: Duration) -> u64 {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let past_ns = u64::from(time.subsec_nanos()) % MILLISECOND_NS;
        let early = past_ns >= self.0.hash_one(millis) % MILLISECOND_NS;
        millis.saturating_add(u64::from(early))
    }
}

impl Guest {
    /// Nanoseconds since the call began, in whole milliseconds.
    fn monotonic_ns(&self) -> u64 {
        let millis = self.coarse.millis(self.call.meter.wall());
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
        // Until it is so late, not until it is shown, which may be earlier.
        let now_ns = u64::try_from(self.call.meter.wall().as_nanos()).unwrap_or(u64::MAX);
        let wait_ns = when.saturating_sub(now_ns);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Coarse;

    /// When a clock steps, in microseconds, over so many milliseconds; it does so once
    /// for each, by one, and shows less than a millisecond too much.
    fn steps(clock: &Coarse, millis: u64) -> Vec<u64> {
        let mut last = 0;
        let mut steps = Vec::new();
        for micros in 0..millis * 1_000 {
            let shown = clock.millis(Duration::from_micros(micros));
            assert!(shown == micros / 1_000 || shown == micros / 1_000 + 1);
            assert!(shown == last || shown == last + 1, "{last} {shown}");
            if shown > last {
                steps.push(micros);
            }
            last = shown;
        }
        assert!(steps.len() as u64 >= millis - 1, "{}", steps.len());
        steps
    }

    #[test]
    fn a_clock_steps_by_a_millisecond_at_moments_that_tell_nothing() {
        let (clock, other) = (Coarse::default(), Coarse::default());
        let own = steps(&clock, 400);
        assert_eq!(own, steps(&clock, 400), "time does not go back");
        // Where in its millisecond a step is, is spread over all of it.
        for tenth in 0..10 {
            let is_there = |at: &&u64| **at % 1_000 / 100 == tenth;
            let there = own.iter().filter(is_there).count();
            assert!((8..120).contains(&there), "{there} in tenth {tenth}");
        }
        // And those of one guest do not tell those of another.
        let same = own
            .iter()
            .zip(steps(&other, 400))
            .filter(|(a, b)| **a == *b);
        assert!(same.count() < 40);
    }
}
