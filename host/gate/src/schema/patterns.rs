//! Which patterns are let run.
//!
//! The engine takes a time that is linear in the text, but not in the pattern:
//! some have it try thousands of places for each byte. A pattern is taken if
//! the table of all that it can be in the middle of is small; then the engine
//! reads each byte once, whatever the text.

use std::collections::HashSet;

use keyway_model::limit::SCHEMA_PATTERN_TABLES_BYTES_MAX;
use regex_automata::dfa::{StartKind, dense};
use regex_automata::nfa::thompson::{Compiler, Config, NFA, WhichCaptures};

/// Why a pattern is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTaken {
    /// It does not parse.
    #[error(
        "it is no regular expression, or has what takes more than linear time (look-ahead, look-behind, back-references); write it without"
    )]
    Syntax,
    /// Its boundaries are those of words in any language.
    #[error(r"a boundary of words is slow beyond ASCII; write `(?-u:\b)` for `\b`")]
    Boundary,
    /// It is too large.
    #[error(
        "its table is larger than what `SCHEMA_PATTERN_TABLES_BYTES_MAX` ({SCHEMA_PATTERN_TABLES_BYTES_MAX}) leaves for it; say lengths by `minLength` and `maxLength`, and begin it with `^` where it can"
    )]
    Large,
}

/// The room for tables of one manifest's patterns.
#[derive(Debug)]
pub(super) struct Tables {
    left: usize,
    known: HashSet<String>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            left: SCHEMA_PATTERN_TABLES_BYTES_MAX,
            known: HashSet::new(),
        }
    }
}

impl Tables {
    /// Takes a pattern; one that was taken before takes no further room.
    pub(super) fn add(&mut self, pattern: &str) -> Result<(), NotTaken> {
        if self.known.contains(pattern) {
            return Ok(());
        }
        let text = jsonschema_regex::to_rust_regex(pattern).map_err(|()| NotTaken::Syntax)?;
        let forward = self.automaton(&text, Config::new())?;
        self.table(&forward, StartKind::Unanchored)?;
        // The engine may begin at the end of a text.
        if !forward.is_always_start_anchored() {
            let backward = self.automaton(&text, Config::new().reverse(true))?;
            self.table(&backward, StartKind::Anchored)?;
        }
        self.known.insert(pattern.to_owned());
        Ok(())
    }

    #[cfg(test)]
    pub(super) const fn left(&self) -> usize {
        self.left
    }

    fn automaton(&self, text: &str, config: Config) -> Result<NFA, NotTaken> {
        let config = config
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(self.left));
        Compiler::new()
            .configure(config)
            .build(text)
            .map_err(|error| match error.size_limit() {
                Some(_) => NotTaken::Large,
                None => NotTaken::Syntax,
            })
    }

    fn table(&mut self, automaton: &NFA, start: StartKind) -> Result<(), NotTaken> {
        let config = dense::Config::new()
            .start_kind(start)
            .accelerate(false)
            .dfa_size_limit(Some(self.left))
            .determinize_size_limit(Some(self.left));
        let table = dense::Builder::new()
            .configure(config)
            .build_from_nfa(automaton)
            .map_err(|error| match error.is_size_limit_exceeded() {
                true => NotTaken::Large,
                false => NotTaken::Boundary,
            })?;
        self.left = self.left.saturating_sub(table.memory_usage());
        Ok(())
    }
}
