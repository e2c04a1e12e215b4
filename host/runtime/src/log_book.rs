//! The log lines of one call: cut, counted, and held until they can be sent.

use std::mem;

use keyway_ipc::{LOG_LINES_TOGETHER_MAX, LogLevel, LogLine};
use keyway_model::limit::CallLimits;

/// Which standard stream a guest writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdio {
    Output,
    Error,
}

/// Lines that are sent together, and bytes of them, if nothing else is sent
/// before there are so many.
const LINES_TOGETHER: usize = 64;
const BYTES_TOGETHER: usize = 32 << 10;

pub(crate) struct LogBook {
    lines_max: u32,
    line_bytes_max: usize,
    /// Bytes that may still be kept.
    bytes_left: usize,
    written: u32,
    dropped: u32,
    /// Standard output and error: what has no line end yet.
    unfinished: [Vec<u8>; 2],
    /// Whole lines that are not sent yet.
    unsent: Vec<LogLine>,
    unsent_bytes: usize,
    /// How many of them count as host calls and were not counted yet.
    uncounted: u32,
}

impl LogBook {
    pub(crate) fn new(limits: &CallLimits) -> Self {
        Self {
            lines_max: limits.log_lines_max,
            line_bytes_max: limits.log_line_bytes_max as usize,
            bytes_left: limits.log_bytes_max as usize,
            written: 0,
            dropped: 0,
            unfinished: [Vec::new(), Vec::new()],
            unsent: Vec::new(),
            unsent_bytes: 0,
            uncounted: 0,
        }
    }

    /// How many lines were written, and how many of them dropped.
    pub(crate) const fn counts(&self) -> (u32, u32) {
        (self.written, self.dropped)
    }

    /// Writes one line, which was counted as a host call.
    pub(crate) fn write(&mut self, level: LogLevel, message: String) {
        let line = self.line(level, message);
        self.keep(line);
    }

    fn keep(&mut self, line: Option<LogLine>) {
        self.unsent_bytes += line.as_ref().map_or(0, LogLine::bytes);
        self.unsent.extend(line);
    }

    /// Counts one line; `None` if there were too many, or too many bytes.
    fn line(&mut self, level: LogLevel, message: String) -> Option<LogLine> {
        self.written = self.written.saturating_add(1);
        let message = self.cut(message);
        if self.written > self.lines_max || message.len() > self.bytes_left {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        }
        self.bytes_left -= message.len();
        Some(LogLine { level, message })
    }

    fn cut(&self, mut message: String) -> String {
        if message.len() > self.line_bytes_max {
            message.truncate(message.floor_char_boundary(self.line_bytes_max));
            let mark = format!(" … (cut at log_line_bytes_max ({}))", self.line_bytes_max);
            message.push_str(&mark);
        }
        message
    }

    /// Takes bytes of a standard stream; whole lines wait in `unsent`.
    pub(crate) fn print(&mut self, stdio: Stdio, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let buffer = self.unfinished_mut(stdio);
            buffer.extend_from_slice(text);
            if ends || self.unfinished_mut(stdio).len() > self.line_bytes_max {
                self.finish(stdio);
            }
        }
    }

    /// Makes lines of what has no line end.
    pub(crate) fn finish_all(&mut self) {
        for stdio in [Stdio::Output, Stdio::Error] {
            if !self.unfinished_mut(stdio).is_empty() {
                self.finish(stdio);
            }
        }
    }

    fn finish(&mut self, stdio: Stdio) {
        let bytes = mem::take(self.unfinished_mut(stdio));
        let level = match stdio {
            Stdio::Output => LogLevel::Info,
            Stdio::Error => LogLevel::Warn,
        };
        let line = self.line(level, String::from_utf8_lossy(&bytes).into_owned());
        self.uncounted += u32::from(line.is_some());
        self.keep(line);
    }

    const fn unfinished_mut(&mut self, stdio: Stdio) -> &mut Vec<u8> {
        let [output, error] = &mut self.unfinished;
        match stdio {
            Stdio::Output => output,
            Stdio::Error => error,
        }
    }

    /// The next lines to send, as many as one message holds; `None` if there are none.
    pub(crate) fn take_unsent(&mut self) -> Option<Vec<LogLine>> {
        self.unsent_bytes = 0;
        let mut lines = mem::take(&mut self.unsent);
        if lines.len() > LOG_LINES_TOGETHER_MAX {
            self.unsent = lines.split_off(LOG_LINES_TOGETHER_MAX);
        }
        (!lines.is_empty()).then_some(lines)
    }

    /// How many lines count as host calls from now on.
    pub(crate) const fn take_uncounted(&mut self) -> u32 {
        mem::replace(&mut self.uncounted, 0)
    }

    /// Whether so much has gathered that it is sent before there is more.
    pub(crate) const fn is_full(&self) -> bool {
        self.unsent.len() >= LINES_TOGETHER || self.unsent_bytes >= BYTES_TOGETHER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(lines_max: u32, line_bytes_max: u32) -> LogBook {
        LogBook::new(&CallLimits {
            log_lines_max: lines_max,
            log_line_bytes_max: line_bytes_max,
            ..CallLimits::default()
        })
    }

    fn sent(book: &mut LogBook) -> Vec<String> {
        let lines = book.take_unsent().unwrap_or_default();
        lines.into_iter().map(|line| line.message).collect()
    }

    #[test]
    fn printed_bytes_become_lines_whatever_their_pieces() {
        let mut book = book(10, 100);
        book.print(Stdio::Output, b"one\ntw");
        book.print(Stdio::Error, b"other");
        book.print(Stdio::Output, b"o\n\nend");
        book.finish_all();
        assert_eq!(sent(&mut book), ["one", "two", "", "end", "other"]);
    }

    #[test]
    fn a_long_line_is_cut_at_a_character_and_marked() {
        let mut book = book(10, 5);
        let line = book
            .line(LogLevel::Info, "ääää".to_owned())
            .map(|line| line.message);
        assert_eq!(
            line.as_deref(),
            Some("ää … (cut at log_line_bytes_max (5))")
        );
    }

    #[test]
    fn bytes_over_the_limit_of_all_lines_are_counted_and_dropped() {
        let mut book = LogBook::new(&CallLimits {
            log_bytes_max: 10,
            ..CallLimits::default()
        });
        book.print(Stdio::Output, b"12345\n67890\n1\n2\n");
        assert_eq!(sent(&mut book), ["12345", "67890"]);
        assert_eq!(book.counts(), (4, 2));
    }

    #[test]
    fn lines_over_the_limit_are_counted_and_dropped() {
        let mut book = book(2, 100);
        book.print(Stdio::Output, b"1\n2\n3\n4\n");
        assert_eq!(sent(&mut book), ["1", "2"]);
        assert_eq!(book.counts(), (4, 2));
    }
}
