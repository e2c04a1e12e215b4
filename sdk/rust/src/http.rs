//! Requests. A request is a value until [`Request::send`]; what can go wrong
//! while it is built is kept and reported there, so that building reads as one
//! chain.

use std::time::Duration;

use serde::Serialize;

use crate::encode::pairs;
use crate::{Failure, Reply, wire};

/// A method of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 9110")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    /// Any other token.
    Other(String),
}

/// Starts requests. The host decides on each of them and adds the credential.
#[derive(Debug, Clone, Copy)]
pub struct Http(());

impl Http {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// A request with any method. `url` is absolute: `https://host/path`.
    pub fn request(self, method: Method, url: impl Into<String>) -> Request {
        Request::new(method, url.into())
    }

    /// A GET request.
    pub fn get(self, url: impl Into<String>) -> Request {
        self.request(Method::Get, url)
    }

    /// A POST request.
    pub fn post(self, url: impl Into<String>) -> Request {
        self.request(Method::Post, url)
    }

    /// A PUT request.
    pub fn put(self, url: impl Into<String>) -> Request {
        self.request(Method::Put, url)
    }

    /// A PATCH request.
    pub fn patch(self, url: impl Into<String>) -> Request {
        self.request(Method::Patch, url)
    }

    /// A DELETE request.
    pub fn delete(self, url: impl Into<String>) -> Request {
        self.request(Method::Delete, url)
    }
}

/// A request that has not left.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) reply_bytes_max: usize,
    failure: Option<Failure>,
}

impl Request {
    /// The size over which a reply's body is refused, unless
    /// [`Request::reply_bytes_max`] says otherwise.
    pub const REPLY_BYTES_MAX: usize = 1 << 20;

    fn new(method: Method, url: String) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
            reply_bytes_max: Self::REPLY_BYTES_MAX,
            failure: None,
        }
    }

    /// Adds one query parameter, percent-encoded.
    pub fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.url
            .push(if self.url.contains('?') { '&' } else { '?' });
        pairs([(name, value.as_ref())], &mut self.url);
        self
    }

    /// Adds one header. `Authorization` and its kind are the host's: a value
    /// given here does not leave.
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.headers.push((
            name.to_ascii_lowercase(),
            value.as_ref().as_bytes().to_vec(),
        ));
        self
    }

    /// Sets the body to the JSON form of `value`.
    pub fn json(self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.body("application/json", body),
            Err(error) => self.broken(format!("the request's body has no JSON form: {error}")),
        }
    }

    /// Sets the body to form fields (`application/x-www-form-urlencoded`).
    pub fn form<'a>(self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut body = String::new();
        pairs(fields, &mut body);
        self.body("application/x-www-form-urlencoded", body.into_bytes())
    }

    /// Sets the body to bytes of the given media type.
    pub fn body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        if !self.headers.iter().any(|(name, _)| name == "content-type") {
            self = self.header("content-type", content_type);
        }
        self.body = body;
        self
    }

    /// How long to wait for the connection and for the reply's first byte. The
    /// host has a limit of its own, and the shorter of the two counts.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Refuses a reply with a longer body.
    pub fn reply_bytes_max(mut self, bytes: usize) -> Self {
        self.reply_bytes_max = bytes;
        self
    }

    /// Sends the request and reads the whole reply, whatever its status is.
    ///
    /// # Errors
    /// `Forbidden` if the host refuses the request, `Transient` if the network
    /// fails, `Permanent` if the reply is too long or not HTTP.
    pub fn send(self) -> Result<Reply, Failure> {
        match self.failure {
            Some(failure) => Err(failure),
            None => wire::exchange(self),
        }
    }

    fn broken(mut self, text: String) -> Self {
        self.failure.get_or_insert(Failure::Permanent(text));
        self
    }

    /// The request for people: without the query, which may hold personal data.
    pub(crate) fn subject(&self) -> String {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        format!("{} {url}", self.method.as_str())
    }
}

impl Method {
    /// The method as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other(token) => token,
        }
    }
}

impl From<&str> for Method {
    fn from(text: &str) -> Self {
        match text {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            other => Self::Other(other.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters_are_encoded_and_joined() {
        let request = Http::new()
            .get("https://h/p")
            .query("a", "1 2")
            .query("b", "&");
        assert_eq!(request.url, "https://h/p?a=1%202&b=%26");
    }

    #[test]
    fn a_body_brings_its_content_type_unless_one_is_set() {
        let request = Http::new().post("https://h/").json(&[1]);
        assert_eq!(
            request.headers,
            [("content-type".to_owned(), b"application/json".to_vec())]
        );
        let request = Http::new()
            .post("https://h/")
            .header("Content-Type", "x/y")
            .json(&[1]);
        assert_eq!(
            request.headers,
            [("content-type".to_owned(), b"x/y".to_vec())]
        );
    }

    #[test]
    fn a_body_without_a_json_form_fails_at_send() {
        let map = std::collections::HashMap::from([(vec![1], 1)]);
        let failure = Http::new().post("https://h/").json(&map).send();
        assert!(matches!(failure, Err(Failure::Permanent(text)) if text.contains("JSON")));
    }

    #[test]
    fn a_form_is_encoded() {
        let request = Http::new()
            .post("https://h/")
            .form([("a", "1&2"), ("b", "=")]);
        assert_eq!(request.body, b"a=1%262&b=%3D");
    }

    #[test]
    fn the_subject_of_a_request_leaves_the_query_out() {
        let request = Http::new().get("https://h/p").query("email", "a@b");
        assert_eq!(request.subject(), "GET https://h/p");
    }
}
