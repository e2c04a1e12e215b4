//! Requests that should not be made like this.

use guest_bindings::connector::keyway::host::connection::parameter;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};

fn request(authority: &str, path: &str) -> OutgoingRequest {
    let request = OutgoingRequest::new(Fields::new());
    // What the host does not take here, it has to refuse when it is sent.
    let _refused = request.set_scheme(Some(&Scheme::Http));
    let _refused = request.set_authority(Some(authority));
    let _refused = request.set_path_with_query(Some(path));
    request
}

fn upstream() -> String {
    let part = |name| parameter(name).unwrap_or_default();
    format!("{}:{}", part("host"), part("port"))
}

fn send(request: OutgoingRequest, options: Option<RequestOptions>) -> Result<u16, ErrorCode> {
    let response = outgoing_handler::handle(request, options)?;
    response.subscribe().block();
    let response = response.get().expect("it is ready").expect("it is there")?;
    Ok(response.status())
}

fn shown(seen: &[String]) -> String {
    let seen: Vec<String> = seen
        .iter()
        .map(|text| text.replace(['"', '\\'], "'"))
        .collect();
    format!("{{\"seen\":{seen:?}}}")
}

/// Times that are none, or for ever, in every combination.
pub(crate) fn timeouts() -> String {
    let mut seen = Vec::new();
    for [connect, first, between] in [
        [Some(0), None, None],
        [None, Some(0), None],
        [None, None, Some(0)],
        [Some(0), Some(0), Some(0)],
        [Some(u64::MAX), Some(u64::MAX), Some(u64::MAX)],
        [Some(1), Some(1), Some(1)],
    ] {
        let options = RequestOptions::new();
        let set = [
            options.set_connect_timeout(connect),
            options.set_first_byte_timeout(first),
            options.set_between_bytes_timeout(between),
        ];
        seen.push(format!("{set:?}"));
        let sent = send(request(&upstream(), "/anything"), Some(options));
        seen.push(format!("{sent:?}"));
    }
    shown(&seen)
}

/// What the host says about everything that goes wrong.
pub(crate) fn errors() -> String {
    let upstream = upstream();
    let port = upstream.rsplit(':').next().unwrap_or_default();
    let mut seen = Vec::new();
    for (authority, path) in [
        ("attacker.example", "/anything"),
        ("127.0.0.1:1", "/anything"),
        ("169.254.169.254", "/anything"),
        ("no-such-host.invalid", "/anything"),
        (upstream.as_str(), "/admin"),
        ("localhost:1", "/anything"),
        (format!("127.0.0.1:{port}").as_str(), "/anything"),
        ("[::1]:80", "/anything"),
        ("user:password@localhost", "/anything"),
    ] {
        seen.push(format!("{:?}", send(request(authority, path), None)));
    }
    let odd = request(&upstream, "/anything");
    let _refused = odd.set_method(&Method::Other("TRACE".to_owned()));
    seen.push(format!("{:?}", send(odd, None)));
    let odd = request(&upstream, "/anything");
    let _refused = odd.set_scheme(Some(&Scheme::Other("file".to_owned())));
    seen.push(format!("{:?}", send(odd, None)));
    seen.push(format!("{:?}", parameter("no-such-parameter")));
    shown(&seen)
}

/// Writes into one body after the other and sends none.
pub(crate) fn hoard_bodies() {
    let mut hoard = Vec::new();
    let piece = vec![b'x'; 64 << 10];
    loop {
        let request = request("localhost", "/anything");
        let body = request.body().expect("the first time");
        let stream = body.write().expect("the first time");
        while stream.check_write().expect("it is open") >= piece.len() as u64 {
            stream.write(&piece).expect("it was allowed");
        }
        hoard.push((request, body, stream));
    }
}

/// Sends one request after the other and waits for none; what became of the
/// first that failed.
pub(crate) fn hoard_requests() -> String {
    let upstream = upstream();
    let mut hoard = Vec::new();
    for sent in 0..400 {
        let request = request(&upstream, "/anything");
        let body = request.body().expect("the first time");
        drop(OutgoingBody::finish(body, None));
        match outgoing_handler::handle(request, None) {
            Ok(response) => hoard.push(response),
            Err(error) => return format!("{{\"sent\":{sent},\"error\":\"{error:?}\"}}"),
        }
    }
    let mut answered = 0;
    for response in &hoard {
        response.subscribe().block();
        answered += usize::from(matches!(response.get(), Some(Ok(Ok(_)))));
    }
    format!("{{\"sent\":400,\"answered\":{answered}}}")
}
