//! Bindings to our own types and back: the only place where that happens.

use keyway_ipc::{CallOutcome, LogLevel, PollBatch, PollEvent, ScratchRefusal, StateRefusal, Trap};
use keyway_model::Failure;
use keyway_model::call::RateLimit;
use keyway_model::limit::{CallLimits, POLL_CURSOR_BYTES_MAX, POLL_EVENTS_MAX, POLL_KEY_BYTES_MAX};
use keyway_model::plain::is_plain;

use crate::bindings::connector::exports::keyway::guest::triggers;
use crate::bindings::connector::keyway::guest::types;
use crate::bindings::{log, scratch, state};
use crate::live::over;

/// Events in one batch, as `wit/world.wit` says.
const EVENTS_MAX: usize = POLL_EVENTS_MAX;

/// Bytes of a de-duplication key, as `wit/world.wit` says.
const KEY_BYTES_MAX: usize = POLL_KEY_BYTES_MAX;

/// Bytes of a cursor, as `wit/world.wit` says.
const CURSOR_BYTES_MAX: usize = POLL_CURSOR_BYTES_MAX;

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
        Ok(value) => {
            within(value.len(), limits)?;
            Ok(CallOutcome::Value(value))
        }
        Err(error) => failed(error, limits),
    }
}

/// What logic came to.
pub(crate) fn logic(
    answer: Result<String, String>,
    limits: &CallLimits,
) -> Result<CallOutcome, Trap> {
    let (Ok(text) | Err(text)) = &answer;
    within(text.len(), limits)?;
    Ok(match answer {
        Ok(value) => CallOutcome::Value(value),
        Err(text) => CallOutcome::LogicError(text),
    })
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
    if batch
        .cursor
        .as_ref()
        .is_some_and(|cursor| cursor.len() > CURSOR_BYTES_MAX)
    {
        return Err(over("POLL_CURSOR_BYTES_MAX", CURSOR_BYTES_MAX as u64));
    }
    let mut bytes = batch.cursor.as_ref().map_or(0, String::len);
    for event in &batch.events {
        let key_bytes = event.deduplication_key.len();
        if key_bytes == 0 {
            return Err(Trap::Guest(
                "an event has an empty de-duplication key".to_owned(),
            ));
        }
        if key_bytes > KEY_BYTES_MAX {
            return Err(over("POLL_KEY_BYTES_MAX", KEY_BYTES_MAX as u64));
        }
        bytes += key_bytes + event.payload.len();
    }
    within(bytes, limits)?;
    let event = |event: triggers::Event| PollEvent {
        deduplication_key: event.deduplication_key,
        payload: event.payload,
    };
    let events = batch.events.into_iter().map(event).collect();
    Ok(CallOutcome::Batch(PollBatch {
        events,
        cursor: batch.cursor,
        more: batch.more,
    }))
}

fn failed(error: types::Failure, limits: &CallLimits) -> Result<CallOutcome, Trap> {
    let failure = failure(error);
    within(failure.message().len(), limits)?;
    Ok(CallOutcome::Failure(failure))
}

fn within(bytes: usize, limits: &CallLimits) -> Result<(), Trap> {
    if bytes > limits.value_bytes_max as usize {
        return Err(over("value_bytes_max", limits.value_bytes_max.into()));
    }
    Ok(())
}
