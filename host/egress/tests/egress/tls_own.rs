//! What a connection says about TLS itself: roots that replace the others,
//! pins, and a client certificate.

use std::sync::Arc;

use keyway_egress::{
    ClientSpec, EgressError, Exchange, Sent, SetupError, SpkiPin, TlsSettings, TlsSpec,
};
use keyway_model::limit::{TLS_CLIENT_BYTES_MAX, TLS_PINS_MAX, TLS_ROOTS_BYTES_MAX, TLS_ROOTS_MAX};
use keyway_model::net::Method;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::support::{
    Authority, Bench, Credential, TlsUpstream, Upstream, read, reply, self_signed_and_pin,
};

fn url(port: u16) -> String {
    format!("https://upstream.test:{port}/x")
}

fn settings(spec: &TlsSpec) -> Arc<TlsSettings> {
    Arc::new(TlsSettings::new(spec).unwrap())
}

fn trusting(authority: &Authority) -> TlsSpec {
    TlsSpec {
        roots_pem: Some(authority.pem.clone()),
        ..TlsSpec::default()
    }
}

async fn send(
    bench: &Bench,
    port: u16,
    tls: &Arc<TlsSettings>,
    credential: Credential,
) -> Result<(), EgressError> {
    let entry = bench.entry(Method::Get, &url(port), credential).await;
    let exchange = Exchange {
        tls: Some(Arc::clone(tls)),
        ..Exchange::default()
    };
    let reply = bench.egress.send(&entry, exchange).await?;
    read(reply).await.map(|_| ())
}

#[tokio::test]
async fn the_roots_of_a_connection_replace_all_others() {
    let (platform, own) = (Authority::new(), Authority::new());
    let by_platform = TlsUpstream::echoing(platform.server("upstream.test", |_| {})).await;
    let by_own = TlsUpstream::echoing(own.server("upstream.test", |_| {})).await;
    let bench = Bench::builder()
        .allow("upstream.test", by_platform.port())
        .allow("upstream.test", by_own.port())
        .trust(platform.pem.clone())
        .build();
    let tls = settings(&trusting(&own));
    send(&bench, by_own.port(), &tls, Credential::None)
        .await
        .unwrap();
    let error = send(&bench, by_platform.port(), &tls, Credential::None)
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
    assert_eq!(error.was_sent(), Sent::No);
    assert!(by_platform.requests.lock().is_empty());
    // Without settings of its own, a connection trusts what the platform does.
    bench.get(&url(by_platform.port())).await.unwrap();
    bench.get(&url(by_own.port())).await.unwrap_err();
}

