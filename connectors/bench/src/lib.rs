//! Moves a body from one place to another in pieces: what is read of a reply is
//! written to a request, and never more than one piece is held.

use keyway_sdk::{Actions, Connector, Context, Failure, Value, json};
use serde::Deserialize;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method,
    OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// What is read at once.
const PIECE_BYTES: u64 = 64 << 10;

struct Bench;

impl Connector for Bench {
    fn actions() -> Actions {
        Actions::new().action("pump", pump)
    }

    fn check(_: &Context) -> Result<String, Failure> {
        Ok("the bench".to_owned())
    }
}

keyway_sdk::export!(Bench);

#[derive(Deserialize)]
struct Pump {
    authority: String,
    count: u64,
}

/// `GET /bytes?count=N`, whose body becomes that of `POST /discard`.
fn pump(_: &Context, input: Pump) -> Result<Value, Failure> {
    let from = format!("/bytes?count={}", input.count);
    let source = request(&Method::Get, &input.authority, &from)?;
    let source = response(&handle(source, None).map_err(code)?)?;
    let source = source.consume().map_err(|()| twice())?;
    let reader = source.stream().map_err(|()| twice())?;

    let target = request(&Method::Post, &input.authority, "/discard")?;
    let sent = target.body().map_err(|()| twice())?;
    let pending = handle(target, None).map_err(code)?;
    let writer = sent.write().map_err(|()| twice())?;
    copy(&reader, &writer)?;
    drop(writer);
    OutgoingBody::finish(sent, None).map_err(code)?;

    let answer = response(&pending)?.consume().map_err(|()| twice())?;
    let taken = answer
        .stream()
        .map_err(|()| twice())?
        .blocking_read(64)
        .map_err(broken)?;
    drop(reader);
    IncomingBody::finish(source);
    Ok(json!({ "taken": String::from_utf8_lossy(&taken) }))
}

fn request(method: &Method, authority: &str, path: &str) -> Result<OutgoingRequest, Failure> {
    let refused = |()| Failure::Permanent("the request is not valid in HTTP".to_owned());
    let request = OutgoingRequest::new(Fields::new());
    request.set_method(method).map_err(refused)?;
    request.set_scheme(Some(&Scheme::Http)).map_err(refused)?;
    request.set_authority(Some(authority)).map_err(refused)?;
    request.set_path_with_query(Some(path)).map_err(refused)?;
    Ok(request)
}

fn response(pending: &FutureIncomingResponse) -> Result<IncomingResponse, Failure> {
    loop {
        match pending.get() {
            Some(Ok(outcome)) => return outcome.map_err(code),
            Some(Err(())) => return Err(twice()),
            None => pending.subscribe().block(),
        }
    }
}

fn copy(reader: &InputStream, writer: &OutputStream) -> Result<(), Failure> {
    loop {
        let piece = match reader.blocking_read(PIECE_BYTES) {
            Ok(piece) => piece,
            Err(StreamError::Closed) => return Ok(()),
            Err(error @ StreamError::LastOperationFailed(_)) => return Err(broken(error)),
        };
        let mut rest = piece.as_slice();
        while !rest.is_empty() {
            let permitted = writer.check_write().map_err(broken)?;
            let length = rest
                .len()
                .min(usize::try_from(permitted).unwrap_or(usize::MAX));
            let (now, later) = rest.split_at(length);
            if now.is_empty() {
                writer.subscribe().block();
                continue;
            }
            writer.write(now).map_err(broken)?;
            rest = later;
        }
    }
}

fn code(code: ErrorCode) -> Failure {
    Failure::Transient(format!("{code:?}"))
}

fn broken(error: StreamError) -> Failure {
    Failure::Transient(format!("a body broke off: {error:?}"))
}

fn twice() -> Failure {
    Failure::Permanent("a part of the exchange was taken twice".to_owned())
}
