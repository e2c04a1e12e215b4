//! What the connectors of one workspace have together.

use futures_util::{FutureExt as _, poll};

use super::*;

/// The same number for each quota of a workspace.
fn of_workspace(max: u32) -> Quotas {
    Quotas {
        http_calls_per_second_per_workspace_max: max,
        state_writes_per_second_per_workspace_max: max,
        state_reads_per_second_per_workspace_max: max,
        connection_reads_per_second_per_workspace_max: max,
        scratch_calls_per_second_per_workspace_max: max,
        log_lines_per_second_per_workspace_max: max,
        ..patient(1)
    }
}

/// Two connectors of one workspace.
fn two(throttles: &Throttles, quotas: &Quotas) -> [Meters; 2] {
    [b"orders", b"others"].map(|name| throttles.of(scope(1), Digest::of(name), quotas))
}

#[tokio::test]
async fn two_connectors_share_the_rates_of_their_workspace_and_another_does_not_notice() {
    let (throttles, quotas) = (Throttles::default(), of_workspace(1));
    let [first, second] = two(&throttles, &quotas);
    let elsewhere = throttles.of(scope(2), Digest::of(b"orders"), &quotas);
    let over = |name| Over { name, value: 1 };

    drop(first.http().await.unwrap());
    let refused = second.http().await.unwrap_err();
    assert_eq!(refused, over("http_calls_per_second_per_workspace_max"));
    drop(first.state().await.unwrap());
    let refused = second.state().await.unwrap_err();
    assert_eq!(refused, over("state_writes_per_second_per_workspace_max"));
    drop(first.scratch().await.unwrap());
    let refused = second.scratch().await.unwrap_err();
    assert_eq!(refused, over("scratch_calls_per_second_per_workspace_max"));
    assert!(first.read_now() && !second.read_now());
    let refused = second.read().await.unwrap_err();
    assert_eq!(refused, over("state_reads_per_second_per_workspace_max"));
    assert!(first.connection_now() && !second.connection_now());
    let refused = second.connection().await.unwrap_err();
    let name = "connection_reads_per_second_per_workspace_max";
    assert_eq!(refused, over(name));
    assert_eq!(first.log(1), (1, None));
    let name = "log_lines_per_second_per_workspace_max";
    assert_eq!(second.log(1), (0, Some(over(name))));

    drop(elsewhere.http().await.unwrap());
    drop(elsewhere.state().await.unwrap());
    drop(elsewhere.scratch().await.unwrap());
    assert!(elsewhere.read_now() && elsewhere.connection_now());
    assert_eq!(elsewhere.log(1), (1, None));
}

#[tokio::test]
async fn the_connectors_of_a_workspace_have_so_many_host_calls_under_way_together() {
    let throttles = Throttles::default();
    let quotas = Quotas {
        host_calls_in_flight_per_workspace_max: 2,
        ..patient(20)
    };
    let [first, second] = two(&throttles, &quotas);
    let (one, _two) = (first.http().await.unwrap(), second.state().await.unwrap());
    let over = second.scratch().await.unwrap_err();
    let name = "host_calls_in_flight_per_workspace_max";
    assert_eq!(over, Over { name, value: 2 });
    drop(one);
    let _three = second.scratch().await.unwrap();
}

#[tokio::test]
async fn what_one_environment_has_lowered_holds_there_and_all_have_what_the_platform_gives() {
    let under_way = |max: u32| Quotas {
        host_calls_in_flight_per_workspace_max: max,
        ..patient(1)
    };
    let throttles = Throttles::on(under_way(2));
    let of = |environment, max| {
        let scope = Scope {
            environment,
            ..scope(1)
        };
        throttles.of(scope, Digest::of(b"orders"), &under_way(max))
    };
    let (lowered, other) = (of(Environment::Development, 1), of(Environment::Test, 2));
    let value = |over: Over| over.value;
    let one = lowered.http().await.unwrap();
    assert_eq!(lowered.http().await.map_err(value).unwrap_err(), 1);
    let _two = other.http().await.unwrap();
    assert_eq!(other.http().await.map_err(value).unwrap_err(), 2);
    drop(one);
    let _three = other.http().await.unwrap();
}

#[tokio::test]
async fn who_waits_for_its_connectors_rate_keeps_no_room_from_its_workspace() {
    let throttles = Throttles::default();
    let quotas = Quotas {
        http_calls_per_second_max: 1,
        host_calls_in_flight_per_workspace_max: 1,
        ..patient(60_000)
    };
    let [first, second] = two(&throttles, &quotas);
    drop(first.http().await.unwrap());
    let mut waiting = Box::pin(first.http());
    assert!(poll!(&mut waiting).is_pending());
    assert!(second.http().now_or_never().is_some_and(|it| it.is_ok()));
    drop(waiting);
}

#[test]
fn a_read_that_the_workspace_has_no_token_for_takes_none_of_its_connector() {
    let throttles = Throttles::default();
    let quotas = Quotas {
        state_reads_per_second_max: 1,
        ..of_workspace(1)
    };
    let [first, second] = two(&throttles, &quotas);
    assert!(first.read_now());
    assert!(!second.read_now());
    let [connector, ..] = &second.all;
    assert!(connector.reads.token_now());
}

#[tokio::test]
async fn with_many_connectors_a_workspace_is_refused_no_faster_than_calls_pass() {
    let (throttles, quotas) = (Throttles::default(), of_workspace(20));
    let started = Instant::now();
    let mut refused = 0_u32;
    for number in 0..60_u8 {
        let meters = throttles.of(scope(1), Digest::of(&[number]), &quotas);
        refused += u32::from(meters.http().await.is_err());
    }
    // Twenty of each at once, and no more than twenty of each a second.
    assert!(started.elapsed() >= Duration::from_millis(450));
    assert!(refused > 0);
}

#[tokio::test]
async fn meters_that_owe_nothing_are_forgotten_and_those_in_use_are_not() {
    let throttles = Throttles::default();
    let quotas = Quotas {
        host_calls_in_flight_per_connector_max: 1,
        ..patient(1)
    };
    let of = |tenant| throttles.of(scope(tenant), Digest::of(b"orders"), &quotas);
    let in_use = of(0);
    let _pass = in_use.http().await.unwrap();
    for tenant in 1..=METERS_KEPT as u128 {
        drop(of(tenant));
    }
    // Each came with three.
    assert!(throttles.known.lock().all.len() <= METERS_KEPT);
    assert!(of(0).http().await.is_err());
}

#[test]
fn a_meter_owes_until_time_has_paid_for_its_last_call() {
    let meter = Meter::new(&Bounds::of_connector(&Quotas {
        log_lines_per_second_max: 1,
        ..Quotas::default()
    }));
    let now = std::time::Instant::now();
    assert!(meter.owes_nothing(now));
    assert_eq!(meter.log.tokens_now(1), 1);
    assert!(!meter.owes_nothing(now));
    assert!(meter.owes_nothing(now + Duration::from_secs(2)));
}
