//! Names through the real resolver, asked of a name server that lies.
//!
//! The place `rebinding.test` may be at 127.0.0.2, where an honest upstream
//! listens, and nowhere else that is not public; the victim listens on
//! 127.0.0.1, at the same port.

use std::sync::Arc;
use std::time::Duration;

use keyway_egress::{AddressClass, EgressError, Sent, SystemResolver, Wait};
use tokio::net::TcpListener;

use crate::support::{Bench, ByTcp, DnsAnswer, DnsRecord, NameServer, Upstream, reply};

const HONEST: &str = "127.0.0.2";
const VICTIM: &str = "127.0.0.1";
const NAME: &str = "rebinding.test";

struct Stage {
    victim: Upstream,
    honest: Upstream,
    dns: NameServer,
    bench: Bench,
}

impl Stage {
    async fn answering(answer: impl Fn(&str, usize) -> DnsAnswer + Send + Sync + 'static) -> Self {
        Self::answering_within(Duration::from_millis(500), answer).await
    }

    async fn answering_within(
        resolve: Duration,
        answer: impl Fn(&str, usize) -> DnsAnswer + Send + Sync + 'static,
    ) -> Self {
        let victim = Upstream::answering(reply("", b"victim")).await;
        let listener = TcpListener::bind((HONEST, victim.port)).await.unwrap();
        let honest = Upstream::answering_on(listener, reply("", b"honest"));
        let dns = NameServer::answering(answer).await;
        let bench = Bench::builder()
            .resolver(Arc::new(SystemResolver::asking(&[dns.address])))
            .allow_at(NAME, victim.port, HONEST)
            .with(|config| {
                config.limits.idle_connections_max = 0;
                config.limits.connects_per_second_max = u32::MAX;
                config.limits.lookups_per_second_max = u32::MAX;
                config.timeouts.resolve = resolve;
            })
            .build();
        Self {
            victim,
            honest,
            dns,
            bench,
        }
    }

    async fn get(&self) -> Result<(), EgressError> {
        let url = format!("http://{NAME}:{}/", self.victim.port);
        self.bench.get(&url).await.map(|_| ())
    }
}

fn address(text: &str) -> DnsRecord {
    DnsRecord::Address(text.parse().unwrap())
}

#[tokio::test]
async fn a_name_that_rebinds_to_loopback_never_gets_there_in_a_thousand_tries() {
    let stage = Stage::answering(|_, turn| match turn % 2 {
        1 => DnsAnswer::addresses([HONEST]),
        _ => DnsAnswer::addresses([VICTIM]),
    })
    .await;
    let mut arrived = 0;
    for turn in 1..=1_000 {
        match (stage.get().await, turn % 2) {
            (Ok(()), 1) => arrived += 1,
            (Err(EgressError::AddressDenied { class, .. }), 0) => {
                assert_eq!(class, AddressClass::Loopback);
            }
            (other, _) => panic!("turn {turn}: {other:?}"),
        }
        let asked = stage.dns.asked_for(NAME);
        assert_eq!(asked, turn, "one look-up for one dial");
    }
    assert_eq!(stage.victim.seen.connections(), 0);
    assert_eq!((arrived, stage.honest.seen.connections()), (500, 500));
}

#[tokio::test]
async fn of_several_addresses_only_those_that_may_be_reached_are_dialled() {
    let answers = [
        vec![address(VICTIM), address(HONEST)],
        vec![address("::1"), address("10.0.0.1"), address(HONEST)],
        vec![
            address("::ffff:127.0.0.1"),
            address(HONEST),
            address(VICTIM),
        ],
        vec![address("fd00:ec2::254"), address(HONEST)],
    ];
    let tries = answers.len();
    let stage =
        Stage::answering(move |_, turn| DnsAnswer::Records(answers[turn - 1].clone())).await;
    for _ in 0..tries {
        stage.get().await.unwrap();
    }
    let connections = [&stage.victim, &stage.honest].map(|upstream| upstream.seen.connections());
    assert_eq!(connections, [0, tries]);
}

#[tokio::test]
async fn a_name_whose_addresses_are_all_denied_is_refused_by_what_they_are() {
    let stage = Stage::answering(|_, _| {
        DnsAnswer::addresses([VICTIM, "10.0.0.1", "::1", "169.254.169.254", "fe80::1"])
    })
    .await;
    let error = stage.get().await.unwrap_err();
    assert!(
        matches!(error, EgressError::AddressDenied { .. }),
        "{error:?}"
    );
    assert_eq!(error.was_sent(), Sent::No);
    assert_eq!(stage.victim.seen.connections(), 0);
}

