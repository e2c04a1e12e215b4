//! What is said in the first message of TLS, and what is answered to upstreams
//! that speak only old or weak forms of it. By hand, since no library here
//! speaks those.

use std::time::Duration;

use keyway_egress::{EgressError, Wait};
use rustls::{PeerIncompatible, PeerMisbehaved};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Bench, Upstream};

const EXTENSION_CERTIFICATE_COMPRESSION: u16 = 27;
const EXTENSION_SUPPORTED_VERSIONS: u16 = 43;
const EXTENSION_EARLY_DATA: u16 = 42;

/// The suites of TLS 1.3, and those of TLS 1.2 that are authenticated and agree
/// on a fresh key.
const GOOD_SUITES: [u16; 9] = [
    0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9,
];

/// `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`.
const GOOD_SUITE: u16 = 0xc02f;

/// Only a signal that renegotiation is safe, no suite.
const RENEGOTIATION_INFO: u16 = 0x00ff;

/// The body of the ClientHello in the first record.
async fn client_hello(tcp: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 5];
    tcp.read_exact(&mut head).await.unwrap();
    let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    tcp.read_exact(&mut record).await.unwrap();
    record.split_off(4)
}

/// A ServerHello of this version with this suite.
fn server_hello(version: u16, suite: u16) -> Vec<u8> {
    let (version, suite) = (version.to_be_bytes(), suite.to_be_bytes());
    let body = [&version[..], &[7; 32], &[0], &suite, &[0]].concat();
    let length = u8::try_from(body.len()).unwrap();
    let message = [&[2, 0, 0, length], body.as_slice()].concat();
    [&[22], &version[..], &[0, length + 4], &message].concat()
}

struct Hello {
    suites: Vec<u16>,
    extensions: Vec<(u16, Vec<u8>)>,
}

fn parsed(body: &[u8]) -> Hello {
    let mut rest = &body[34..];
    let mut take = |count: usize| {
        let (taken, after) = rest.split_at(count);
        rest = after;
        taken.to_vec()
    };
    let session = usize::from(take(1)[0]);
    take(session);
    let number = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    let suites = usize::from(number(&take(2)));
    let suites = take(suites).chunks(2).map(number).collect();
    assert_eq!(take(2), [1, 0], "no compression");
    let mut left = usize::from(number(&take(2)));
    let mut extensions = Vec::new();
    while left > 0 {
        let kind = number(&take(2));
        let length = usize::from(number(&take(2)));
        extensions.push((kind, take(length)));
        left -= 4 + length;
    }
    Hello { suites, extensions }
}

/// Answers the first message with these bytes; gives what came of the request,
/// and the message.
async fn greeted_with(answer: Vec<u8>) -> (EgressError, Hello) {
    let (sender, mut hellos) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::scripted(move |mut tcp, _| {
        let (answer, sender) = (answer.clone(), sender.clone());
        async move {
            sender.send(client_hello(&mut tcp).await).unwrap();
            tcp.write_all(&answer).await.unwrap();
            // Until the client has gone: what it says last is read.
            let mut rest = Vec::new();
            drop(tcp.read_to_end(&mut rest).await);
        }
    })
    .await;
    let bench = Bench::builder()
        .allow("upstream.test", upstream.port)
        .with(|config| config.timeouts.tls = Duration::from_secs(1))
        .build();
    let url = format!("https://upstream.test:{}/", upstream.port);
    let error = bench.get(&url).await.unwrap_err();
    (error, parsed(&hellos.recv().await.unwrap()))
}

#[tokio::test]
async fn old_versions_and_weak_suites_of_tls_are_refused() {
    for (what, version, suite) in [
        ("SSL 3.0", 0x0300, 0x002f),
        ("TLS 1.0", 0x0301, 0xc013),
        ("TLS 1.1", 0x0302, 0xc013),
        ("TLS 1.1 with a good suite", 0x0302, GOOD_SUITE),
        ("TLS 1.2 with CBC", 0x0303, 0xc027),
        ("TLS 1.2 without a fresh key", 0x0303, 0x009c),
        ("TLS 1.2 with RC4", 0x0303, 0xc011),
        ("TLS 1.2 without encryption", 0x0303, 0xc010),
        ("TLS 1.2 without authentication", 0x0303, 0xc018),
    ] {
        let (error, _) = greeted_with(server_hello(version, suite)).await;
        let EgressError::Tls { source, .. } = &error else {
            panic!("{what}: {error:?}")
        };
        let inner = source.get_ref().unwrap();
        let why = inner.downcast_ref::<rustls::Error>().unwrap();
        let expected = if version < 0x0303 {
            PeerIncompatible::ServerDoesNotSupportTls12Or13.into()
        } else {
            PeerMisbehaved::SelectedUnofferedCipherSuite.into()
        };
        assert_eq!(*why, expected, "{what}");
    }
}

#[tokio::test]
async fn the_same_hello_of_a_good_version_and_suite_is_taken_and_more_is_waited_for() {
    let (error, _) = greeted_with(server_hello(0x0303, GOOD_SUITE)).await;
    let EgressError::Timeout { which, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(which, Wait::Tls);
}

#[tokio::test]
async fn only_good_suites_of_two_versions_are_offered_and_nothing_is_compressed() {
    let (_, hello) = greeted_with(server_hello(0x0301, 0xc013)).await;
    let offered = |suite: &u16| GOOD_SUITES.contains(suite) || *suite == RENEGOTIATION_INFO;
    assert!(hello.suites.iter().all(offered), "{:04x?}", hello.suites);
    let extension = |kind| hello.extensions.iter().find(|(found, _)| *found == kind);
    let (_, versions) = extension(EXTENSION_SUPPORTED_VERSIONS).unwrap();
    assert_eq!(*versions, [4, 3, 4, 3, 3], "TLS 1.3 and 1.2");
    assert!(extension(EXTENSION_CERTIFICATE_COMPRESSION).is_none());
    assert!(
        extension(EXTENSION_EARLY_DATA).is_none(),
        "a request is not replayable"
    );
}
