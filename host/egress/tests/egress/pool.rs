//! Which connections are kept, and for whom.

use std::sync::Arc;
use std::time::Duration;

use keyway_egress::{
    AddressClass, EgressConfig, EgressError, Exchange, Limit, RequestBody, Sent, SystemResolver,
    Wait,
};
use keyway_model::net::Method;
use tokio::io::AsyncWriteExt;

use crate::support::{Bench, DnsAnswer, NameServer, Upstream, next_request, read, reply};

#[tokio::test]
async fn a_connection_is_used_again_by_its_owner_and_by_nobody_else() {
    let upstream = Upstream::answering(reply("", b"x")).await;
    let owner = Bench::builder().allow("127.0.0.1", upstream.port).build();
    for _ in 0..10 {
        read(owner.get(&upstream.url("/")).await.unwrap())
            .await
            .unwrap();
    }
    assert_eq!(upstream.seen.connections(), 1);

    // Each differs from the owner in one thing alone.
    let others = [
        ("tenant", owner.other_tenant()),
        ("environment", owner.other_environment()),
        ("connector", owner.other_connector()),
        ("connection", owner.other_connection()),
    ];
    for (position, (what, other)) in others.iter().enumerate() {
        for bench in [other, &owner, other] {
            read(bench.get(&upstream.url("/")).await.unwrap())
                .await
                .unwrap();
        }
        assert_eq!(upstream.seen.connections(), position + 2, "{what}");
    }
    read(owner.again().get(&upstream.url("/")).await.unwrap())
        .await
        .unwrap();
    assert_eq!(upstream.seen.connections(), others.len() + 1);
}

