//! Calls functions of the host with what nobody passes, in the hope that one of
//! them panics: arguments at their edges, and what has been taken taken again.

use std::hint::black_box;

use wasip2::clocks::monotonic_clock::{resolution, subscribe_duration, subscribe_instant};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme};
use wasip2::io::poll;
use wasip2::io::streams::OutputStream;
use wasip2::random::random::get_random_bytes;

/// Whatever the host made of it.
fn made<T>(of: T) {
    drop(black_box(of));
}

pub(crate) fn arguments() {
    for edge in [0, 1, u64::MAX - 1, u64::MAX] {
        made((subscribe_duration(edge), subscribe_instant(edge)));
        let options = RequestOptions::new();
        made((
            options.set_connect_timeout(Some(edge)),
            options.set_first_byte_timeout(Some(edge)),
            options.set_between_bytes_timeout(Some(edge)),
        ));
        made((options.connect_timeout(), options.first_byte_timeout()));
    }
    made((resolution(), get_random_bytes(0)));
    let now = subscribe_duration(0);
    made(poll::poll(&[&now, &now, &now]));
    fields();
    parts();
    body();
    answers();
}

/// Names and values of nothing, and of what is not there.
fn fields() {
    let fields = Fields::from_list(&[]).expect("a list of nothing");
    made((fields.get(""), fields.get("\u{0}"), fields.has("")));
    made((fields.delete(""), fields.delete("none")));
    made((fields.set("", &[]), fields.set("x-none", &[])));
    made(fields.set("x-empty", &[Vec::new(), Vec::new()]));
    made(fields.append(&"n".repeat(9_000), b""));
    made((fields.clone().entries(), fields.entries()));
}

/// Parts of a request that are none.
fn parts() {
    let request = OutgoingRequest::new(Fields::new());
    for text in [
        "",
        "\u{0}",
        " ",
        "@",
        ":",
        "[::",
        "a:99999999999",
        "%",
        "//",
    ] {
        made((
            request.set_authority(Some(text)),
            request.set_path_with_query(Some(text)),
            request.set_scheme(Some(&Scheme::Other(text.to_owned()))),
            request.set_method(&Method::Other(text.to_owned())),
        ));
    }
    made((request.set_authority(None), request.set_scheme(None)));
    made((request.authority(), request.scheme(), request.method()));
    // Its headers cannot be changed, and outlive it.
    let headers = request.headers();
    made(headers.set("x-late", &[Vec::new()]));
    made(outgoing_handler::handle(request, None).is_ok());
    made(headers.entries());
}

/// A body that is taken again, is shorter than it says, and is written to by nothing.
fn body() {
    let length = [("content-length".to_owned(), b"10".to_vec())];
    for fields in [
        Fields::new(),
        Fields::from_list(&length).unwrap_or_else(|_| Fields::new()),
    ] {
        let request = OutgoingRequest::new(fields);
        let body = request.body().expect("the first time");
        made(request.body().is_ok());
        let stream = body.write().expect("the first time");
        made(body.write().is_ok());
        made((stream.write(b""), stream.write_zeroes(0), stream.flush()));
        made((stream.check_write(), stream.check_write()));
        drop(stream);
        drop(request);
        made(OutgoingBody::finish(body, Some(Fields::new())).is_ok());
    }
}

/// Answers that are asked for before they are there, and again.
fn answers() {
    let request = OutgoingRequest::new(Fields::new());
    made(request.set_authority(Some("nowhere.invalid")).is_ok());
    if let Ok(answer) = outgoing_handler::handle(request, None) {
        made(answer.get().is_none());
        answer.subscribe().block();
        made((answer.get().is_some(), answer.get().is_some()));
    }
}

/// Waits for the first of nothing.
pub(crate) fn empty_poll() {
    made(poll::poll(&[]));
}

fn stream(of: impl FnOnce(&OutputStream)) {
    let request = OutgoingRequest::new(Fields::new());
    let body = request.body().expect("the first time");
    of(&body.write().expect("the first time"));
}

/// Writes without asking how much may be written.
pub(crate) fn unasked_write() {
    stream(|stream| {
        made(stream.write(&vec![b'x'; 2 << 20]));
    });
}

/// Writes more zeroes than there is memory.
pub(crate) fn endless_zeroes() {
    stream(|stream| {
        made(stream.write_zeroes(u64::MAX));
    });
}
