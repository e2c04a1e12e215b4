//! Which places may be reached.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use keyway_egress::{
    AddressClass, EgressError, Exchange, FixedResolver, QuerySecret, Resolve, ResolveError, Sent,
};
use keyway_model::net::{HostName, Method};
use zeroize::Zeroizing;

use crate::support::{Bench, Credential, Upstream, read, reply};

#[tokio::test]
async fn loopback_is_reached_only_by_the_exact_host_and_port_that_the_platform_lists() {
    let upstream = Upstream::answering(reply("", b"here")).await;

    let listed = Bench::builder().allow("127.0.0.1", upstream.port).build();
    assert_eq!(
        read(listed.get(&upstream.url("/")).await.unwrap())
            .await
            .unwrap(),
        "here"
    );

    let other_port = Bench::builder()
        .allow("127.0.0.1", upstream.port ^ 1)
        .build();
    let by_name = Bench::builder()
        .allow("upstream.test", upstream.port)
        .build();
    let unlisted = Bench::builder().build();
    for bench in [other_port, by_name, unlisted] {
        let error = bench.get(&upstream.url("/")).await.unwrap_err();
        let EgressError::AddressDenied {
            class: AddressClass::Loopback,
            ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!(error.was_sent(), Sent::No);
    }
    assert_eq!(upstream.seen.connections(), 1);
}

#[tokio::test]
async fn a_denied_address_tells_the_operator_which_line_would_allow_it() {
    let error = Bench::builder()
        .build()
        .get("http://10.1.2.3:8080/")
        .await
        .unwrap_err();
    assert_eq!(
        error.operator_text(),
        "10.1.2.3 is 10.1.2.3 (private), which is not a public address: if it is meant to be reached, add [[egress.allow]] host = \"10.1.2.3\", port = 8080"
    );
}

#[tokio::test]
async fn every_spelling_of_loopback_is_loopback() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder().build();
    for host in [
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::]",
        "[64:ff9b::7f00:1]",
        "[::127.0.0.1]",
        "upstream.test",
        "UPSTREAM.test.",
    ] {
        let error = bench
            .get(&format!("http://{host}:{}/", upstream.port))
            .await
            .unwrap_err();
        assert!(
            matches!(error, EgressError::AddressDenied { .. }),
            "{host}: {error:?}"
        );
    }
    assert_eq!(upstream.seen.connections(), 0);
}

#[tokio::test]
async fn a_name_without_addresses_is_unresolvable() {
    let bench = Bench::builder().build();
    let error = bench.get("https://nowhere.test/").await.unwrap_err();
    assert!(
        matches!(error, EgressError::Unresolvable { .. }),
        "{error:?}"
    );
    assert_eq!(error.was_sent(), Sent::No);
}

/// Answers with one address after the other, for ever.
#[derive(Debug)]
struct Rebinding {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Resolve for Rebinding {
    async fn resolve(&self, _: &HostName) -> Result<Vec<IpAddr>, ResolveError> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst) % self.answers.len();
        Ok(self.answers.get(turn).cloned().unwrap_or_default())
    }
}

#[tokio::test]
async fn a_name_that_changes_its_mind_never_reaches_loopback() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let ip = |text: &str| text.parse().unwrap();
    let resolver = Arc::new(Rebinding {
        answers: vec![
            vec![ip("10.0.0.1"), ip("127.0.0.1")],
            vec![ip("127.0.0.1")],
            vec![ip("::ffff:127.0.0.1"), ip("::1")],
        ],
        asked: AtomicUsize::new(0),
    });
    let bench = Bench::builder()
        .resolver(resolver.clone())
        .with(|config| {
            config.limits.connects_per_second_max = u32::MAX;
            config.limits.lookups_per_second_max = u32::MAX;
        })
        .build();
    let url = format!("http://rebinding.test:{}/", upstream.port);
    for asked in 1..=1_000 {
        let error = bench.get(&url).await.unwrap_err();
        assert!(
            matches!(error, EgressError::AddressDenied { .. }),
            "{error:?}"
        );
        assert_eq!(
            resolver.asked.load(Ordering::SeqCst),
            asked,
            "one look-up for one dial"
        );
    }
    assert_eq!(upstream.seen.connections(), 0);
}

#[tokio::test]
async fn this_machines_own_public_address_is_denied() {
    let own: IpAddr = "8.8.8.8".parse().unwrap();
    let bench = Bench::builder()
        .with(|config| config.also_denied.push(own))
        .build();
    for host in ["8.8.8.8", "[::ffff:8.8.8.8]", "[64:ff9b::8.8.8.8]"] {
        let error = bench.get(&format!("http://{host}/")).await.unwrap_err();
        let denied = AddressClass::OwnInterface;
        assert!(matches!(error, EgressError::AddressDenied { class, .. } if class == denied));
    }
}

