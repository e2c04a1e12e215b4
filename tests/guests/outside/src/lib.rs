//! Uses files and sockets, which no world has.
#![expect(
    clippy::disallowed_methods,
    reason = "that what it imports is refused is the test"
)]

use std::io::Read as _;
use std::net::TcpStream;

use guest_bindings::connector::keyway::guest::types::Failure;

guest_bindings::connector!(act);

fn act(name: &str, input: String) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match name {
        "file" => std::fs::File::open(&input).and_then(|mut file| file.read_to_string(&mut text)),
        _ => TcpStream::connect(&input).and_then(|mut stream| stream.read_to_string(&mut text)),
    };
    read.map(|_| text)
        .map_err(|error| Failure::Permanent(error.to_string()))
}
