//! What one client, and all clients of the socket, find room for.

use std::future::pending;
use std::io;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use keyway_model::limit::{
    LISTENER_BUFFER_BYTES_MAX, LISTENER_STREAM_WINDOW_BYTES, LISTENER_STREAMS_MAX,
    SOCKET_CONNECTIONS_MAX,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::{UnixListener, UnixStream};

use crate::serve::{serve_connection, serve_socket};

/// Longer than a test takes.
const IDLE: Duration = Duration::from_secs(600);

/// A client of a listener whose calls all go to `router`.
fn client_of(router: Router) -> DuplexStream {
    let (client, server) = tokio::io::duplex(1 << 20);
    tokio::spawn(serve_connection(server, router, IDLE));
    client
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

#[expect(clippy::disallowed_methods, reason = "a client of the socket")]
async fn asks(socket: &Path) -> io::Result<UnixStream> {
    let mut client = UnixStream::connect(socket).await?;
    client.write_all(REQUEST).await?;
    Ok(client)
}

/// That there is nothing at this path, as one who was let in is told.
async fn is_served(client: &mut UnixStream) -> io::Result<()> {
    let mut status = [0; 12];
    client.read_exact(&mut status).await?;
    assert_eq!(&status, b"HTTP/1.1 404");
    Ok(())
}

#[tokio::test]
async fn further_connections_to_the_socket_wait_until_one_of_those_before_is_closed()
-> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let socket = dir.path().join("api.sock");
    let listener = UnixListener::bind(&socket)?;
    tokio::spawn(serve_socket(listener, Router::default()));
    let mut held = Vec::new();
    for _ in 0..SOCKET_CONNECTIONS_MAX {
        let mut client = asks(&socket).await?;
        is_served(&mut client).await?;
        held.push(client);
    }
    let mut further = asks(&socket).await?;
    // Those who are there are served again meanwhile.
    for client in &mut held {
        let rest = client.read(&mut [0; 4_096]).await?;
        assert!(rest > 0);
        client.write_all(REQUEST).await?;
        is_served(client).await?;
    }
    let read = further.try_read(&mut [0; 12]);
    let kind = read.map_err(|error| error.kind());
    assert_eq!(kind, Err(io::ErrorKind::WouldBlock));
    held.pop();
    is_served(&mut further).await
}

#[tokio::test]
async fn a_head_that_is_longer_than_it_may_be_is_refused() -> io::Result<()> {
    let most = LISTENER_BUFFER_BYTES_MAX as usize;
    // What is a little longer may still find room in the last piece that was set aside.
    for (bytes, status) in [(most, b"HTTP/1.1 404"), (4 * most, b"HTTP/1.1 431")] {
        let mut client = client_of(Router::default());
        let (begin, end) = ("GET / HTTP/1.1\r\nhost: h\r\nx-long: ", "\r\n\r\n");
        let long = "x".repeat(bytes - begin.len() - end.len());
        let head = [begin, long.as_str(), end].concat();
        client.write_all(head.as_bytes()).await?;
        let mut told = [0; 12];
        client.read_exact(&mut told).await?;
        assert_eq!(&told, status, "{bytes} bytes");
    }
    Ok(())
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const REFUSED_STREAM: u32 = 7;
const FLOW_CONTROL_ERROR: u32 = 3;

/// `POST /` of `x`, whose body follows.
const POST: [u8; 6] = [0x83, 0x86, 0x84, 0x41, 1, b'x'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<Vec<u8>> {
    let [high, low] = u16::try_from(payload.len())
        .map_err(io::Error::other)?
        .to_be_bytes();
    let head = [0, high, low, kind, flags];
    Ok([head.as_slice(), &stream.to_be_bytes(), payload].concat())
}

/// The next frame of a server: its kind, its stream and what it holds.
async fn next_frame(client: &mut DuplexStream) -> io::Result<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    client.read_exact(&mut head).await?;
    let [_, high, low, kind, _, stream @ ..] = head;
    let mut payload = vec![0; usize::from(high) << 8 | usize::from(low)];
    client.read_exact(&mut payload).await?;
    Ok((kind, u32::from_be_bytes(stream), payload))
}

/// The last four bytes as a number.
fn number(payload: &[u8]) -> Option<u32> {
    payload.last_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn greeting() -> io::Result<Vec<u8>> {
    let settings = frame(SETTINGS, 0, 0, &[])?;
    Ok([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings.as_slice()].concat())
}

/// One whose calls nobody answers, and whose bodies nobody reads.
fn client_of_nobody() -> DuplexStream {
    client_of(Router::default().fallback(pending::<StatusCode>))
}

#[tokio::test]
async fn one_connection_has_so_many_requests_at_once_and_a_further_one_is_refused() -> io::Result<()>
{
    let mut client = client_of_nobody();
    let mut said = greeting()?;
    // `GET /` of `x`, again and again.
    let request = [0x82, 0x86, 0x84, 0x41, 1, b'x'];
    for number in 0..=LISTENER_STREAMS_MAX {
        said.extend(frame(HEADERS, 5, 2 * number + 1, &request)?);
    }
    client.write_all(&said).await?;
    loop {
        let (kind, stream, payload) = next_frame(&mut client).await?;
        assert_ne!(kind, HEADERS, "somebody was answered");
        if kind == RST_STREAM {
            assert_eq!(stream, 2 * LISTENER_STREAMS_MAX + 1);
            assert_eq!(payload, REFUSED_STREAM.to_be_bytes());
            return Ok(());
        }
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_leaves_others_of_its_connection_room() -> io::Result<()> {
    const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
    /// What a connection has before anybody says more.
    const CONNECTION_WINDOW_BYTES: u32 = 65_535;
    let mut client = client_of_nobody();
    client.write_all(&greeting()?).await?;
    let (mut of_one, mut more) = (None, None);
    while of_one.is_none() || more.is_none() {
        match next_frame(&mut client).await? {
            (SETTINGS, 0, payload) => {
                let mut settings = payload.chunks_exact(6);
                let window = settings.find(|one| one.starts_with(&INITIAL_WINDOW_SIZE));
                of_one = of_one.or(window.and_then(number));
            }
            (WINDOW_UPDATE, 0, payload) => more = number(&payload),
            _ => {}
        }
    }
    let all = more.unwrap_or_default() + CONNECTION_WINDOW_BYTES;
    assert_eq!(of_one, Some(LISTENER_STREAM_WINDOW_BYTES));
    assert_eq!(all, LISTENER_STREAMS_MAX * LISTENER_STREAM_WINDOW_BYTES);
    // One byte more of a body than its window ends it.
    let mut said = frame(HEADERS, 4, 1, &POST)?;
    for _ in 0..4 {
        said.extend(frame(DATA, 0, 1, &[0; 16 << 10])?);
    }
    said.extend(frame(DATA, 0, 1, &[0])?);
    client.write_all(&said).await?;
    loop {
        let (kind, _, payload) = next_frame(&mut client).await?;
        assert_ne!(kind, HEADERS, "somebody was answered");
        if kind == RST_STREAM || kind == GOAWAY {
            let code = payload.get(if kind == GOAWAY { 4..8 } else { 0..4 });
            assert_eq!(code, Some(FLOW_CONTROL_ERROR.to_be_bytes().as_slice()));
            return Ok(());
        }
    }
}
