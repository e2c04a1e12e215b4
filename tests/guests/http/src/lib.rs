//! Speaks HTTP in every way that `wasi:http` allows.

use guest_bindings::connector::keyway::guest::types::Failure;
use wasip2::http::outgoing_handler::{self, ErrorCode};
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, Scheme,
};
use wasip2::io::streams::{InputStream, StreamError};

guest_bindings::connector!(act);

/// The largest piece that a blocking write takes.
const PIECE_BYTES: usize = 4_096;

fn act(name: &str, input: String) -> Result<String, Failure> {
    let done = match name {
        "get" => get(&input),
        "post" => post(&input),
        "upload" => upload(&input),
        "trailers" => trailers(&input),
        "download" => download(&input),
        "abandon" => abandon(),
        "two" => two(),
        "header" => return Ok(format!("{:?}", Fields::new().append(&input, b"value"))),
        other => return Err(Failure::NotFound(other.to_owned())),
    };
    done.map_err(|code| Failure::Permanent(format!("{code:?}")))
}

fn request(method: &Method, path: &str, headers: &[(&str, &str)]) -> OutgoingRequest {
    let fields = Fields::new();
    for (name, value) in headers {
        fields
            .append(name, value.as_bytes())
            .expect("an ordinary header");
    }
    let request = OutgoingRequest::new(fields);
    request.set_method(method).expect("a method");
    request.set_scheme(Some(&Scheme::Https)).expect("a scheme");
    request
        .set_authority(Some("api.example.com"))
        .expect("an authority");
    request.set_path_with_query(Some(path)).expect("a path");
    request
}

fn wait(response: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    response.subscribe().block();
    response
        .get()
        .expect("it is ready")
        .expect("it is taken once")
}

/// Reads to the end; gives back what was read.
fn read_all(input: &InputStream) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    loop {
        match input.blocking_read(64 << 10) {
            Ok(bytes) => all.extend_from_slice(&bytes),
            Err(StreamError::Closed) => return Ok(all),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

fn text(response: &IncomingResponse) -> String {
    let body = response.consume().expect("it is consumed once");
    let stream = body.stream().expect("it is streamed once");
    let read = read_all(&stream);
    drop(stream);
    IncomingBody::finish(body);
    match read {
        Ok(bytes) => format!("{} {}", response.status(), String::from_utf8_lossy(&bytes)),
        Err(code) => format!("{} broken: {code}", response.status()),
    }
}

fn get(path: &str) -> Result<String, ErrorCode> {
    let request = request(&Method::Get, path, &[("accept", "text/plain")]);
    Ok(text(&wait(&outgoing_handler::handle(request, None)?)?))
}

/// Writes the body before the request is sent, as a careful library does.
fn post(content: &str) -> Result<String, ErrorCode> {
    let request = request(
        &Method::Post,
        "/orders",
        &[("content-length", &content.len().to_string())],
    );
    let body = request.body().expect("it is taken once");
    write(&body, content.as_bytes());
    OutgoingBody::finish(body, None)?;
    Ok(text(&wait(&outgoing_handler::handle(request, None)?)?))
}

/// Sends the request, and then a body of so many bytes.
fn upload(length: &str) -> Result<String, ErrorCode> {
    let length: usize = length.parse().expect("a number");
    let request = request(&Method::Put, "/upload", &[]);
    let body = request.body().expect("it is taken once");
    let response = outgoing_handler::handle(request, None)?;
    write(&body, &vec![b'x'; length]);
    OutgoingBody::finish(body, None)?;
    Ok(text(&wait(&response)?))
}

/// Sends a body, and behind it what would not pass before it.
fn trailers(content: &str) -> Result<String, ErrorCode> {
    let request = request(&Method::Post, "/orders", &[]);
    let body = request.body().expect("it is taken once");
    write(&body, content.as_bytes());
    let late = Fields::new();
    for name in ["x-late", "host", "transfer-encoding", "authorization"] {
        // Some are not even taken.
        let _refused = late.append(name, b"a late value");
    }
    OutgoingBody::finish(body, Some(late))?;
    Ok(text(&wait(&outgoing_handler::handle(request, None)?)?))
}

fn write(body: &OutgoingBody, content: &[u8]) {
    let stream = body.write().expect("it is taken once");
    for piece in content.chunks(PIECE_BYTES) {
        if stream.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
}

/// Counts the bytes of a reply.
fn download(path: &str) -> Result<String, ErrorCode> {
    let text = get(path)?;
    Ok(text.len().to_string())
}

/// Reads a little of a reply and drops it.
fn abandon() -> Result<String, ErrorCode> {
    let response = wait(&outgoing_handler::handle(
        request(&Method::Get, "/endless", &[]),
        None,
    )?)?;
    let body = response.consume().expect("it is consumed once");
    let stream = body.stream().expect("it is streamed once");
    let some = stream.blocking_read(10).expect("there is something");
    Ok(some.len().to_string())
}

/// Has two requests under way at once.
fn two() -> Result<String, ErrorCode> {
    let headers = [("accept", "text/plain"), ("x-number", "1")];
    let first = outgoing_handler::handle(request(&Method::Get, "/first", &headers), None)?;
    let second = outgoing_handler::handle(request(&Method::Get, "/second", &headers), None)?;
    let second = text(&wait(&second)?);
    let first = text(&wait(&first)?);
    Ok(format!("{first}, {second}"))
}