#[tokio::test]
async fn an_alias_of_an_internal_name_is_judged_by_its_address() {
    let stage = Stage::answering(|_, _| {
        DnsAnswer::Records(vec![
            DnsRecord::Alias("", "alias.test"),
            DnsRecord::Alias("alias.test", "metadata.internal"),
            DnsRecord::Foreign("metadata.internal", "169.254.169.254".parse().unwrap()),
        ])
    })
    .await;
    let error = stage.get().await.unwrap_err();
    let EgressError::AddressDenied { class, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(class, AddressClass::CloudMetadata);
}

#[tokio::test]
async fn an_address_of_another_name_is_not_taken_for_an_answer() {
    let stage = Stage::answering(|_, _| {
        DnsAnswer::Records(vec![DnsRecord::Foreign(
            "other.test",
            HONEST.parse().unwrap(),
        )])
    })
    .await;
    let error = stage.get().await.unwrap_err();
    assert!(
        matches!(error, EgressError::Unresolvable { .. }),
        "{error:?}"
    );
    assert_eq!(stage.honest.seen.connections(), 0);
}

#[tokio::test]
async fn no_name_and_no_address_are_unresolvable() {
    for answer in [DnsAnswer::NoName, DnsAnswer::addresses([])] {
        let stage = Stage::answering(move |_, _| answer.clone()).await;
        let error = stage.get().await.unwrap_err();
        assert!(
            matches!(error, EgressError::Unresolvable { .. }),
            "{error:?}"
        );
        assert_eq!(error.was_sent(), Sent::No);
    }
}

#[tokio::test]
async fn addresses_over_the_limit_are_not_looked_at() {
    let stage = Stage::answering(|_, _| {
        let mut records: Vec<_> = (1..=16).map(|n| address(&format!("10.0.0.{n}"))).collect();
        records.push(address(HONEST));
        DnsAnswer::Records(records)
    })
    .await;
    let error = stage.get().await.unwrap_err();
    assert!(
        matches!(error, EgressError::AddressDenied { .. }),
        "{error:?}"
    );
    assert_eq!(stage.honest.seen.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_is_cut_or_is_not_as_long_as_it_says_is_none() {
    let honest = || vec![address(HONEST)];
    for answer in [
        DnsAnswer::Truncated(honest(), ByTcp::Nothing),
        DnsAnswer::Cut(honest(), 1),
        DnsAnswer::Cut(honest(), 4),
        DnsAnswer::Cut(honest(), 12),
        DnsAnswer::Counted(honest(), 2),
        DnsAnswer::Counted(honest(), u16::MAX),
    ] {
        let shown = format!("{answer:?}");
        let stage = Stage::answering(move |_, _| answer.clone()).await;
        let error = stage.get().await.expect_err(&shown);
        let refused = matches!(
            error,
            EgressError::Unresolvable { .. }
                | EgressError::Timeout {
                    which: Wait::Resolve,
                    ..
                }
        );
        assert!(refused, "{shown}: {error:?}");
        assert_eq!(error.was_sent(), Sent::No);
        assert_eq!(stage.honest.seen.connections(), 0, "{shown}");
    }
}

#[tokio::test]
async fn an_answer_over_the_size_of_a_message_by_udp_is_not_read_to_its_end() {
    // A record takes 30 bytes, a message without EDNS 512, and one datagram 64 kB.
    for (count, is_read) in [(30, true), (100, false), (2_000, false)] {
        let stage = Stage::answering(move |_, _| {
            let many = (0..count).map(|n| address(&format!("10.0.{}.{}", n / 250, n % 250)));
            DnsAnswer::Records(many.collect())
        })
        .await;
        let error = stage.get().await.unwrap_err();
        assert_eq!(error.was_sent(), Sent::No);
        let was_read = matches!(error, EgressError::AddressDenied { .. });
        let was_not = matches!(
            error,
            EgressError::Unresolvable { .. }
                | EgressError::Timeout {
                    which: Wait::Resolve,
                    ..
                }
        );
        assert_eq!(
            (was_read, was_not),
            (is_read, !is_read),
            "{count}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_again_by_tcp_and_what_comes_there_is_judged() {
    for (by_udp, by_tcp) in [(VICTIM, HONEST), (HONEST, VICTIM)] {
        let stage = Stage::answering(move |_, _| {
            let again = ByTcp::Records(vec![address(by_tcp)]);
            DnsAnswer::Truncated(vec![address(by_udp)], again)
        })
        .await;
        match stage.get().await {
            Ok(()) => assert_eq!(by_tcp, HONEST),
            Err(EgressError::AddressDenied { class, .. }) => {
                assert_eq!((by_tcp, class), (VICTIM, AddressClass::Loopback));
            }
            Err(other) => panic!("{by_tcp}: {other:?}"),
        }
        assert!(stage.dns.queries_by_tcp() > 0);
        assert_eq!(stage.victim.seen.connections(), 0);
        let arrived = usize::from(by_tcp == HONEST);
        assert_eq!(stage.honest.seen.connections(), arrived);
    }
}

#[tokio::test]
async fn of_an_answer_by_tcp_only_the_first_addresses_are_looked_at() {
    // A record takes 30 bytes, and a message by TCP at most 64 KiB.
    const COUNT: usize = 2_000;
    for (before, arrived) in [(15, 1), (16, 0), (COUNT, 0)] {
        let other = |n: usize| address(&format!("10.0.{}.{}", n / 250, n % 250));
        let mut many: Vec<_> = (0..COUNT).map(other).collect();
        many.insert(before, address(HONEST));
        let stage = Stage::answering_within(Duration::from_secs(20), move |_, _| {
            DnsAnswer::Truncated(Vec::new(), ByTcp::Records(many.clone()))
        })
        .await;
        let outcome = stage.get().await;
        assert!(
            matches!(outcome, Ok(()) | Err(EgressError::AddressDenied { .. })),
            "{before}: {outcome:?}"
        );
        assert!(stage.dns.queries_by_tcp() > 0);
        assert_eq!(stage.honest.seen.connections(), arrived, "{before}");
    }
}

#[tokio::test]
async fn an_answer_by_tcp_that_does_not_come_to_its_end_is_none_and_not_waited_for() {
    let honest = || vec![address(HONEST)];
    for by_tcp in [
        ByTcp::Cut(honest(), 1),
        ByTcp::Cut(honest(), 20),
        ByTcp::Cut(honest(), 33),
        ByTcp::Stalled(honest(), 1),
        ByTcp::Stalled(honest(), 33),
    ] {
        let shown = format!("{by_tcp:?}");
        let stage =
            Stage::answering(move |_, _| DnsAnswer::Truncated(honest(), by_tcp.clone())).await;
        // The resolver by itself would wait for 5 seconds, and then ask again.
        let outcome = tokio::time::timeout(Duration::from_secs(4), stage.get()).await;
        let error = outcome.expect(&shown).expect_err(&shown);
        let refused = matches!(
            error,
            EgressError::Unresolvable { .. }
                | EgressError::Timeout {
                    which: Wait::Resolve,
                    ..
                }
        );
        assert!(refused, "{shown}: {error:?}");
        assert_eq!(error.was_sent(), Sent::No);
        assert!(stage.dns.queries_by_tcp() > 0, "{shown}");
        assert_eq!(stage.honest.seen.connections(), 0, "{shown}");
    }
}

#[tokio::test]
async fn a_name_server_that_says_nothing_is_not_waited_for() {
    let stage = Stage::answering(|_, _| DnsAnswer::Silence).await;
    let error = stage.get().await.unwrap_err();
    let EgressError::Timeout { which, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(which, Wait::Resolve);
    assert_eq!(stage.honest.seen.connections(), 0);
}

#[tokio::test]
async fn an_address_is_not_asked_for_and_a_name_is_asked_for_whole() {
    let stage = Stage::answering(|_, _| DnsAnswer::NoName).await;
    let port = stage.victim.port;
    for host in ["127.0.0.1", "0x7f.1", "[::1]"] {
        stage
            .bench
            .get(&format!("http://{host}:{port}/"))
            .await
            .unwrap_err();
    }
    assert_eq!(stage.dns.queries(), 0);
    stage
        .bench
        .get(&format!("http://single:{port}/"))
        .await
        .unwrap_err();
    assert_eq!(stage.dns.asked_for("single"), 1, "without a search list");
}

#[tokio::test]
async fn a_listed_name_that_turns_to_a_clouds_metadata_is_refused() {
    for turned in ["169.254.169.254", "fd00:ec2::254", "0.0.0.0", "224.0.0.1"] {
        let dns = NameServer::answering(move |_, _| DnsAnswer::addresses([turned])).await;
        let bench = Bench::builder()
            .resolver(Arc::new(SystemResolver::asking(&[dns.address])))
            .allow(NAME, 80)
            .build();
        let error = bench.get(&format!("http://{NAME}/")).await.unwrap_err();
        assert!(
            matches!(error, EgressError::AddressDenied { .. }),
            "{turned}: {error:?}"
        );
    }
}
