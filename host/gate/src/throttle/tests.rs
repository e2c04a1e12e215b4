//! Meters of one connector; those of its workspace have a file of their own.

mod workspace;

use keyway_model::Environment;

use super::*;

/// The production of a workspace.
fn scope(tenant: u128) -> Scope {
    Scope {
        tenant: TenantId::from_bits(tenant),
        environment: Environment::Production,
    }
}

/// The meters of the only connector that runs.
fn meters(quotas: Quotas) -> Meters {
    Throttles::default().of(scope(1), Digest::of(b"orders"), &quotas)
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
    let of = |tenant, connector: &[u8]| throttles.of(scope(tenant), Digest::of(connector), &quotas);
    drop(of(1, b"orders").http().await.unwrap());
    assert!(of(1, b"orders").http().await.is_err());
    drop(of(1, b"other").http().await.unwrap());
    drop(of(2, b"orders").http().await.unwrap());
}

/// The meters of one connector under quotas that change from call to call.
fn changing() -> impl Fn(Quotas) -> Meters {
    let throttles = Throttles::default();
    move |quotas| throttles.of(scope(1), Digest::of(b"orders"), &quotas)
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
        let [meter, ..] = &meters.all;
        let buckets = [
            &meter.http.calls,
            &meter.http.refusals,
            &meter.state.calls,
            &meter.scratch.calls,
            &meter.reads,
            &meter.connection,
            &meter.log,
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
