//! How much one caller may ask of the API: so many calls a second, and so many
//! under way at once. Nobody waits: whoever is over is refused and told why.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use keyway_authz::Principal;
use keyway_model::limit::API_CALLERS_KEPT_MAX;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::ApiConfig;

/// A refusal of one operation is recorded once in so long, or a flood of calls
/// would be one of records.
const RECORD_EVERY: Duration = Duration::from_secs(1);

/// What every caller passes.
#[derive(Debug)]
pub(super) struct Turnstile {
    config: ApiConfig,
    callers: Mutex<HashMap<Principal, Arc<Meter>>>,
}

#[derive(Debug)]
struct Meter {
    tokens: DefaultDirectRateLimiter,
    room: Arc<Semaphore>,
    recorded: Mutex<HashMap<&'static str, Instant>>,
}

/// One call that may go on; it is under way until this is dropped.
#[derive(Debug)]
#[must_use = "the call counts as under way until this is dropped"]
pub(super) struct Pass(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// What a caller has exceeded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("you exceed `{name}` ({max}): wait a second and try again")]
pub(super) struct Over {
    name: &'static str,
    max: u32,
    pub(super) record: Recording,
}

/// Whether a refusal is news to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recording {
    Due,
    /// The same was recorded just now.
    Done,
}

impl Turnstile {
    pub(super) fn of(config: ApiConfig) -> Self {
        Self {
            config,
            callers: Mutex::default(),
        }
    }

    /// Lets a caller's next call go on.
    pub(super) fn enter(
        &self,
        principal: Principal,
        operation: &'static str,
    ) -> Result<Pass, Over> {
        let meter = self.meter(principal);
        let over = |name, max| {
            let record = meter.recording(operation);
            Over { name, max, record }
        };
        let ApiConfig {
            calls_per_second_max,
            calls_at_once_max,
        } = self.config;
        if meter.tokens.check().is_err() {
            return Err(over("api_calls_per_second_max", calls_per_second_max.get()));
        }
        Arc::clone(&meter.room)
            .try_acquire_owned()
            .map(Pass)
            .map_err(|_| over("api_calls_at_once_max", calls_at_once_max.get()))
    }

    /// A caller's meter. Those of callers with nothing under way are forgotten
    /// when there are many.
    fn meter(&self, principal: Principal) -> Arc<Meter> {
        let mut callers = self.callers.lock();
        if callers.len() >= API_CALLERS_KEPT_MAX && !callers.contains_key(&principal) {
            let room = self.config.calls_at_once_max.get() as usize;
            callers.retain(|_, meter| meter.room.available_permits() < room);
        }
        let meter = callers
            .entry(principal)
            .or_insert_with(|| Arc::new(Meter::new(self.config)));
        Arc::clone(meter)
    }
}

impl Meter {
    fn new(config: ApiConfig) -> Self {
        Self {
            tokens: RateLimiter::direct(Quota::per_second(config.calls_per_second_max)),
            room: Arc::new(Semaphore::new(config.calls_at_once_max.get() as usize)),
            recorded: Mutex::default(),
        }
    }

    fn recording(&self, operation: &'static str) -> Recording {
        let (mut recorded, now) = (self.recorded.lock(), Instant::now());
        match recorded.get(operation) {
            Some(at) if now.duration_since(*at) < RECORD_EVERY => Recording::Done,
            _ => {
                recorded.insert(operation, now);
                Recording::Due
            }
        }
    }
}
