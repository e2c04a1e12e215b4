//! An upstream that speaks HTTP/2 in frames written by hand, over TLS, so that it
//! can say what no honest server would.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Seen, Upstream};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `:status: 200`, which is in the static table.
pub(crate) const STATUS_200: &[u8] = &[0x88];
/// `:status: 103`.
pub(crate) const STATUS_103: &[u8] = b"\x08\x03103";

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

/// One header, neither compressed nor remembered.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0], text(name).as_slice(), &text(value)].concat()
}

/// One header that is remembered: `0xbe` names it again.
pub(crate) fn remembered(name: &str, value: &str) -> Vec<u8> {
    [&[0x40], text(name).as_slice(), &text(value)].concat()
}

/// A text with its length, a number whose first byte has seven bits (RFC 7541
/// section 5.1).
fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len().checked_sub(127) {
        None => bytes.push(u8::try_from(text.len()).unwrap()),
        Some(mut rest) => {
            bytes.push(127);
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// What an upstream says once it has the head of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// What its first settings hold.
    pub(crate) settings: Vec<u8>,
    /// First this,
    pub(crate) first: Vec<u8>,
    /// then this again and again, until the connection is closed.
    pub(crate) then: Vec<u8>,
}

/// An upstream that does to each connection what a script says.
pub(crate) struct FramesUpstream {
    pub(crate) upstream: Upstream,
    /// Once for each connection to which nothing more could be said.
    pub(crate) silenced: Arc<Notify>,
    /// Once for each stream or connection that the client gave up.
    pub(crate) given_up: Arc<Notify>,
}

impl FramesUpstream {
    /// Streams of requests are numbered from 1; a script answers the first.
    pub(crate) async fn saying(mut tls: ServerConfig, script: Script) -> Self {
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let (silenced, given_up) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let told = [Arc::clone(&silenced), Arc::clone(&given_up)];
        let upstream = Upstream::scripted(move |tcp, _: Seen| {
            serve(tcp, acceptor.clone(), script.clone(), told.clone())
        })
        .await;
        Self {
            upstream,
            silenced,
            given_up,
        }
    }
}

async fn serve(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    script: Script,
    [silenced, given_up]: [Arc<Notify>; 2],
) {
    let Ok(mut tls) = acceptor.accept(tcp).await else {
        return;
    };
    let mut preface = [0; PREFACE.len()];
    tls.read_exact(&mut preface).await.unwrap();
    assert_eq!(preface, PREFACE);
    let settings = frame(SETTINGS, 0, 0, &script.settings);
    tls.write_all(&settings).await.unwrap();
    while let Some((kind, flags)) = next_frame(&mut tls).await {
        match kind {
            SETTINGS if flags == 0 => tls.write_all(&frame(SETTINGS, 1, 0, &[])).await.unwrap(),
            HEADERS => break,
            _ => {}
        }
    }
    // A client whose words are not read could not say more.
    let (rest, answer) = tokio::io::split(tls);
    tokio::join!(hear(rest, &given_up), say(answer, script, &silenced));
}

async fn say(mut tls: WriteHalf<TlsStream<TcpStream>>, script: Script, silenced: &Notify) {
    let mut written = tls.write_all(&script.first).await;
    while written.is_ok() && !script.then.is_empty() {
        written = tls.write_all(&script.then).await;
    }
    if written.is_err() {
        silenced.notify_one();
    }
    drop(tls.flush().await);
}

async fn hear(mut tls: ReadHalf<TlsStream<TcpStream>>, given_up: &Notify) {
    while let Some((kind, _)) = next_frame(&mut tls).await {
        if matches!(kind, RST_STREAM | GOAWAY) {
            given_up.notify_one();
        }
    }
}

/// Kind and flags of the next frame.
async fn next_frame(tls: &mut (impl AsyncRead + Unpin)) -> Option<(u8, u8)> {
    let mut head = [0; 9];
    tls.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    tls.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[4]))
}
