//! What is wrong with a manifest, where, and what to write instead.

use std::fmt;
use std::ops::Range;

/// A manifest that was refused. Prints as
/// `connector.toml:12:3: what is wrong; what to write instead`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Where in the tree of tables, for example `actions.create.effect`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            message,
            remedy,
            path: _,
        } = self;
        write!(f, "connector.toml:{line}:{column}: {message}; {remedy}")
    }
}

impl std::error::Error for ManifestError {}

/// Line and column, both from 1, of the byte at `offset`. An offset outside
/// the text, or inside a character, counts as the nearest place before it.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before: String = text
        .char_indices()
        .take_while(|(at, _)| *at < offset)
        .map(|(_, c)| c)
        .collect();
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |last| last.chars().count())
        + 1;
    (line, column)
}

/// An error at `span` of `text`.
pub(super) fn at(
    text: &str,
    span: &Range<usize>,
    path: &str,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> ManifestError {
    let (line, column) = position(text, span.start);
    ManifestError {
        line,
        column,
        path: path.to_owned(),
        message: message.into(),
        remedy: remedy.into(),
    }
}
