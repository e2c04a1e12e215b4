//! TLS, and HTTP/2 by ALPN.

use std::sync::Arc;
use std::time::Duration;

use http::Version;
use keyway_egress::{
    Egress, EgressConfig, EgressError, Exchange, RequestBody, Sent, SetupError, Wait,
};
use keyway_model::net::Method;
use rcgen::{
    DnType, ExtendedKeyUsagePurpose, GeneralSubtree, KeyUsagePurpose, NameConstraints,
    SerialNumber, date_time_ymd,
};
use rustls::ServerConfig;

use crate::support::{Authority, Bench, TlsUpstream, Upstream, read, self_signed};

fn bench(authority: &Authority, port: u16) -> Bench {
    Bench::builder()
        .allow("upstream.test", port)
        .allow("127.0.0.1", port)
        .trust(authority.pem.clone())
        .build()
}

fn url(port: u16) -> String {
    format!("https://upstream.test:{port}/x")
}

#[tokio::test]
async fn http_2_is_spoken_where_the_upstream_offers_it_on_one_connection() {
    let authority = Authority::new();
    let tls = TlsUpstream::echoing(authority.server("upstream.test", |_| {})).await;
    let bench = bench(&authority, tls.port());
    for _ in 0..3 {
        let exchange = Exchange {
            body: RequestBody::whole("x"),
            ..Exchange::default()
        };
        let reply = bench
            .send(Method::Post, &url(tls.port()), exchange)
            .await
            .unwrap();
        assert_eq!(read(reply).await.unwrap(), "over tls");
    }
    let requests = tls.requests.lock().clone();
    assert_eq!(tls.upstream.seen.connections(), 1);
    for request in &requests {
        assert_eq!(request.version, Version::HTTP_2);
        assert_eq!(request.server_name.as_deref(), Some("upstream.test"));
        assert_eq!(
            request.authority,
            Some(format!("upstream.test:{}", tls.port()))
        );
        assert!(
            !request.headers.contains_key("host"),
            "one authority, not two"
        );
        assert_eq!(request.headers.get("accept-encoding").unwrap(), "identity");
    }
}

#[tokio::test]
async fn http_1_1_is_spoken_where_the_upstream_offers_no_more() {
    let authority = Authority::new();
    let mut config = authority.server("upstream.test", |_| {});
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tls = TlsUpstream::echoing(config).await;
    read(
        bench(&authority, tls.port())
            .get(&url(tls.port()))
            .await
            .unwrap(),
    )
    .await
    .unwrap();
    let request = tls.requests.lock().first().unwrap().clone();
    assert_eq!(request.version, Version::HTTP_11);
    let host = format!("upstream.test:{}", tls.port());
    assert_eq!(
        request.headers.get_all("host").iter().collect::<Vec<_>>(),
        [host.as_str()]
    );
    assert_eq!(request.server_name.as_deref(), Some("upstream.test"));
}

