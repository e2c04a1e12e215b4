//! Bindings to our own types and back: the only place where that happens.

use keyway_ipc::{CallOutcome, LogLevel, PollBatch, PollEvent, ScratchRefusal, StateRefusal, Trap};
use keyway_model::Failure;
use keyway_model::call::RateLimit;
use keyway_model::limit::{CallLimits, POLL_EVENTS_MAX};
use keyway_model::plain::is_plain;

use crate::bindings::connector::exports::keyway::guest::triggers;
use crate::bindings::connector::keyway::guest::types;
use crate::bindings::{log, scratch, state};
use crate::live::over;

/// Events in one batch, as `wit/world.wit` says.
const EVENTS_MAX: usize = POLL_EVENTS_MAX;

pub(crate) const fn log_level(level: log::Level) -> LogLevel {
    match level {
        log::Level::Debug => LogLevel::Debug,
        log::Level::Info => LogLevel::Info,
        log::Level::Warn => LogLevel::Warn,
        log::Level::Error => LogLevel::Error,
    }
}

pub(crate) fn state_refusal(refusal: StateRefusal) -> state::Refusal {
    match refusal {
        StateRefusal::Denied => state::Refusal::Denied,
        StateRefusal::Limit(text) => state::Refusal::Limit(text),
    }
}

pub(crate) fn scratch_refusal(refusal: ScratchRefusal) -> scratch::Refusal {
    match refusal {
        ScratchRefusal::Denied => scratch::Refusal::Denied,
        ScratchRefusal::Limit(text) => scratch::Refusal::Limit(text),
        ScratchRefusal::BadName(text) => scratch::Refusal::BadName(text),
        ScratchRefusal::NotFound => scratch::Refusal::NotFound,
        ScratchRefusal::BehindEnd => scratch::Refusal::BehindEnd,
    }
}

/// The text of a failure is shown to people: one line, and nothing that a
/// terminal would obey.
fn failure(failure: types::Failure) -> Failure {
    let plain = |c| if is_plain(c) { c } else { ' ' };
    as_it_is(failure).map_message(|text| text.chars().map(plain).collect())
}

fn as_it_is(failure: types::Failure) -> Failure {
    match failure {
        types::Failure::InvalidInput(text) => Failure::InvalidInput(text),
        types::Failure::Unauthorized(text) => Failure::Unauthorized(text),
        types::Failure::Forbidden(text) => Failure::Forbidden(text),
        types::Failure::NotFound(text) => Failure::NotFound(text),
        types::Failure::Conflict(text) => Failure::Conflict(text),
        types::Failure::RateLimited(limit) => Failure::RateLimited(RateLimit {
            message: limit.message,
            retry_after_seconds: limit.retry_after_seconds,
        }),
        types::Failure::Transient(text) => Failure::Transient(text),
        types::Failure::Permanent(text) => Failure::Permanent(text),
    }
}

/// What an action or a check came to.
pub(crate) fn value(
    answer: Result<String, types::Failure>,
    limits: &CallLimits,
) -> Result<CallOutcome, Trap> {
    match answer {
        Ok(value) => within(CallOutcome::Value(value), limits),
        Err(error) => failed(error, limits),
    }
}

/// What logic came to.
pub(crate) fn logic(
    answer: Result<String, String>,
    limits: &CallLimits,
) -> Result<CallOutcome, Trap> {
    let outcome = match answer {
        Ok(value) => CallOutcome::Value(value),
        Err(text) => CallOutcome::LogicError(text),
    };
    within(outcome, limits)
}

/// What a poll came to. All of a batch together counts as its output.
pub(crate) fn batch(
    answer: Result<triggers::Batch, types::Failure>,
    limits: &CallLimits,
) -> Result<CallOutcome, Trap> {
    let batch = match answer {
        Ok(batch) => batch,
        Err(error) => return failed(error, limits),
    };
    if batch.events.len() > EVENTS_MAX {
        return Err(over("POLL_EVENTS_MAX", EVENTS_MAX as u64));
    }
    let is_empty = |event: &triggers::Event| event.deduplication_key.is_empty();
    if batch.events.iter().any(is_empty) {
        return Err(Trap::Guest(
            "an event has an empty de-duplication key".to_owned(),
        ));
    }
    let event = |event: triggers::Event| PollEvent {
        deduplication_key: event.deduplication_key,
        payload: event.payload,
    };
    let events = batch.events.into_iter().map(event).collect();
    let outcome = CallOutcome::Batch(PollBatch {
        events,
        cursor: batch.cursor,
        more: batch.more,
    });
    within(outcome, limits)
}

fn failed(error: types::Failure, limits: &CallLimits) -> Result<CallOutcome, Trap> {
    within(CallOutcome::Failure(failure(error)), limits)
}

fn within(outcome: CallOutcome, limits: &CallLimits) -> Result<CallOutcome, Trap> {
    outcome.unless_within(limits)?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polled(events: usize) -> Result<CallOutcome, Trap> {
        let event = |number: usize| triggers::Event {
            deduplication_key: number.to_string(),
            payload: String::new(),
        };
        let answer = triggers::Batch {
            events: (0..events).map(event).collect(),
            cursor: None,
            more: false,
        };
        batch(Ok(answer), &CallLimits::default())
    }

    #[test]
    fn a_poll_that_brings_more_events_than_one_may_is_ended_by_name() {
        assert!(polled(POLL_EVENTS_MAX).is_ok());
        let over = over("POLL_EVENTS_MAX", POLL_EVENTS_MAX as u64);
        assert_eq!(polled(POLL_EVENTS_MAX + 1), Err(over));
    }
}
