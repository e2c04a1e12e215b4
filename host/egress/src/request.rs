//! What is sent, beside the target, which only an entry names.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Uri};
use http_body::Body;
use keyway_authz::HttpSend;
use keyway_model::net::Method;
use zeroize::Zeroizing;

use crate::body::RequestBody;
use crate::config::{Bounds, Limits};
use crate::error::EgressError;
use crate::header;
use crate::identity::TlsSettings;
use crate::pool::Place;

/// What is sent, beside the target.
#[derive(Debug, Default)]
pub struct Exchange {
    /// The guest's headers, filtered, and the injected credential.
    pub headers: HeaderMap,
    /// A credential whose slot is a query parameter.
    pub query_secret: Option<QuerySecret>,
    /// The body.
    pub body: RequestBody,
    /// What the connection says about TLS, if it says anything.
    pub tls: Option<Arc<TlsSettings>>,
    /// What this exchange is held to, if that is less than everything is.
    pub bounds: Option<Arc<Bounds>>,
}

/// A credential that is added to the query, percent-encoded. Does not print.
pub struct QuerySecret {
    /// The parameter's name.
    pub name: String,
    /// The credential.
    pub value: Zeroizing<String>,
}

impl fmt::Debug for QuerySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuerySecret({}=•••)", self.name)
    }
}

/// Builds the request from the entry's parts and the exchange.
pub(crate) fn build(
    operation: &HttpSend,
    place: &Place,
    exchange: Exchange,
    limits: &Limits,
) -> Result<Request<RequestBody>, EgressError> {
    let Exchange {
        mut headers,
        query_secret,
        body,
        tls: _,
        bounds: _,
    } = exchange;
    let named = header::check_request(&mut headers, limits)?;
    // An encoded reply could not be searched before it is decoded.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let body = body.limited(limits.request_body_bytes_max, named)?;
    // RFC 9110 section 8.6: where a body is expected, one of no bytes is said.
    let expects_a_body = matches!(
        operation.method(),
        Method::Post | Method::Put | Method::Patch
    );
    if expects_a_body && body.is_end_stream() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut request = Request::new(body);
    *request.method_mut() = method_of(operation.method());
    *request.uri_mut() = uri_of(operation, place, query_secret.as_ref())?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn uri_of(
    operation: &HttpSend,
    place: &Place,
    secret: Option<&QuerySecret>,
) -> Result<Uri, EgressError> {
    let url = operation.url();
    let refuse = || EgressError::Target {
        origin: url.origin.clone(),
        detail: "its path or query",
    };
    let mut text = url.path_and_query();
    if let Some(secret) = secret {
        text.push(if url.query.is_some() { '&' } else { '?' });
        push_encoded(&mut text, &secret.name);
        text.push('=');
        push_encoded(&mut text, &secret.value);
    }
    let written = Bytes::from(text);
    let target = PathAndQuery::from_maybe_shared(written.clone()).map_err(|_| refuse())?;
    if target.as_str().as_bytes() != written {
        return Err(refuse());
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(place.scheme.clone());
    parts.authority = Some(place.authority.clone());
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).map_err(|_| refuse())
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn push_encoded(out: &mut String, text: &str) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or('0');
            out.push('%');
            out.push(digit(byte >> 4));
            out.push(digit(byte & 15));
        }
    }
}

const fn method_of(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
        Method::Options => http::Method::OPTIONS,
    }
}
