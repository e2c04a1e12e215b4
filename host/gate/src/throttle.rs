//! How much one connector of one environment may ask for: token buckets on its
//! host calls, and how many of them are under way.
//!
//! Whoever is over a quota waits, in the order of asking, as long as
//! `throttle_ms_max` lets it; then it is refused by the quota's name. Refusals
//! pass a bucket of the same rate: each costs a record, and who has no patience
//! gets no more of them than of calls. Decides nothing else, and never sends.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use keyway_model::limit::Quotas;
use keyway_model::{Digest, Scope};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::over::Over;

/// The meters of every connector that runs.
#[derive(Debug, Default)]
pub(crate) struct Throttles(Mutex<HashMap<(Scope, Digest), Arc<Meters>>>);

/// The meters of one connector in one environment.
#[derive(Debug)]
pub(crate) struct Meters {
    quotas: Quotas,
    http: Rate,
    state: Rate,
    scratch: Rate,
    reads: Bucket,
    log: Bucket,
    in_flight: Arc<Semaphore>,
}

/// One host call that may go on; it counts as under way until this is dropped.
#[derive(Debug)]
#[must_use = "the host call counts as under way until this is dropped"]
pub(crate) struct Pass(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Throttles {
    /// The meters of a connector. If its quotas have changed, it gets new ones;
    /// what is under way stays with the old.
    pub(crate) fn of(&self, scope: Scope, connector: Digest, quotas: &Quotas) -> Arc<Meters> {
        let mut all = self.0.lock();
        match all.get(&(scope, connector)) {
            Some(meters) if meters.quotas == *quotas => Arc::clone(meters),
            _ => {
                let meters = Arc::new(Meters::new(*quotas));
                all.insert((scope, connector), Arc::clone(&meters));
                meters
            }
        }
    }
}

impl Meters {
    fn new(quotas: Quotas) -> Self {
        let in_flight = quotas.host_calls_in_flight_per_connector_max as usize;
        Self {
            http: Rate::new(
                "http_calls_per_second_max",
                quotas.http_calls_per_second_max,
            ),
            state: Rate::new(
                "state_writes_per_second_max",
                quotas.state_writes_per_second_max,
            ),
            scratch: Rate::new(
                "scratch_calls_per_second_max",
                quotas.scratch_calls_per_second_max,
            ),
            reads: Bucket::new(
                "state_reads_per_second_max",
                quotas.state_reads_per_second_max,
            ),
            log: Bucket::new("log_lines_per_second_max", quotas.log_lines_per_second_max),
            in_flight: Arc::new(Semaphore::new(in_flight.min(Semaphore::MAX_PERMITS))),
            quotas,
        }
    }

    /// Lets one request go on.
    pub(crate) async fn http(&self) -> Result<Pass, Over> {
        self.pass(&self.http).await
    }

    /// Lets one change of state go on.
    pub(crate) async fn state(&self) -> Result<Pass, Over> {
        self.pass(&self.state).await
    }

    /// Lets one call of scratch files go on.
    pub(crate) async fn scratch(&self) -> Result<Pass, Over> {
        self.pass(&self.scratch).await
    }

    /// Whether one read of state may go on without waiting.
    pub(crate) fn read_now(&self) -> bool {
        self.reads.tokens.check().is_ok()
    }

    /// Lets one read of state go on. It takes no time, so it is not under way.
    pub(crate) async fn read(&self) -> Result<(), Over> {
        self.reads.token(self.deadline()).await
    }

    /// Whether one more log line may be kept; nobody waits for that.
    pub(crate) fn log(&self) -> Result<(), Over> {
        match self.log.tokens.check() {
            Ok(()) => Ok(()),
            Err(_) => Err(self.log.over()),
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.quotas.throttle_ms_max)
    }

    async fn pass(&self, rate: &Rate) -> Result<Pass, Over> {
        let passed = self.pass_until(self.deadline(), &rate.calls).await;
        if passed.is_err() {
            rate.refusals.turn().await;
        }
        passed
    }

    async fn pass_until(&self, deadline: Instant, bucket: &Bucket) -> Result<Pass, Over> {
        let room = Arc::clone(&self.in_flight).acquire_owned();
        let Ok(Ok(permit)) = timeout_at(deadline, room).await else {
            return Err(Over {
                name: "host_calls_in_flight_per_connector_max",
                value: self.quotas.host_calls_in_flight_per_connector_max.into(),
            });
        };
        bucket.token(deadline).await?;
        Ok(Pass(permit))
    }
}

/// How many calls pass a second, and how many are refused.
#[derive(Debug)]
struct Rate {
    calls: Bucket,
    refusals: Bucket,
}

impl Rate {
    fn new(name: &'static str, rate: u32) -> Self {
        Self {
            calls: Bucket::new(name, rate),
            refusals: Bucket::new(name, rate),
        }
    }
}

/// A rate: so many tokens a second, and as many at once.
#[derive(Debug)]
struct Bucket {
    name: &'static str,
    rate: u32,
    tokens: DefaultDirectRateLimiter,
    /// Who waits for a token; one after the other.
    line: tokio::sync::Mutex<()>,
    clock: DefaultClock,
}

impl Bucket {
    fn new(name: &'static str, rate: u32) -> Self {
        let at_least_one = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        Self {
            name,
            rate,
            tokens: RateLimiter::direct(Quota::per_second(at_least_one)),
            line: tokio::sync::Mutex::new(()),
            clock: DefaultClock::default(),
        }
    }

    const fn over(&self) -> Over {
        Over {
            name: self.name,
            value: self.rate as u64,
        }
    }

    /// Takes a token, waiting for it as long as it takes.
    async fn turn(&self) {
        let _turn = self.line.lock().await;
        while let Err(not_yet) = self.tokens.check() {
            sleep(not_yet.wait_time_from(self.clock.now())).await;
        }
    }

    /// Takes a token, waiting for it until `deadline`.
    async fn token(&self, deadline: Instant) -> Result<(), Over> {
        let Ok(turn) = timeout_at(deadline, self.line.lock()).await else {
            return Err(self.over());
        };
        loop {
            let wait = match self.tokens.check() {
                Ok(()) => return Ok(()),
                Err(not_yet) => not_yet.wait_time_from(self.clock.now()),
            };
            let again = Instant::now() + wait;
            if again > deadline {
                // Who comes after has a later deadline.
                drop(turn);
                sleep_until(deadline).await;
                return Err(self.over());
            }
            sleep_until(again).await;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use keyway_model::{Environment, TenantId};

    use super::*;

    fn meters(quotas: Quotas) -> Meters {
        Meters::new(quotas)
    }

    fn patient(throttle_ms_max: u64) -> Quotas {
        Quotas {
            throttle_ms_max,
            ..Quotas::default()
        }
    }

    #[tokio::test]
    async fn over_the_rate_a_request_waits_for_its_token() {
        let meters = meters(Quotas {
            http_calls_per_second_max: 50,
            ..patient(5_000)
        });
        let started = Instant::now();
        for _ in 0..60 {
            drop(meters.http().await.unwrap());
        }
        // Fifty at once, and ten that come one every 20 ms.
        assert!(
            started.elapsed() >= Duration::from_millis(150),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test]
    async fn who_has_waited_long_enough_is_refused_by_the_quotas_name() {
        let meters = meters(Quotas {
            http_calls_per_second_max: 1,
            state_writes_per_second_max: 1,
            ..patient(20)
        });
        drop(meters.http().await.unwrap());
        let over = meters.http().await.unwrap_err();
        assert_eq!((over.name, over.value), ("http_calls_per_second_max", 1));
        drop(meters.state().await.unwrap());
        let over = meters.state().await.unwrap_err();
        assert_eq!((over.name, over.value), ("state_writes_per_second_max", 1));
    }

    #[tokio::test]
    async fn who_has_no_patience_is_refused_no_faster_than_calls_pass() {
        let quotas = Quotas {
            http_calls_per_second_max: 20,
            scratch_calls_per_second_max: 20,
            ..patient(1)
        };
        let meters = meters(quotas);
        let started = Instant::now();
        let (mut passed, mut refused) = (0_u32, 0_u32);
        for _ in 0..60 {
            match meters.http().await {
                Ok(pass) => {
                    drop(pass);
                    passed += 1;
                }
                Err(_) => refused += 1,
            }
        }
        // Twenty of each at once, and no more than twenty of each a second.
        assert!(started.elapsed() >= Duration::from_millis(450));
        assert!(passed >= 20 && refused > 0, "{passed} {refused}");
        drop(meters.scratch().await.unwrap());
    }

    #[tokio::test]
    async fn reads_of_state_and_calls_of_scratch_files_have_rates_of_their_own() {
        let meters = meters(Quotas {
            state_reads_per_second_max: 1,
            scratch_calls_per_second_max: 1,
            ..patient(20)
        });
        assert!(meters.read_now());
        assert!(!meters.read_now());
        let over = meters.read().await.unwrap_err();
        assert_eq!((over.name, over.value), ("state_reads_per_second_max", 1));
        drop(meters.scratch().await.unwrap());
        let over = meters.scratch().await.unwrap_err();
        assert_eq!((over.name, over.value), ("scratch_calls_per_second_max", 1));
        drop((meters.http().await.unwrap(), meters.state().await.unwrap()));
    }

    #[tokio::test]
    async fn a_line_over_the_rate_is_told_at_once() {
        let meters = meters(Quotas {
            log_lines_per_second_max: 3,
            ..patient(60_000)
        });
        let kept = (0..10).filter(|_| meters.log().is_ok()).count();
        assert!((3..=4).contains(&kept), "{kept}");
        assert_eq!(meters.log().unwrap_err().name, "log_lines_per_second_max");
    }

    #[tokio::test]
    async fn no_more_than_so_many_are_under_way() {
        let meters = meters(Quotas {
            host_calls_in_flight_per_connector_max: 2,
            ..patient(20)
        });
        let (first, second) = (meters.http().await.unwrap(), meters.state().await.unwrap());
        let over = meters.http().await.unwrap_err();
        assert_eq!(over.name, "host_calls_in_flight_per_connector_max");
        drop(first);
        let _third = meters.http().await.unwrap();
        drop(second);
    }

    #[tokio::test]
    async fn one_connectors_flood_takes_no_token_of_another_or_of_another_tenant() {
        let throttles = Throttles::default();
        let quotas = Quotas {
            http_calls_per_second_max: 1,
            ..patient(1)
        };
        let scope = |tenant| Scope {
            tenant: TenantId::from_bits(tenant),
            environment: Environment::Production,
        };
        let of =
            |tenant, connector: &[u8]| throttles.of(scope(tenant), Digest::of(connector), &quotas);
        drop(of(1, b"orders").http().await.unwrap());
        assert!(of(1, b"orders").http().await.is_err());
        drop(of(1, b"other").http().await.unwrap());
        drop(of(2, b"orders").http().await.unwrap());
    }
}
