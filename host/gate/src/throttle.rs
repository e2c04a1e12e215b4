//! How much one connector of one environment may ask for: token buckets on its
//! host calls, and how many of them are under way.
//!
//! Whoever is over a quota waits, in the order of asking, as long as
//! `throttle_ms_max` lets it; then it is refused by the quota's name. Refusals
//! pass a bucket of the same rate: each costs a record, and who has no patience
//! gets no more of them than of calls. Decides nothing else, and never sends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use keyway_model::limit::Quotas;
use keyway_model::{Digest, Scope};
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::over::Over;

mod bucket;
mod room;

use bucket::{Bucket, Rate};
use room::Room;

/// The meters of every connector that runs.
#[derive(Debug, Default)]
pub(crate) struct Throttles(Mutex<HashMap<(Scope, Digest), Arc<Meters>>>);

/// The meters of one connector in one environment.
#[derive(Debug)]
pub(crate) struct Meters {
    /// What they are held to: what holds for the latest call of the connector.
    quotas: Mutex<Quotas>,
    http: Rate,
    state: Rate,
    scratch: Rate,
    reads: Bucket,
    connection: Bucket,
    log: Bucket,
    in_flight: Room,
}

/// One host call that may go on; it counts as under way until this is dropped.
#[derive(Debug)]
#[must_use = "the host call counts as under way until this is dropped"]
pub(crate) struct Pass(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Throttles {
    /// The meters of a connector, held to `quotas` from now on.
    pub(crate) fn of(&self, scope: Scope, connector: Digest, quotas: &Quotas) -> Arc<Meters> {
        let mut all = self.0.lock();
        let meters = all
            .entry((scope, connector))
            .or_insert_with(|| Arc::new(Meters::new(*quotas)));
        meters.hold_to(quotas);
        Arc::clone(meters)
    }
}

impl Meters {
    fn new(quotas: Quotas) -> Self {
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
            connection: Bucket::new(
                "connection_reads_per_second_max",
                quotas.connection_reads_per_second_max,
            ),
            log: Bucket::new("log_lines_per_second_max", quotas.log_lines_per_second_max),
            in_flight: Room::new(
                "host_calls_in_flight_per_connector_max",
                quotas.host_calls_in_flight_per_connector_max,
            ),
            quotas: Mutex::new(quotas),
        }
    }

    /// Holds them to other quotas, if they are others. What was used stays used,
    /// and what is under way counts: changing limits to and fro gives nothing away.
    fn hold_to(&self, quotas: &Quotas) {
        let mut held = self.quotas.lock();
        if *held == *quotas {
            return;
        }
        self.http.hold_to(quotas.http_calls_per_second_max);
        self.state.hold_to(quotas.state_writes_per_second_max);
        self.scratch.hold_to(quotas.scratch_calls_per_second_max);
        self.reads.hold_to(quotas.state_reads_per_second_max);
        self.connection
            .hold_to(quotas.connection_reads_per_second_max);
        self.log.hold_to(quotas.log_lines_per_second_max);
        self.in_flight
            .hold_to(quotas.host_calls_in_flight_per_connector_max);
        *held = *quotas;
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
        self.reads.token_now()
    }

    /// Lets one read of state go on. It takes no time, so it is not under way.
    pub(crate) async fn read(&self) -> Result<(), Over> {
        self.reads.token(self.deadline()).await
    }

    /// Whether one read of the connection may go on without waiting.
    pub(crate) fn connection_now(&self) -> bool {
        self.connection.token_now()
    }

    /// Lets one read of the connection go on. It takes no time, so it is not under way.
    pub(crate) async fn connection(&self) -> Result<(), Over> {
        self.connection.token(self.deadline()).await
    }

    /// How many of so many log lines may be kept, and what the others exceed; nobody
    /// waits for that.
    pub(crate) fn log(&self, lines: usize) -> (usize, Option<Over>) {
        let kept = self.log.tokens_now(lines);
        (kept, (kept < lines).then(|| self.log.over()))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.quotas.lock().throttle_ms_max)
    }

    async fn pass(&self, rate: &Rate) -> Result<Pass, Over> {
        let passed = self.pass_until(self.deadline(), &rate.calls).await;
        if passed.is_err() {
            rate.refusals.turn().await;
        }
        passed
    }

    async fn pass_until(&self, deadline: Instant, bucket: &Bucket) -> Result<Pass, Over> {
        let permit = self.in_flight.place(deadline).await?;
        bucket.token(deadline).await?;
        Ok(Pass(permit))
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
    async fn reads_and_calls_of_scratch_files_have_rates_of_their_own() {
        let meters = meters(Quotas {
            state_reads_per_second_max: 1,
            connection_reads_per_second_max: 1,
            scratch_calls_per_second_max: 1,
            ..patient(20)
        });
        assert!(meters.read_now());
        assert!(!meters.read_now());
        let over = meters.read().await.unwrap_err();
        assert_eq!((over.name, over.value), ("state_reads_per_second_max", 1));
        assert!(meters.connection_now());
        assert!(!meters.connection_now());
        let over = meters.connection().await.unwrap_err();
        let name = "connection_reads_per_second_max";
        assert_eq!((over.name, over.value), (name, 1));
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
        let (first, over) = meters.log(2);
        assert_eq!((first, over.is_none()), (2, true));
        let (second, over) = meters.log(10);
        assert!((1..=2).contains(&second), "{second}");
        assert_eq!(over.unwrap().name, "log_lines_per_second_max");
        assert_eq!(meters.log(0).0, 0);
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

    /// The meters of one connector under quotas that change from call to call.
    fn changing() -> impl Fn(Quotas) -> Arc<Meters> {
        let throttles = Throttles::default();
        let scope = Scope {
            tenant: TenantId::from_bits(1),
            environment: Environment::Production,
        };
        move |quotas| throttles.of(scope, Digest::of(b"orders"), &quotas)
    }

    #[test]
    fn changing_a_rate_to_and_fro_gives_no_token_away() {
        let of = changing();
        let rates = |rate: u32| Quotas {
            http_calls_per_second_max: rate,
            state_writes_per_second_max: rate,
            scratch_calls_per_second_max: rate,
            state_reads_per_second_max: rate,
            connection_reads_per_second_max: rate,
            log_lines_per_second_max: rate,
            ..patient(1)
        };
        let started = Instant::now();
        let mut passed = [0_u32; 7];
        for round in 0..1_000 {
            let meters = of(rates(20 + round % 2));
            let buckets = [
                &meters.http.calls,
                &meters.http.refusals,
                &meters.state.calls,
                &meters.scratch.calls,
                &meters.reads,
                &meters.connection,
                &meters.log,
            ];
            for (passed, bucket) in passed.iter_mut().zip(buckets) {
                *passed += u32::from(bucket.token_now());
            }
        }
        // So many at once, and what time has brought.
        let seconds = u32::try_from(started.elapsed().as_secs()).unwrap() + 1;
        for passed in passed {
            assert!((20..=21 + 21 * seconds).contains(&passed), "{passed}");
        }
    }

    #[tokio::test]
    async fn a_changed_number_under_way_counts_what_is_under_way() {
        let of = changing();
        let room = |max: u32| Quotas {
            host_calls_in_flight_per_connector_max: max,
            ..patient(1)
        };
        let meters = of(room(3));
        let mut passes = Vec::new();
        for _ in 0..3 {
            passes.push(meters.http().await.unwrap());
        }
        let over = of(room(1)).http().await.unwrap_err();
        let name = "host_calls_in_flight_per_connector_max";
        assert_eq!((over.name, over.value), (name, 1));
        assert!(of(room(3)).http().await.is_err());
        // Two of three make no room for a second one.
        passes.truncate(1);
        assert!(of(room(1)).http().await.is_err());
        passes.push(of(room(2)).http().await.unwrap());
        assert!(of(room(2)).http().await.is_err());
        passes.clear();
        passes.push(of(room(1)).http().await.unwrap());
        assert!(of(room(1)).http().await.is_err());
    }
}
