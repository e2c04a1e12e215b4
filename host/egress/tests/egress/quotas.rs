//! What one connector of one tenant may use of the network, while others go on.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use keyway_egress::{
    Bounds, EgressError, Exchange, FixedResolver, Limit, Reply, RequestBody, Sent, SystemResolver,
};
use keyway_model::net::Method;

use crate::support::{Bench, DnsAnswer, NameServer, Upstream, next_request, read, reply};

/// The limit that was named, and its value.
fn quota(result: Result<Reply, EgressError>) -> (Limit, u64) {
    match result {
        Err(EgressError::Quota { limit, max, sent }) => {
            assert_eq!(sent, Sent::No);
            (limit, max)
        }
        other => panic!("{other:?}"),
    }
}

/// Another connector of the tenant and another tenant are not held up.
async fn others_go_on(bench: &Bench, url: &str) {
    for other in [bench.other_connector(), bench.other_tenant()] {
        other.get(url).await.unwrap();
    }
}

#[tokio::test]
async fn connections_over_the_quota_wait_and_then_fail_with_its_name_and_value() {
    let upstream = Upstream::scripted(|mut tcp, seen| async move {
        while let Some(request) = next_request(&mut tcp, &seen).await {
            if request.starts_with("GET /held ") {
                std::future::pending::<()>().await;
            }
            use tokio::io::AsyncWriteExt;
            tcp.write_all(&reply("", b"")).await.unwrap();
        }
    })
    .await;
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| {
            config.limits.connections_each_max = 2;
            config.timeouts.connect = Duration::from_millis(50);
            config.timeouts.head = Duration::from_millis(400);
        })
        .build();
    let (held, free) = (upstream.url("/held"), upstream.url("/"));
    // Two connections of one connector count together.
    let same_connector = bench.other_connection();
    let third = async {
        while upstream.seen.connections() < 2 {
            tokio::task::yield_now().await;
        }
        let third = bench.get(&free).await;
        others_go_on(&bench, &free).await;
        third
    };
    let (_, _, third) = tokio::join!(bench.get(&held), same_connector.get(&held), third);
    assert_eq!(quota(third), (Limit::ConnectionsEach, 2));
    // What is held no more makes room.
    read(bench.get(&free).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn unused_connections_of_the_same_owner_make_room_and_those_of_others_do_not() {
    let first = Upstream::answering(reply("", b"")).await;
    let second = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder()
        .allow("127.0.0.1", first.port)
        .allow("127.0.0.1", second.port)
        .with(|config| config.limits.connections_each_max = 1)
        .build();
    let other = bench.other_tenant();
    for (bench, upstream) in [
        (&other, &first),
        (&bench, &first),
        (&bench, &second),
        (&other, &first),
        (&bench, &first),
    ] {
        read(bench.get(&upstream.url("/")).await.unwrap())
            .await
            .unwrap();
    }
    let opened = (first.seen.connections(), second.seen.connections());
    assert_eq!(opened, (3, 1), "the other tenant kept its connection");
}

#[tokio::test]
async fn new_connections_in_a_second_are_counted() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| {
            config.limits.connects_per_second_max = 3;
            config.limits.idle_connections_max = 0;
        })
        .build();
    let url = upstream.url("/");
    let refused = loop {
        let result = bench.get(&url).await;
        if result.is_err() {
            break result;
        }
        assert!(upstream.seen.connections() < 100, "nothing refuses a flood");
    };
    assert_eq!(quota(refused), (Limit::ConnectsPerSecond, 3));
    others_go_on(&bench, &url).await;
}

#[tokio::test]
async fn each_further_address_of_a_name_counts_as_a_new_connection() {
    let upstream = Upstream::answering(reply("", b"")).await;
    // Nobody listens on the first four.
    let addresses = [91, 92, 93, 94, 1].map(|last| IpAddr::from([127, 0, 0, last]));
    let names = FixedResolver::new([("five.test".parse().unwrap(), addresses.to_vec())]);
    let names = Arc::new(names);
    let bench = |connects| {
        Bench::builder()
            .allow("five.test", upstream.port)
            .resolver(names.clone())
            .with(|config| config.limits.connects_per_second_max = connects)
            .build()
    };
    let url = format!("http://five.test:{}/", upstream.port);
    let refused = bench(1).get(&url).await;
    assert_eq!(quota(refused), (Limit::ConnectsPerSecond, 1));
    assert_eq!(upstream.seen.connections(), 0);
    bench(5).get(&url).await.unwrap();
    assert_eq!(upstream.seen.connections(), 1);
}

