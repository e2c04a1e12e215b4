//! What a guest gives, as it leaves: searched for the secrets of its call. Whatever
//! way it came by one, it does not leave with it.
//!
//! The pieces of an outcome, and the lines of a call's log, are one search each,
//! so that many short ones cost no more than one that is as long.

use keyway_ipc::{CallOutcome, Trap};
use keyway_model::plain::is_plain;

use crate::mask::Search;
use crate::seen::LogLine;

/// An outcome without secrets.
pub(crate) fn outcome(outcome: CallOutcome, search: &mut Search<'_>) -> CallOutcome {
    let mut clean = |text: String| search.clean(text);
    match outcome {
        CallOutcome::Value(json) => CallOutcome::Value(clean(json)),
        CallOutcome::LogicError(text) => CallOutcome::LogicError(clean(text)),
        CallOutcome::Failure(failure) => CallOutcome::Failure(failure.map_message(clean)),
        CallOutcome::Batch(mut batch) => {
            // First what names things: no payload that is hard to search changes a name.
            batch.cursor = batch.cursor.map(&mut clean);
            for event in &mut batch.events {
                event.deduplication_key = clean(std::mem::take(&mut event.deduplication_key));
            }
            for event in &mut batch.events {
                event.payload = clean(std::mem::take(&mut event.payload));
            }
            CallOutcome::Batch(batch)
        }
        CallOutcome::Trap(Trap::Guest(text)) => CallOutcome::Trap(Trap::Guest(clean(text))),
        CallOutcome::Trap(trap) => CallOutcome::Trap(trap),
    }
}

/// A line of the log without secrets, nor what a terminal would obey.
pub(crate) fn line(line: keyway_ipc::LogLine, search: Option<&mut Search<'_>>) -> LogLine {
    let message: String = line.message.chars().filter(|c| is_plain(*c)).collect();
    LogLine {
        level: line.level,
        message: match search {
            Some(search) => search.clean(message),
            None => message,
        },
    }
}

#[cfg(test)]
mod tests {
    use keyway_ipc::{LogLevel, PollBatch, PollEvent};

    use super::*;
    use crate::mask::Mask;

    /// As long as takes most steps without being the secret.
    const PIECE: usize = 1_040;

    fn mask() -> Mask {
        Mask::of([vec![b'a'; 2_048].as_slice()])
    }

    /// The steps of one text of so many bytes.
    fn steps_of_one(mask: &Mask, bytes: usize) -> u64 {
        let mut search = Search::of(mask);
        search.clean("a".repeat(bytes));
        search.effort().steps()
    }

    #[test]
    fn a_batch_of_many_events_costs_no_more_search_than_one_value_of_their_length() {
        let mask = mask();
        let event = PollEvent {
            deduplication_key: "aa-aa-aa-7".to_owned(),
            payload: "a".repeat(PIECE),
        };
        let batch = PollBatch {
            events: vec![event; 100],
            cursor: Some("after aa".to_owned()),
            ..PollBatch::default()
        };
        let mut search = Search::of(&mask);
        let CallOutcome::Batch(batch) = outcome(CallOutcome::Batch(batch), &mut search) else {
            unreachable!("it was a batch");
        };
        let (steps, one) = (search.effort().steps(), steps_of_one(&mask, 100 * PIECE));
        assert!(steps <= one + one / 100, "{steps}, {one} for one value");
        assert_eq!(batch.cursor.as_deref(), Some("after aa"));
        let mut keys = batch.events.iter().map(|event| &event.deduplication_key);
        assert!(keys.all(|key| key == "aa-aa-aa-7"), "names stay");
    }

    #[test]
    fn the_lines_of_a_log_cost_no_more_search_than_one_line_of_their_length() {
        let mask = mask();
        let mut search = Search::of(&mask);
        for _ in 0..126 {
            let long = keyway_ipc::LogLine {
                level: LogLevel::Info,
                message: "a".repeat(PIECE),
            };
            line(long, Some(&mut search));
        }
        let (steps, one) = (search.effort().steps(), steps_of_one(&mask, 126 * PIECE));
        assert!(steps <= one + one / 100, "{steps}, {one} for one line");
    }

    #[test]
    fn what_follows_a_piece_that_was_hard_to_search_is_still_searched() {
        let mask = Mask::of([vec![b'a'; 2_048].as_slice(), b"another-secret"]);
        let mut search = Search::of(&mask);
        for _ in 0..20 {
            search.clean("a".repeat(PIECE));
        }
        let clean = search.clean(format!("{} another-secret end", "no matter ".repeat(200)));
        assert!(!clean.contains("another-secret"), "{clean}");
    }
}