#[tokio::test]
async fn a_kept_connection_stays_with_its_address_and_the_next_one_is_judged_anew() {
    const NAME: &str = "turning.test";
    let upstream = Upstream::answering(reply("", b"x")).await;
    let dns = NameServer::answering(|_, turn| match turn {
        1 => DnsAnswer::addresses(["127.0.0.1"]),
        _ => DnsAnswer::addresses(["127.0.0.2"]),
    })
    .await;
    let bench = Bench::builder()
        .resolver(Arc::new(SystemResolver::asking(&[dns.address])))
        .allow_at(NAME, upstream.port, "127.0.0.1")
        .build();
    let url = format!("http://{NAME}:{}/", upstream.port);
    for _ in 0..3 {
        read(bench.get(&url).await.unwrap()).await.unwrap();
    }
    assert_eq!((upstream.seen.connections(), dns.asked_for(NAME)), (1, 1));
    // The name has turned to an address that is denied: no other connection is
    // opened, for anybody.
    let error = bench.other_connection().get(&url).await.unwrap_err();
    let EgressError::AddressDenied { class, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(class, AddressClass::Loopback);
    assert_eq!((upstream.seen.connections(), dns.asked_for(NAME)), (1, 2));
}

#[tokio::test]
async fn a_connection_whose_body_was_not_read_is_not_used_again() {
    let body = vec![b'x'; 1 << 20];
    let upstream = Upstream::answering(reply("", &body)).await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    drop(bench.get(&upstream.url("/")).await.unwrap());
    let reply = bench.get(&upstream.url("/")).await.unwrap();
    assert_eq!(read(reply).await.unwrap().len(), body.len());
}

#[tokio::test]
async fn a_request_on_a_kept_connection_that_was_closed_meanwhile_is_sent_once() {
    let upstream = Upstream::scripted(|mut tcp, seen| async move {
        next_request(&mut tcp, &seen).await;
        tcp.write_all(&reply("", b"")).await.unwrap();
    })
    .await;
    let bench = Bench::builder().allow("127.0.0.1", upstream.port).build();
    let mut answered = 0;
    for _ in 0..200 {
        let exchange = Exchange {
            body: RequestBody::whole("effect"),
            ..Exchange::default()
        };
        match bench.send(Method::Post, &upstream.url("/"), exchange).await {
            Ok(_) => answered += 1,
            Err(error) => assert_eq!(error.was_sent(), Sent::Maybe, "{error:?}"),
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(
        upstream.seen.requests().len(),
        answered,
        "an effect for each answer and no other"
    );
    assert!(answered > 0);
}

#[tokio::test]
async fn connections_over_the_limit_wait_and_then_fail_without_being_sent() {
    let upstream = Upstream::scripted(|mut tcp, seen| async move {
        next_request(&mut tcp, &seen).await;
        std::future::pending::<()>().await;
    })
    .await;
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| {
            config.limits.connections_max = 1;
            config.timeouts.connect = Duration::from_millis(50);
            config.timeouts.head = Duration::from_millis(200);
        })
        .build();
    let other = bench.other_tenant();
    let url = upstream.url("/");
    let (first, second) = tokio::join!(bench.get(&url), other.get(&url));
    let first = first.unwrap_err();
    let waited_for_head = matches!(
        first,
        EgressError::Timeout {
            which: Wait::Head,
            ..
        }
    );
    assert!(waited_for_head, "{first:?}");
    let second = second.unwrap_err();
    let EgressError::Quota { limit, max, sent } = second else {
        panic!("{second:?}")
    };
    assert_eq!((limit, max, sent), (Limit::Connections, 1, Sent::No));
}

#[tokio::test]
async fn unused_connections_make_room_when_the_limit_is_reached() {
    let first = Upstream::answering(reply("", b"")).await;
    let second = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder()
        .allow("127.0.0.1", first.port)
        .allow("127.0.0.1", second.port)
        .with(|config| config.limits.connections_max = 1)
        .build();
    read(bench.get(&first.url("/")).await.unwrap())
        .await
        .unwrap();
    read(bench.get(&second.url("/")).await.unwrap())
        .await
        .unwrap();
    assert_eq!(
        (first.seen.connections(), second.seen.connections()),
        (1, 1)
    );
}

/// Answers but for `/held`.
async fn holding() -> Upstream {
    Upstream::scripted(|mut tcp, seen| async move {
        while let Some(request) = next_request(&mut tcp, &seen).await {
            if request.starts_with("GET /held ") {
                std::future::pending::<()>().await;
            }
            tcp.write_all(&reply("", b"")).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn one_workspace_leaves_as_many_connections_as_it_holds() {
    const ALL: usize = 4;
    let upstream = holding().await;
    let flood = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| {
            config.limits.connections_max = ALL;
            config.timeouts.connect = Duration::from_millis(300);
            config.timeouts.head = Duration::from_secs(1);
        })
        .build();
    let victim = flood.other_tenant();
    let (held, free) = (upstream.url("/held"), upstream.url("/"));
    let floods = (0..2 * ALL).map(|_| flood.get(&held));
    let beside = async {
        while upstream.seen.connections() < ALL / 2 {
            tokio::task::yield_now().await;
        }
        read(victim.get(&free).await.unwrap()).await.unwrap();
        upstream.seen.connections()
    };
    let (ended, connections) = tokio::join!(futures_util::future::join_all(floods), beside);
    assert_eq!(connections, ALL / 2 + 1);
    let is_refused = |result: &Result<_, EgressError>| {
        matches!(
            result,
            Err(EgressError::Quota {
                limit: Limit::Connections,
                sent: Sent::No,
                ..
            })
        )
    };
    let refused = ended.iter().filter(|result| is_refused(result)).count();
    assert_eq!(refused, 2 * ALL - ALL / 2, "the others waited in vain");
}

#[tokio::test]
async fn a_workspace_with_its_share_of_connections_closes_unused_ones_of_its_own_alone() {
    let first = Upstream::answering(reply("", b"")).await;
    let second = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder()
        .allow("127.0.0.1", first.port)
        .allow("127.0.0.1", second.port)
        .with(|config| config.limits.connections_max = 2)
        .build();
    let other = bench.other_tenant();
    for (bench, upstream) in [
        (&other, &first),
        (&bench, &first),
        (&bench, &second),
        (&other, &first),
    ] {
        read(bench.get(&upstream.url("/")).await.unwrap())
            .await
            .unwrap();
    }
    let opened = (first.seen.connections(), second.seen.connections());
    assert_eq!(opened, (2, 1), "the other workspace kept its connection");
}

#[tokio::test]
async fn unused_connections_of_others_to_the_same_origin_make_room_for_whoever_has_less() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let first = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| config.limits.connections_max = 2)
        .build();
    let (second, third) = (first.other_tenant(), first.other_tenant());
    for bench in [&first, &second, &third] {
        read(bench.get(&upstream.url("/")).await.unwrap())
            .await
            .unwrap();
    }
    assert_eq!(upstream.seen.connections(), 3);
}

#[tokio::test]
async fn places_that_were_not_used_for_longest_are_forgotten_first() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let first = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| config.limits.places_max = 2)
        .build();
    let (second, third) = (first.other_tenant(), first.other_tenant());
    for bench in [&first, &second, &first, &third, &first] {
        read(bench.get(&upstream.url("/")).await.unwrap())
            .await
            .unwrap();
    }
    assert_eq!(
        upstream.seen.connections(),
        3,
        "`first` kept its connection"
    );
    read(second.get(&upstream.url("/")).await.unwrap())
        .await
        .unwrap();
    assert_eq!(upstream.seen.connections(), 4, "`second` was forgotten");
}

/// So many upstreams, and who may reach all of them.
async fn many<const N: usize>(change: impl FnOnce(&mut EgressConfig)) -> ([Upstream; N], Bench) {
    let mut upstreams = Vec::new();
    for _ in 0..N {
        upstreams.push(holding().await);
    }
    let upstreams: [Upstream; N] = upstreams.try_into().unwrap_or_else(|_| unreachable!());
    let allowed = upstreams.iter().fold(Bench::builder(), |bench, upstream| {
        bench.allow("127.0.0.1", upstream.port)
    });
    let bench = allowed.with(change).build();
    (upstreams, bench)
}

async fn ask(bench: &Bench, upstream: &Upstream) {
    let reply = bench.get(&upstream.url("/")).await.unwrap();
    read(reply).await.unwrap();
}

#[tokio::test]
async fn a_workspace_that_reaches_many_origins_gives_way_itself() {
    let ([shared, others @ ..], flood) = many::<6>(|config| config.limits.places_max = 4).await;
    let victim = flood.other_tenant();
    ask(&victim, &shared).await;
    for other in &others {
        ask(&flood, other).await;
    }
    // Whether anybody listens there or not.
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = nowhere.local_addr().unwrap().port();
    drop(nowhere);
    flood
        .get(&format!("http://127.0.0.1:{port}/"))
        .await
        .unwrap_err();
    ask(&victim, &shared).await;
    assert_eq!(shared.seen.connections(), 1, "the victim kept its own");
}

#[tokio::test]
async fn no_more_unused_connections_are_closed_than_are_needed_and_those_of_the_largest_first() {
    const ALL: usize = 6;
    let change = |config: &mut EgressConfig| config.limits.connections_max = ALL;
    let ([first, second, third], comer) = many::<3>(change).await;
    let tenants: [Bench; 4] = std::array::from_fn(|_| comer.other_tenant());
    let [large, others @ ..] = &tenants;
    ask(&others[0], &first).await;
    for upstream in [&first, &second, &third] {
        ask(large, upstream).await;
    }
    ask(&others[1], &first).await;
    ask(&others[2], &first).await;
    // All are open. Somebody new needs one of them.
    ask(&comer, &first).await;
    let opened = || [&first, &second, &third].map(|upstream| upstream.seen.connections());
    assert_eq!(opened(), [5, 1, 1]);
    for other in others {
        ask(other, &first).await;
    }
    ask(large, &second).await;
    ask(large, &third).await;
    assert_eq!(
        opened(),
        [5, 1, 1],
        "the largest gave one way, and nobody else any"
    );
}
