//! What the upstream answered.

use serde::de::DeserializeOwned;

use crate::Failure;

/// A reply, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) subject: String,
}

impl Reply {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// All headers, as the host lets them through.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// `Permanent` if it is not the JSON that `T` expects.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::Permanent(format!(
                "the reply to {} (status {}) is not the JSON that was expected: {error}",
                self.subject, self.status
            ))
        })
    }

    /// The reply, if its status is 2xx; else the failure that fits.
    ///
    /// # Errors
    /// 401 unauthorized, 403 forbidden, 404 and 410 not found, 409 and 412
    /// conflict, 429 rate limited with `Retry-After`, 400 and 422 invalid
    /// input, 408 and 5xx transient, all other statuses permanent. The text is
    /// the start of a text body.
    pub fn error_for_status(self) -> Result<Self, Failure> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let text = format!(
            "{} answered {}{}",
            self.subject,
            self.status,
            self.excerpt()
        );
        Err(match self.status {
            400 | 422 => Failure::InvalidInput(text),
            401 => Failure::Unauthorized(text),
            403 => Failure::Forbidden(text),
            404 | 410 => Failure::NotFound(text),
            409 | 412 => Failure::Conflict(text),
            429 => Failure::RateLimited {
                message: text,
                // The date form is left out: a guest's clock is coarse.
                retry_after_seconds: self
                    .header("retry-after")
                    .and_then(|v| v.trim().parse().ok()),
            },
            408 | 500..=599 => Failure::Transient(text),
            _ => Failure::Permanent(text),
        })
    }

    fn excerpt(&self) -> String {
        const CHARACTERS_MAX: usize = 300;
        let kind = self.header("content-type").unwrap_or_default();
        if self.body.is_empty() || !(kind.contains("json") || kind.starts_with("text/plain")) {
            return String::new();
        }
        let text: String = self.text().chars().take(CHARACTERS_MAX).collect();
        format!(
            ": {}",
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        )
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
        Reply {
            status,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: body.as_bytes().to_vec(),
            subject: "GET https://h/p".to_owned(),
        }
    }

    #[test]
    fn a_success_passes() {
        assert!(reply(204, &[], "").error_for_status().is_ok());
    }

    #[test]
    fn every_failing_status_becomes_the_failure_that_fits() {
        let failure = |status| reply(status, &[], "").error_for_status();
        assert!(matches!(failure(302), Err(Failure::Permanent(_))));
        assert!(matches!(failure(401), Err(Failure::Unauthorized(_))));
        assert!(matches!(failure(403), Err(Failure::Forbidden(_))));
        assert!(matches!(failure(404), Err(Failure::NotFound(_))));
        assert!(matches!(failure(409), Err(Failure::Conflict(_))));
        assert!(matches!(failure(418), Err(Failure::Permanent(_))));
        assert!(matches!(failure(422), Err(Failure::InvalidInput(_))));
        assert!(matches!(failure(503), Err(Failure::Transient(_))));
    }

    #[test]
    fn a_rate_limit_keeps_the_wait() {
        let wait = |value| match reply(429, &[("Retry-After", value)], "").error_for_status() {
            Err(Failure::RateLimited {
                retry_after_seconds,
                ..
            }) => retry_after_seconds,
            other => unreachable!("{other:?}"),
        };
        assert_eq!(wait("30"), Some(30));
        assert_eq!(wait("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }

    #[test]
    fn a_failure_quotes_the_start_of_a_json_body() {
        let body = format!("{{\n \"error\": \"{}\" }}", "x".repeat(1000));
        let failure = reply(400, &[("content-type", "application/json")], &body)
            .error_for_status()
            .unwrap_err();
        let text = failure.to_string();
        assert!(
            text.starts_with("GET https://h/p answered 400: { \"error\": \"xxx"),
            "{text}"
        );
        assert!(text.len() < 400);
    }

    #[test]
    fn a_reply_that_is_not_the_expected_json_is_a_permanent_failure() {
        let failure = reply(200, &[], "<html>").json::<u8>().unwrap_err();
        assert!(matches!(failure, Failure::Permanent(text) if text.contains("GET https://h/p")));
    }
}
