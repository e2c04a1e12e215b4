//! One exchange over `wasi:http`, in as few host calls as it allows: the body
//! is complete before the request is handed over, headers are read once, and
//! one read is sized from `content-length`.

use std::time::Duration;

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, Method as WireMethod, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use crate::http::{Method, Request};
use crate::{Failure, Reply};

pub(crate) fn exchange(mut request: Request) -> Result<Reply, Failure> {
    let subject = request.subject();
    let outgoing = head(&mut request)?;
    let options = request.timeout.map(options);
    let pending = match request.body.as_slice() {
        [] => handle(outgoing, options),
        body => hand_over(outgoing, options, body, &subject)?,
    };
    let pending = pending.map_err(|code| failure_of(&code, &subject))?;
    let response = loop {
        match pending.get() {
            Some(Ok(outcome)) => break outcome.map_err(|code| failure_of(&code, &subject))?,
            Some(Err(())) => return Err(broken(&subject, "the reply was taken twice")),
            None => pending.subscribe().block(),
        }
    };
    read(&response, request.reply_bytes_max, subject)
}

fn head(request: &mut Request) -> Result<OutgoingRequest, Failure> {
    let target = Target::of(&request.url)?;
    let headers = Fields::from_list(&std::mem::take(&mut request.headers)).map_err(|error| {
        Failure::Permanent(format!(
            "{}: a header was refused: {error}",
            request.subject()
        ))
    })?;
    let outgoing = OutgoingRequest::new(headers);
    let refused = |part: &str| {
        Failure::Permanent(format!(
            "{}: the {part} is not valid in HTTP",
            request.subject()
        ))
    };
    outgoing
        .set_method(&wire_method(&request.method))
        .map_err(|()| refused("method"))?;
    outgoing
        .set_scheme(Some(&target.scheme))
        .map_err(|()| refused("scheme"))?;
    outgoing
        .set_authority(Some(target.authority))
        .map_err(|()| refused("authority"))?;
    outgoing
        .set_path_with_query(Some(&target.path_with_query))
        .map_err(|()| refused("path"))?;
    Ok(outgoing)
}

/// Hands the request over with a body. What the stream takes at once is
/// written before; only a body beyond that is written while the request runs.
fn hand_over(
    outgoing: OutgoingRequest,
    options: Option<RequestOptions>,
    body: &[u8],
    subject: &str,
) -> Result<Result<wasip2::http::types::FutureIncomingResponse, ErrorCode>, Failure> {
    let taken = || broken(subject, "the request's body was taken twice");
    let outgoing_body = outgoing.body().map_err(|()| taken())?;
    let stream = outgoing_body.write().map_err(|()| taken())?;
    let rest = write_ready(&stream, body, subject)?;
    if rest.is_empty() {
        drop(stream);
        return Ok(finish(outgoing_body).and_then(|()| handle(outgoing, options)));
    }
    let pending = match handle(outgoing, options) {
        Ok(pending) => pending,
        Err(code) => return Ok(Err(code)),
    };
    let mut rest = rest;
    while !rest.is_empty() {
        stream.subscribe().block();
        match write_ready(&stream, rest, subject) {
            Ok(left) => rest = left,
            // The reply says why the upstream stopped reading.
            Err(_) => return Ok(Ok(pending)),
        }
    }
    drop(stream);
    Ok(finish(outgoing_body).map(|()| pending))
}

fn finish(body: OutgoingBody) -> Result<(), ErrorCode> {
    OutgoingBody::finish(body, None)
}

/// Writes as much as the stream takes without waiting; answers with the rest.
fn write_ready<'a>(
    stream: &OutputStream,
    mut bytes: &'a [u8],
    subject: &str,
) -> Result<&'a [u8], Failure> {
    let failed = |_: StreamError| Failure::Transient(format!("{subject}: the body was not taken"));
    while !bytes.is_empty() {
        let permitted = stream.check_write().map_err(failed)?;
        let length = bytes
            .len()
            .min(usize::try_from(permitted).unwrap_or(usize::MAX));
        let (now, later) = bytes.split_at(length);
        if now.is_empty() {
            break;
        }
        stream.write(now).map_err(failed)?;
        bytes = later;
    }
    Ok(bytes)
}

fn read(response: &IncomingResponse, bytes_max: usize, subject: String) -> Result<Reply, Failure> {
    let status = response.status();
    let headers = response.headers().entries();
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<usize>().ok());
    let taken = || broken(&subject, "the reply's body was taken twice");
    let body = if length == Some(0) || status == 204 || status == 304 {
        Vec::new()
    } else {
        let incoming = response.consume().map_err(|()| taken())?;
        let stream = incoming.stream().map_err(|()| taken())?;
        read_all(&stream, length, bytes_max, &subject)?
    };
    Ok(Reply {
        status,
        headers,
        body,
        subject,
    })
}

