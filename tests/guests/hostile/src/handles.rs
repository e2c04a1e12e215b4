//! Takes more handles than there are, and uses them as nobody should.

use std::hint::black_box;

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{Fields, OutgoingRequest};
use wasip2::io::poll::Pollable;

pub(crate) fn flood() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(subscribe_duration(1));
    }
}

/// Far more than are allowed at once, one after the other.
pub(crate) fn freed() {
    (0..5_000).for_each(|_| drop(subscribe_duration(1)));
}

/// A handle that was never given.
pub(crate) fn forged() {
    let pollable = unsafe { Pollable::from_handle(7_777) };
    black_box(pollable.ready());
}

/// A handle after it was given back.
pub(crate) fn dropped() {
    let number = subscribe_duration(1).take_handle();
    drop(unsafe { Pollable::from_handle(number) });
    let again = unsafe { Pollable::from_handle(number) };
    black_box(again.ready());
}

/// A handle of something else.
pub(crate) fn foreign() {
    let pollable = unsafe { Pollable::from_handle(Fields::new().take_handle()) };
    black_box(pollable.ready());
}

/// Something that something else still hangs on.
pub(crate) fn dropped_parent() {
    let request = OutgoingRequest::new(Fields::new());
    let body = request.body().expect("the first time");
    let stream = body.write().expect("the first time");
    drop(body);
    drop(request);
    drop(stream.write(b"into nothing"));
    drop(stream);
}
