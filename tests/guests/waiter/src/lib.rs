//! Never ends by itself: its check asks the upstream what to be busy with.

use std::hint::black_box;

use guest_bindings::connector::exports::keyway::guest::{actions, connection_check, triggers};
use guest_bindings::connector::keyway::guest::types::Failure;
use guest_bindings::connector::keyway::host::connection::parameter;
use guest_bindings::connector::keyway::host::{scratch, state};
use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingResponse, Method, OutgoingRequest, Scheme};

struct Guest;

impl connection_check::Guest for Guest {
    fn check() -> Result<String, Failure> {
        match asked().status() {
            201 => spin(),
            202 => sleep(),
            203 => write_state(),
            205 => write_scratch(),
            206 => upload(),
            _ => return Ok("checked".to_owned()),
        }
        Ok("it gave up".to_owned())
    }
}

impl actions::Guest for Guest {
    fn invoke(name: String, _input: String) -> Result<String, Failure> {
        Err(Failure::NotFound(name))
    }
}

impl triggers::Guest for Guest {
    fn poll(
        name: String,
        _input: String,
        _cursor: Option<String>,
    ) -> Result<triggers::Batch, Failure> {
        Err(Failure::NotFound(name))
    }
}

guest_bindings::connector::export!(Guest with_types_in guest_bindings::connector);

fn request(method: &Method) -> OutgoingRequest {
    let part = |name| parameter(name).unwrap_or_default();
    let request = OutgoingRequest::new(Fields::new());
    request.set_method(method).expect("a method");
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    let authority = format!("{}:{}", part("host"), part("port"));
    request
        .set_authority(Some(&authority))
        .expect("an authority");
    request.set_path_with_query(Some("/next")).expect("a path");
    request
}

/// The upstream's answer, with its whole body.
fn asked() -> IncomingResponse {
    let response = outgoing_handler::handle(request(&Method::Get), None).expect("it is granted");
    response.subscribe().block();
    let response = response
        .get()
        .expect("it is ready")
        .expect("it is taken once");
    let response = response.expect("an answer");
    let body = response.consume().expect("it is taken once");
    let stream = body.stream().expect("it is taken once");
    while stream.blocking_read(1 << 10).is_ok() {}
    response
}

fn spin() -> ! {
    let mut round = 0_u64;
    loop {
        round = black_box(round.wrapping_add(1));
    }
}

fn sleep() {
    monotonic_clock::subscribe_duration(u64::MAX).block();
}

fn write_state() {
    while state::set("key", "value").is_ok() {}
}

fn write_scratch() {
    let Ok(mut end) = scratch::open("file") else {
        return;
    };
    let piece = [b'x'; 512];
    while scratch::write("file", end, &piece).is_ok() {
        end += piece.len() as u64;
    }
}

/// Sends a body without an end.
fn upload() {
    let request = request(&Method::Post);
    let body = request.body().expect("it is taken once");
    let response = outgoing_handler::handle(request, None).expect("it is granted");
    let stream = body.write().expect("it is taken once");
    while stream.blocking_write_and_flush(&[b'x'; 4_096]).is_ok() {}
    drop(response);
}
