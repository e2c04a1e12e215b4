//! Places of problems: line and column, as people count them.

use super::Problem;

/// Line and column of a byte offset; both count from 1, columns in characters.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}

/// Where an expression stands.
pub(crate) struct Place<'a> {
    /// The whole string.
    pub(crate) text: &'a str,
    pub(crate) source: &'a str,
    /// Of the source in the text, in bytes.
    pub(crate) offset: usize,
    /// JSON pointer of the text.
    pub(crate) pointer: &'a str,
}

impl Place<'_> {
    /// A problem at a byte offset of the source.
    pub(crate) fn problem(&self, at: usize, message: String, remedy: impl Into<String>) -> Problem {
        let (line, column) = position(self.text, self.offset + at);
        Problem {
            pointer: self.pointer.to_owned(),
            source: self.source.trim().to_owned(),
            line,
            column,
            message,
            remedy: remedy.into(),
        }
    }

    /// The byte offset of a line and column, as the parser counts them.
    pub(crate) fn offset_of(&self, (line, column): (isize, isize)) -> usize {
        let line = usize::try_from(line).unwrap_or(1).max(1);
        let column = usize::try_from(column).unwrap_or(0).saturating_sub(1);
        let before: usize = self
            .source
            .split_inclusive('\n')
            .take(line - 1)
            .map(str::len)
            .sum();
        let here = self
            .source
            .split_inclusive('\n')
            .nth(line - 1)
            .unwrap_or_default();
        before
            + here
                .char_indices()
                .nth(column)
                .map_or(here.len(), |(at, _)| at)
    }
}