fn read_all(
    stream: &InputStream,
    length: Option<usize>,
    bytes_max: usize,
    subject: &str,
) -> Result<Vec<u8>, Failure> {
    const PIECE_BYTES: usize = 64 * 1024;
    let too_long = || {
        Failure::Permanent(format!(
            "{subject}: the reply is longer than {bytes_max} bytes; ask for less, or raise \
             `reply_bytes_max`"
        ))
    };
    if length.is_some_and(|length| length > bytes_max) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    loop {
        let wanted = length.map_or(PIECE_BYTES, |length| length.saturating_sub(body.len()));
        if wanted == 0 {
            return Ok(body);
        }
        match stream.blocking_read(wanted as u64) {
            Ok(piece) if body.is_empty() => body = piece,
            Ok(piece) => body.extend_from_slice(&piece),
            // A HEAD reply has a length and no body, so a short body is not
            // told apart here; the host checks framing.
            Err(StreamError::Closed) => return Ok(body),
            Err(StreamError::LastOperationFailed(_)) => {
                return Err(Failure::Transient(format!(
                    "{subject}: the reply broke off"
                )));
            }
        }
        if body.len() > bytes_max {
            return Err(too_long());
        }
    }
}

/// The parts of a URL that `wasi:http` wants apart. The host parses them again
/// and decides; this only splits.
struct Target<'a> {
    scheme: Scheme,
    authority: &'a str,
    path_with_query: String,
}

impl<'a> Target<'a> {
    fn of(url: &'a str) -> Result<Self, Failure> {
        let invalid = || {
            Failure::Permanent(format!(
                "`{url}` is not a URL like `https://host/path` or `http://…`"
            ))
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(invalid)?;
        let scheme = match scheme {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(invalid()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest
            .split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))
            .ok_or_else(invalid)?;
        if authority.is_empty() {
            return Err(invalid());
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            scheme,
            authority,
            path_with_query: format!("{slash}{path}"),
        })
    }
}

fn wire_method(method: &Method) -> WireMethod {
    match method {
        Method::Get => WireMethod::Get,
        Method::Head => WireMethod::Head,
        Method::Post => WireMethod::Post,
        Method::Put => WireMethod::Put,
        Method::Patch => WireMethod::Patch,
        Method::Delete => WireMethod::Delete,
        Method::Options => WireMethod::Options,
        Method::Other(token) => WireMethod::Other(token.clone()),
    }
}

fn options(timeout: Duration) -> RequestOptions {
    let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    let options = RequestOptions::new();
    // A host that does not know a timeout keeps its own, which is not an error.
    let _unknown = options.set_connect_timeout(Some(nanoseconds));
    let _unknown = options.set_first_byte_timeout(Some(nanoseconds));
    let _unknown = options.set_between_bytes_timeout(Some(nanoseconds));
    options
}

fn broken(subject: &str, what: &str) -> Failure {
    Failure::Permanent(format!("{subject}: {what}"))
}

fn failure_of(code: &ErrorCode, subject: &str) -> Failure {
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Failure::Forbidden(
            format!("refused by Keyway: {subject} is not granted; the audit record says why"),
        ),
        ErrorCode::TlsCertificateError
        | ErrorCode::ConfigurationError
        | ErrorCode::LoopDetected
        | ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpResponseHeaderSectionSize(_)
        | ErrorCode::HttpResponseHeaderSize(_)
        | ErrorCode::HttpResponseBodySize(_)
        | ErrorCode::HttpUpgradeFailed => {
            Failure::Permanent(format!("{subject} cannot succeed: {code:?}"))
        }
        _ => Failure::Transient(format!("{subject} failed: {code:?}")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn parts(url: &str) -> (String, String) {
        let target = Target::of(url).unwrap();
        (target.authority.to_owned(), target.path_with_query)
    }

    #[test]
    fn a_url_is_split_into_authority_and_path() {
        assert_eq!(
            parts("https://h:1/p?q#f"),
            ("h:1".to_owned(), "/p?q".to_owned())
        );
        assert_eq!(parts("http://h"), ("h".to_owned(), "/".to_owned()));
        assert_eq!(parts("http://h?q"), ("h".to_owned(), "/?q".to_owned()));
    }

    #[test]
    fn what_is_not_an_http_url_is_refused() {
        for url in ["h/p", "ftp://h/", "https:///p", ""] {
            assert!(Target::of(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_denied_request_is_forbidden_and_a_reset_is_transient() {
        let denied = failure_of(&ErrorCode::HttpRequestDenied, "GET https://h/p");
        assert!(
            matches!(denied, Failure::Forbidden(text) if text.starts_with("refused by Keyway: GET"))
        );
        let reset = failure_of(&ErrorCode::ConnectionTerminated, "GET https://h/p");
        assert!(matches!(reset, Failure::Transient(_)));
        let size = failure_of(&ErrorCode::HttpResponseBodySize(Some(1)), "GET https://h/p");
        assert!(matches!(size, Failure::Permanent(_)));
    }
}
