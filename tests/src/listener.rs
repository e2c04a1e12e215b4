//! Servers of the tests' own, which note the very bytes that reach them.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Listens on a loopback address until the test ends.
pub(crate) struct Listener {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    /// Answers each request with what `answer` makes of it, and closes.
    pub(crate) fn answering(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = String::new();
                let mut buffer = [0; 4096];
                while !is_whole(&request) {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(read) => request.push_str(&String::from_utf8_lossy(&buffer[..read])),
                    }
                }
                let reply = answer(&request);
                noted.lock().unwrap().push(request);
                // A client that has gone needs no answer.
                drop(stream.write_all(reply.as_bytes()));
            }
        });
        Self { port, requests }
    }

    /// Each request, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |digits| digits.parse().unwrap());
    body.len() >= length
}

/// A reply with these headers, each with its line end, and this body.
pub(crate) fn reply(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A name server that knows no name and takes `pause` to say so, and how often it
/// was asked for one.
#[expect(clippy::disallowed_methods, reason = "the name server of the tests")]
pub(crate) fn name_server_without_names(pause: Duration) -> (u16, Arc<Mutex<usize>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            *counted.lock().unwrap() += 1;
            std::thread::park_timeout(pause);
            let mut answer = buffer[..length].to_vec();
            // An answer, to a question that may recurse: there is no such name.
            (answer[2], answer[3]) = (0x81, 0x83);
            socket.send_to(&answer, from).unwrap();
        }
    });
    (port, asked)
}
