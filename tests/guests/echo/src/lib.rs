//! Answers what it is given; asks the host for nothing.

use guest_bindings::connector::keyway::guest::types::{Failure, RateLimit};

guest_bindings::connector!(act);

fn act(name: &str, input: String) -> Result<String, Failure> {
    match name {
        "echo" => Ok(input),
        "invalid-input" => Err(Failure::InvalidInput(input)),
        "rate-limited" => Err(Failure::RateLimited(RateLimit {
            message: input,
            retry_after_seconds: Some(7),
        })),
        other => Err(Failure::NotFound(other.to_owned())),
    }
}
