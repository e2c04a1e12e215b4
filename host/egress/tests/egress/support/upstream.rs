//! Upstreams on loopback that answer in exact bytes, so that a test says what
//! is on the wire in both directions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What an upstream has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Seen {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Each request as it came, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

/// Something that listens on 127.0.0.1 until it is dropped.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    pub(crate) seen: Seen,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Answers every request on every connection with these bytes, then keeps
    /// the connection.
    pub(crate) async fn answering(reply: impl Into<Vec<u8>>) -> Self {
        Self::answering_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), reply)
    }

    /// The same, where a test listens already.
    pub(crate) fn answering_on(listener: TcpListener, reply: impl Into<Vec<u8>>) -> Self {
        let reply: Arc<[u8]> = reply.into().into();
        Self::scripted_on(listener, move |mut tcp, seen| {
            let reply = Arc::clone(&reply);
            async move {
                while next_request(&mut tcp, &seen).await.is_some() {
                    if tcp.write_all(&reply).await.is_err() {
                        return;
                    }
                }
            }
        })
    }

    /// Does to each connection what `script` says.
    pub(crate) async fn scripted<F>(script: impl Fn(TcpStream, Seen) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::scripted_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    fn scripted_on<F>(
        listener: TcpListener,
        script: impl Fn(TcpStream, Seen) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let port = listener.local_addr().unwrap().port();
        let seen = Seen::default();
        let counted = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(tcp, counted.clone()));
            }
        });
        Self { port, seen, task }
    }

    /// A URL of this upstream by its address.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one request with its body, if it has one, and notes it.
pub(crate) async fn next_request(tcp: &mut TcpStream, seen: &Seen) -> Option<String> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |digits| digits.parse().unwrap());
            let chunked = head.contains("transfer-encoding: chunked");
            if body.len() >= length && (!chunked || body.ends_with("0\r\n\r\n")) {
                seen.requests.lock().push(text.clone());
                return Some(text);
            }
        }
        match tcp.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => {
                text.push_str(&String::from_utf8_lossy(
                    buffer.get(..read).unwrap_or_default(),
                ));
            }
        }
    }
}

/// A 200 with these headers (each with its line end) and this body.
pub(crate) fn reply(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