#[tokio::test]
async fn a_pin_is_asked_for_beside_a_certificate_that_holds() {
    let authority = Authority::new();
    let config = authority.server("upstream.test", |_| {});
    let tls = TlsUpstream::echoing(config).await;
    let bench = Bench::builder()
        .allow("upstream.test", tls.port())
        .trust(authority.pem.clone())
        .build();
    let other: SpkiPin = format!("sha256/{}=", "A".repeat(43)).parse().unwrap();
    let spec = TlsSpec {
        pins: vec![other],
        ..TlsSpec::default()
    };
    let sent = send(&bench, tls.port(), &settings(&spec), Credential::None).await;
    let said = sent.unwrap_err().operator_text();
    assert!(
        tls.requests.lock().is_empty(),
        "nothing is sent to another key"
    );
    // The error names the key that was found, so that it can be pinned.
    let found: SpkiPin = said
        .split_whitespace()
        .find_map(|word| word.trim_end_matches(',').parse().ok())
        .unwrap_or_else(|| panic!("{said}"));
    let spec = TlsSpec {
        pins: vec![other, found],
        ..TlsSpec::default()
    };
    send(&bench, tls.port(), &settings(&spec), Credential::None)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_right_key_does_not_make_up_for_a_certificate_that_does_not_hold() {
    let (by_itself, pin) = self_signed_and_pin("upstream.test");
    let tls = TlsUpstream::echoing(by_itself).await;
    let bench = Bench::builder().allow("upstream.test", tls.port()).build();
    let spec = TlsSpec {
        pins: vec![pin],
        ..TlsSpec::default()
    };
    let sent = send(&bench, tls.port(), &settings(&spec), Credential::None).await;
    let error = sent.unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
    let said = error.operator_text();
    assert!(said.contains("UnknownIssuer"), "{said}");
    assert!(!said.contains("pins"), "{said}");
    assert!(tls.requests.lock().is_empty());
}

#[test]
fn a_pin_is_the_sha_256_of_the_public_key_and_is_written_in_one_way() {
    let authority = Authority::new();
    let certificate = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    let parsed = rustls::server::ParsedCertificate::try_from(&certificate).unwrap();
    let pin = SpkiPin::of_spki(&parsed.subject_public_key_info());
    assert_eq!(pin.to_string().parse(), Ok(pin));
    let base64 = "A".repeat(43);
    for text in [
        String::new(),
        format!("{base64}="),
        format!("sha256/{base64}"),
        format!("sha256//{base64}="),
        format!("sha1/{base64}="),
        "sha256/AAAA".to_owned(),
        format!("sha256/{base64}=="),
    ] {
        assert!(text.parse::<SpkiPin>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_only_with_the_connections_credential() {
    let authority = Authority::new();
    let tls = TlsUpstream::echoing(authority.server_for_known_clients("upstream.test")).await;
    let bench = Bench::builder().allow("upstream.test", tls.port()).build();
    let (client, certificate) = authority.client("keyway");
    let spec = TlsSpec {
        client: Some(client),
        ..trusting(&authority)
    };
    let own = settings(&spec);
    for credential in [Credential::Granted, Credential::None, Credential::Granted] {
        send(&bench, tls.port(), &own, credential).await.unwrap();
    }
    send(
        &bench,
        tls.port(),
        &settings(&trusting(&authority)),
        Credential::Granted,
    )
    .await
    .unwrap();
    let shown: Vec<Option<Vec<u8>>> = tls
        .requests
        .lock()
        .iter()
        .map(|r| r.client.clone())
        .collect();
    let known = Some(certificate);
    assert_eq!(shown, [known.clone(), None, known, None]);
    let connections = tls.upstream.seen.connections();
    assert_eq!(
        connections, 3,
        "one for each identity, used again by it alone"
    );
}

#[tokio::test]
async fn a_client_certificate_is_not_left_out_over_http() {
    let upstream = Upstream::answering(reply("", b"")).await;
    let bench = Bench::builder()
        .allow_clear("127.0.0.1", upstream.port)
        .build();
    let spec = TlsSpec {
        client: Some(Authority::new().client("keyway").0),
        ..TlsSpec::default()
    };
    let entry = bench
        .entry(Method::Get, &upstream.url("/"), Credential::Granted)
        .await;
    let exchange = Exchange {
        tls: Some(settings(&spec)),
        ..Exchange::default()
    };
    let error = bench.egress.send(&entry, exchange).await.unwrap_err();
    assert!(matches!(error, EgressError::Target { .. }), "{error:?}");
    assert_eq!(upstream.seen.connections(), 0);
}

#[tokio::test]
async fn neither_a_socket_nor_a_session_is_shared_between_identities() {
    let authority = Authority::new();
    let mut config = authority.server_for_known_clients("upstream.test");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tls = TlsUpstream::echoing(config).await;
    let identities: Vec<Arc<TlsSettings>> = ["first", "second"]
        .map(|name| {
            settings(&TlsSpec {
                client: Some(authority.client(name).0),
                ..trusting(&authority)
            })
        })
        .into();
    for idle in [0, 8] {
        let bench = Bench::builder()
            .allow("upstream.test", tls.port())
            .with(|config| config.limits.idle_connections_max = idle)
            .build();
        let before = tls.upstream.seen.connections();
        tls.requests.lock().clear();
        for own in [
            &identities[0],
            &identities[1],
            &identities[0],
            &identities[1],
        ] {
            send(&bench, tls.port(), own, Credential::Granted)
                .await
                .unwrap();
        }
        let requests = tls.requests.lock().clone();
        assert_eq!(requests[0].client, requests[2].client);
        assert_eq!(requests[1].client, requests[3].client);
        assert_ne!(requests[0].client, requests[1].client);
        let fresh: Vec<bool> = requests.iter().take(2).map(|r| r.resumed).collect();
        assert_eq!(
            fresh,
            [false, false],
            "the second resumes nothing of the first"
        );
        let opened = tls.upstream.seen.connections() - before;
        assert_eq!(opened, if idle == 0 { 4 } else { 2 });
    }
}

#[test]
fn settings_that_cannot_be_used_are_refused_when_they_are_read() {
    let authority = Authority::new();
    let (good, _) = authority.client("first");
    let (other, _) = authority.client("second");
    let roots = |pem: &str| TlsSpec {
        roots_pem: Some(pem.to_owned()),
        ..TlsSpec::default()
    };
    let client = |chain: &str, key: &str| TlsSpec {
        client: Some(ClientSpec {
            chain_pem: chain.to_owned(),
            key_pem: Zeroizing::new(key.to_owned()),
        }),
        ..TlsSpec::default()
    };
    for text in [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let error = TlsSettings::new(&roots(text)).unwrap_err();
        assert!(matches!(error, SetupError::Roots(_)), "{text}: {error:?}");
    }
    let error = TlsSettings::new(&client("", &good.key_pem)).unwrap_err();
    assert!(
        matches!(error, SetupError::ClientCertificate(_)),
        "{error:?}"
    );
    let error = TlsSettings::new(&client(&good.chain_pem, "canary-key")).unwrap_err();
    assert!(matches!(error, SetupError::ClientKey), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("canary"));
    let error = TlsSettings::new(&client(&good.chain_pem, &other.key_pem)).unwrap_err();
    assert!(matches!(error, SetupError::Tls(_)), "{error:?}");
    let shown = format!("{:?}", client(&good.chain_pem, &good.key_pem));
    assert!(!shown.contains("BEGIN"), "{shown}");
}

#[test]
fn more_roots_or_pins_than_a_connection_may_bring_are_refused_by_name() {
    let authority = Authority::new();
    let with_roots = |pem: String| TlsSpec {
        roots_pem: Some(pem),
        ..TlsSpec::default()
    };
    let with_pins = |count: usize| TlsSpec {
        pins: vec![SpkiPin::of_spki(b"a key"); count],
        ..TlsSpec::default()
    };
    let with_chain = |more: usize| {
        let (mut client, _) = authority.client("keyway");
        client.chain_pem.push_str(&"\n".repeat(more));
        TlsSpec {
            client: Some(client),
            ..TlsSpec::default()
        }
    };
    for most in [
        with_roots(authority.pem.repeat(TLS_ROOTS_MAX)),
        with_pins(TLS_PINS_MAX),
        with_chain(0),
    ] {
        assert!(TlsSettings::new(&most).is_ok());
    }
    let padded = authority.pem.clone() + &"\n".repeat(TLS_ROOTS_BYTES_MAX);
    for (spec, name, max) in [
        (
            with_roots(authority.pem.repeat(TLS_ROOTS_MAX + 1)),
            "TLS_ROOTS_MAX",
            TLS_ROOTS_MAX,
        ),
        (
            with_roots(padded),
            "TLS_ROOTS_BYTES_MAX",
            TLS_ROOTS_BYTES_MAX,
        ),
        (with_pins(TLS_PINS_MAX + 1), "TLS_PINS_MAX", TLS_PINS_MAX),
        (
            with_chain(TLS_CLIENT_BYTES_MAX),
            "TLS_CLIENT_BYTES_MAX",
            TLS_CLIENT_BYTES_MAX,
        ),
    ] {
        let said = TlsSettings::new(&spec).unwrap_err().to_string();
        assert!(said.contains(&format!("`{name}` ({max})")), "{said}");
    }
}