#[tokio::test]
async fn look_ups_of_names_in_a_second_are_counted_and_reach_no_name_server() {
    let dns = NameServer::answering(|_, _| DnsAnswer::NoName).await;
    let bench = Bench::builder()
        .resolver(Arc::new(SystemResolver::asking(&[dns.address])))
        .with(|config| config.limits.lookups_per_second_max = 3)
        .build();
    let mut tried = 0;
    let refused = loop {
        tried += 1;
        let result = bench.get(&format!("http://scan-{tried}.test/")).await;
        if !matches!(result, Err(EgressError::Unresolvable { .. })) {
            break result;
        }
        assert!(tried < 100, "nothing refuses a flood");
    };
    assert_eq!(quota(refused), (Limit::LookupsPerSecond, 3));
    assert_eq!(dns.asked_for(&format!("scan-{tried}.test")), 0);
    let error = bench
        .other_tenant()
        .get("http://other.test/")
        .await
        .unwrap_err();
    assert!(
        matches!(error, EgressError::Unresolvable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn bytes_received_over_the_quota_are_paid_before_the_next_exchange() {
    let upstream = Upstream::answering(reply("", &vec![b'x'; 100_000])).await;
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| config.limits.bytes_in_per_minute_max = 50_000)
        .build();
    let url = upstream.url("/");
    let whole = read(bench.get(&url).await.unwrap()).await.unwrap();
    assert_eq!(whole.len(), 100_000, "what was begun is not cut");
    assert_eq!(
        quota(bench.get(&url).await),
        (Limit::BytesInPerMinute, 50_000)
    );
    assert_eq!(upstream.seen.requests().len(), 1);
    others_go_on(&bench, &url).await;
}

#[tokio::test]
async fn bytes_sent_are_counted_with_their_heads() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| config.limits.bytes_out_per_minute_max = 50_000)
        .build();
    let exchange = Exchange {
        body: RequestBody::whole(vec![b'x'; 49_990]),
        ..Exchange::default()
    };
    let url = upstream.url("/");
    bench.send(Method::Post, &url, exchange).await.unwrap();
    let error = bench.get(&url).await;
    let said = error.as_ref().unwrap_err().operator_text();
    assert_eq!(
        said,
        "`bytes_out_per_minute_max` (50000) is exceeded: wait before the next request"
    );
    assert_eq!(quota(error), (Limit::BytesOutPerMinute, 50_000));
    others_go_on(&bench, &url).await;
}

/// Sends with lower bounds than everything has.
async fn held_to(
    bench: &Bench,
    url: &str,
    lower: impl FnOnce(&mut Bounds),
) -> Result<Reply, EgressError> {
    let mut bounds = Bounds::of(&keyway_model::limit::Limits::default());
    lower(&mut bounds);
    let exchange = Exchange {
        bounds: Some(Arc::new(bounds)),
        ..Exchange::default()
    };
    bench.send(Method::Get, url, exchange).await
}

#[tokio::test]
async fn what_one_exchange_is_held_to_holds_in_place_of_what_everything_is() {
    let upstream = Upstream::answering(reply("", &[b'x'; 1_000])).await;
    let two = FixedResolver::new([(
        "two.test".parse().unwrap(),
        vec![[169, 254, 169, 254].into(), [127, 0, 0, 1].into()],
    )]);
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .allow_at("two.test", upstream.port, "127.0.0.1")
        .resolver(Arc::new(two))
        .build();
    let url = upstream.url("/");
    let short = held_to(&bench, &url, |it| it.limits.reply_body_bytes_max = 999).await;
    let said = short.unwrap_err().operator_text();
    assert!(said.contains("`response_body_bytes_max` (999)"), "{said}");
    let name = format!("http://two.test:{}/", upstream.port);
    let first = held_to(&bench, &name, |it| it.limits.addresses_max = 1).await;
    let error = first.unwrap_err();
    assert!(
        matches!(error, EgressError::AddressDenied { .. }),
        "{error:?}"
    );
    // The next exchange is held to its own bounds again.
    for url in [&url, &name] {
        read(bench.get(url).await.unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_quota_that_is_lowered_holds_for_the_next_exchange_of_its_connector_alone() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| config.limits.idle_connections_max = 0)
        .build();
    let url = upstream.url("/");
    let lowered = |it: &mut Bounds| it.limits.connects_per_second_max = 1;
    for _ in 0..4 {
        bench.get(&url).await.unwrap();
    }
    let refused = loop {
        let result = held_to(&bench, &url, lowered).await;
        if result.is_err() {
            break result;
        }
        assert!(upstream.seen.connections() < 100, "nothing refuses a flood");
    };
    assert_eq!(quota(refused), (Limit::ConnectsPerSecond, 1));
    others_go_on(&bench, &url).await;
}