async fn refused(config: ServerConfig, authority: &Authority) -> EgressError {
    let tls = TlsUpstream::echoing(config).await;
    let error = bench(authority, tls.port())
        .get(&url(tls.port()))
        .await
        .unwrap_err();
    assert!(
        tls.requests.lock().is_empty(),
        "nothing is sent without trust"
    );
    assert_eq!(error.was_sent(), Sent::No);
    error
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_refused() {
    let authority = Authority::new();
    let wrong_name = authority.server("other.test", |_| {});
    let expired = authority.server("upstream.test", |params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let too_early = authority.server("upstream.test", |params| {
        params.not_before = date_time_ymd(3000, 1, 1)
    });
    let wrong_use = authority.server("upstream.test", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let other_authority = Authority::new().server("upstream.test", |_| {});
    for (config, words) in [
        (wrong_name, "not valid for name"),
        (expired, "expired"),
        (too_early, "not valid yet"),
        (wrong_use, "key usage"),
        // An authority of the same name with another key.
        (other_authority, "BadSignature"),
        (self_signed("upstream.test"), "certificate"),
    ] {
        let error = refused(config, &authority).await;
        assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
        assert!(
            error.operator_text().contains(words),
            "{words}: {}",
            error.operator_text()
        );
    }
}

#[tokio::test]
async fn a_certificate_that_was_revoked_is_refused() {
    let authority = Authority::changed(|params| {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    });
    let numbered = |number: u64| {
        authority.server("upstream.test", |params| {
            params.serial_number = Some(SerialNumber::from(number));
        })
    };
    let revoked = TlsUpstream::echoing(numbered(7)).await;
    let good = TlsUpstream::echoing(numbered(8)).await;
    let bench = Bench::builder()
        .allow("upstream.test", revoked.port())
        .allow("upstream.test", good.port())
        .trust(authority.pem.clone())
        .with(|config| config.revoked_pem = vec![authority.revoking(7)])
        .build();
    bench.get(&url(good.port())).await.unwrap();
    let error = bench.get(&url(revoked.port())).await.unwrap_err();
    let said = error.operator_text();
    assert!(said.contains("Revoked"), "{said}");
    assert!(revoked.requests.lock().is_empty());

    // An authority without a list is believed.
    let other = Authority::changed(|params| {
        params
            .distinguished_name
            .push(DnType::CommonName, "another authority");
    });
    let unlisted = TlsUpstream::echoing(other.server("upstream.test", |_| {})).await;
    let bench = Bench::builder()
        .allow("upstream.test", unlisted.port())
        .trust(other.pem.clone())
        .with(|config| config.revoked_pem = vec![authority.revoking(7)])
        .build();
    bench.get(&url(unlisted.port())).await.unwrap();
}

#[tokio::test]
async fn an_authority_cannot_sign_for_names_outside_its_constraints() {
    let authority = Authority::changed(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("other.test".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let error = refused(authority.server("upstream.test", |_| {}), &authority).await;
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn an_address_in_a_url_needs_a_certificate_for_that_address() {
    let authority = Authority::new();
    let good = TlsUpstream::echoing(authority.server("127.0.0.1", |_| {})).await;
    let address = |port| format!("https://127.0.0.1:{port}/");
    read(
        bench(&authority, good.port())
            .get(&address(good.port()))
            .await
            .unwrap(),
    )
    .await
    .unwrap();
    assert_eq!(good.requests.lock().first().unwrap().server_name, None);

    let named = TlsUpstream::echoing(authority.server("upstream.test", |_| {})).await;
    let error = bench(&authority, named.port())
        .get(&address(named.port()))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_session_is_resumed_for_its_owner_and_for_nobody_else() {
    let authority = Authority::new();
    let mut config = authority.server("upstream.test", |_| {});
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tls = TlsUpstream::echoing(config).await;
    let owner = Bench::builder()
        .allow("upstream.test", tls.port())
        .trust(authority.pem.clone())
        .with(|config| config.limits.idle_connections_max = 0)
        .build();
    for bench in [
        &owner,
        &owner,
        &owner.other_connection(),
        &owner.other_tenant(),
        &owner.other_environment(),
        &owner.other_connector(),
        &owner,
    ] {
        read(bench.get(&url(tls.port())).await.unwrap())
            .await
            .unwrap();
    }
    assert_eq!(tls.upstream.seen.connections(), 7);
    let resumed: Vec<bool> = tls
        .requests
        .lock()
        .iter()
        .map(|request| request.resumed)
        .collect();
    assert_eq!(resumed, [false, true, false, false, false, false, true]);
}

#[tokio::test]
async fn an_upstream_that_never_agrees_on_tls_is_not_waited_for() {
    let upstream = Upstream::scripted(|tcp, _| async move {
        std::future::pending::<()>().await;
        drop(tcp);
    })
    .await;
    let bench = Bench::builder()
        .allow("upstream.test", upstream.port)
        .with(|config| config.timeouts.tls = Duration::from_millis(50))
        .build();
    let error = bench.get(&url(upstream.port)).await.unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::Timeout {
                which: Wait::Tls,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.was_sent(), Sent::No);
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_tls_gets_no_request() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let bench = Bench::builder()
        .allow("upstream.test", upstream.port)
        .with(|config| config.timeouts.tls = Duration::from_millis(50))
        .build();
    let error = bench.get(&url(upstream.port)).await.unwrap_err();
    assert_eq!(error.was_sent(), Sent::No, "{error:?}");
    assert!(upstream.seen.requests().is_empty());
}

#[test]
fn an_extra_root_that_is_not_a_certificate_is_refused_at_the_start() {
    for text in [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let good = Authority::new().pem;
        let config = EgressConfig {
            extra_roots_pem: vec![good, text.to_owned()],
            resolver: Arc::new(keyway_egress::FixedResolver::default()),
            ..EgressConfig::default()
        };
        let error = Egress::new(config).unwrap_err();
        assert!(
            matches!(error, SetupError::Root { index: 2, .. }),
            "{error:?}"
        );
    }
}