#[tokio::test]
async fn where_keyway_itself_listens_is_not_reached_although_it_is_allowed() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let port = upstream.port;
    for (listener, hosts) in [
        (
            "127.0.0.1",
            [
                "127.0.0.1",
                "upstream.test",
                "[::ffff:127.0.0.1]",
                "0.0.0.0",
            ]
            .as_slice(),
        ),
        (
            "0.0.0.0",
            &[
                "127.0.0.1",
                "upstream.test",
                "127.0.0.2",
                "[::1]",
                "0.0.0.0",
                "8.8.8.8",
            ],
        ),
        (
            "[::]",
            &["127.0.0.1", "upstream.test", "[::1]", "[::ffff:8.8.8.8]"],
        ),
        ("8.8.8.8", &["8.8.8.8", "[64:ff9b::8.8.8.8]", "0.0.0.0"]),
    ] {
        for host in hosts {
            let bench = Bench::builder()
                .allow(host, port)
                .with(|config| config.also_denied.push("8.8.8.8".parse().unwrap()))
                .build();
            let address: SocketAddr = format!("{listener}:{port}").parse().unwrap();
            bench.egress.never_reach(address);
            let url = format!("http://{host}:{port}/");
            let error = bench.get(&url).await.expect_err(host);
            let EgressError::AddressDenied { class, .. } = &error else {
                panic!("{listener} {host}: {error:?}")
            };
            assert_eq!(*class, AddressClass::OwnListener, "{listener} {host}");
            assert!(error.to_string().contains("another port"), "{error}");
        }
    }
    assert_eq!(upstream.seen.connections(), 0);

    // The port beside it, and the same port elsewhere, are reached.
    for listener in [format!("127.0.0.1:{}", port - 1), format!("8.8.8.8:{port}")] {
        let bench = Bench::builder().allow("127.0.0.1", port).build();
        bench.egress.never_reach(listener.parse().unwrap());
        bench.get(&upstream.url("/")).await.unwrap();
    }
}

#[tokio::test]
async fn a_credential_travels_in_clear_only_where_the_platform_says_so() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let url = upstream.url("/");
    let plain = Bench::builder().allow("127.0.0.1", upstream.port).build();
    let clear = Bench::builder()
        .allow_clear("127.0.0.1", upstream.port)
        .build();

    let entry = plain.entry(Method::Get, &url, Credential::Granted).await;
    let error = plain
        .egress
        .send(&entry, Exchange::default())
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Cleartext { .. }), "{error:?}");
    let query_secret = || {
        Some(QuerySecret {
            name: "key".to_owned(),
            value: Zeroizing::new("a b&c/é".to_owned()),
        })
    };
    let exchange = Exchange {
        query_secret: query_secret(),
        ..Exchange::default()
    };
    let error = plain.send(Method::Get, &url, exchange).await.unwrap_err();
    assert!(matches!(error, EgressError::Cleartext { .. }), "{error:?}");
    assert_eq!(upstream.seen.connections(), 0);

    let entry = clear.entry(Method::Get, &url, Credential::Granted).await;
    clear
        .egress
        .send(&entry, Exchange::default())
        .await
        .unwrap();
    let exchange = Exchange {
        query_secret: query_secret(),
        ..Exchange::default()
    };
    clear
        .send(Method::Get, &upstream.url("/x?y=1"), exchange)
        .await
        .unwrap();
    let requests = upstream.seen.requests();
    assert!(
        requests
            .last()
            .unwrap()
            .starts_with("GET /x?y=1&key=a%20b%26c%2F%C3%A9 HTTP/1.1\r\n")
    );
}

#[tokio::test]
async fn several_addresses_are_tried_until_one_answers() {
    let upstream = Upstream::answering(reply("", b"second")).await;
    let ip = |text: &str| text.parse().unwrap();
    let names = FixedResolver::new([(
        "two.test".parse().unwrap(),
        vec![ip("127.0.0.99"), ip("127.0.0.1")],
    )]);
    let bench = Bench::builder()
        .resolver(Arc::new(names))
        .allow("two.test", upstream.port)
        .build();
    let reply = bench
        .get(&format!("http://two.test:{}/", upstream.port))
        .await
        .unwrap();
    assert_eq!(read(reply).await.unwrap(), "second");
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_a_connect_error_and_nothing_was_sent() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let bench = Bench::builder().allow("127.0.0.1", port).build();
    let error = bench
        .get(&format!("http://127.0.0.1:{port}/"))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Connect { .. }), "{error:?}");
    assert_eq!(error.was_sent(), Sent::No);
}
