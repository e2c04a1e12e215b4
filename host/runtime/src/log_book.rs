//! The log lines of one call: cut, counted, and held until they can be sent.

use std::collections::VecDeque;
use std::mem;

use keyway_ipc::LogLevel;
use keyway_model::limit::CallLimits;

/// Marks a line that was cut.
const CUT: &str = " … (cut)";

/// Bytes of all lines of one call: each is searched for secrets, sealed and
/// kept, on the way of everybody else's work.
const BYTES_MAX: usize = 128 << 10;

/// Which standard stream a guest writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdio {
    Output,
    Error,
}

/// A line that may be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) level: LogLevel,
    pub(crate) message: String,
}

pub(crate) struct LogBook {
    lines_max: u32,
    line_bytes_max: usize,
    written: u32,
    bytes: usize,
    dropped: u32,
    /// Standard output and error: what has no line end yet.
    unfinished: [Vec<u8>; 2],
    /// Whole lines of standard output and error that are not sent yet.
    unsent: VecDeque<Line>,
}

impl LogBook {
    pub(crate) fn new(limits: &CallLimits) -> Self {
        Self {
            lines_max: limits.log_lines_max,
            line_bytes_max: limits.log_line_bytes_max as usize,
            written: 0,
            bytes: 0,
            dropped: 0,
            unfinished: [Vec::new(), Vec::new()],
            unsent: VecDeque::new(),
        }
    }

    /// How many lines were written, and how many of them dropped.
    pub(crate) const fn counts(&self) -> (u32, u32) {
        (self.written, self.dropped)
    }

    /// Counts one line; `None` if there were too many.
    pub(crate) fn line(&mut self, level: LogLevel, message: String) -> Option<Line> {
        self.written = self.written.saturating_add(1);
        let message = self.cut(message);
        self.bytes = self.bytes.saturating_add(message.len());
        if self.written > self.lines_max || self.bytes > BYTES_MAX {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        }
        Some(Line { level, message })
    }

    fn cut(&self, mut message: String) -> String {
        if message.len() > self.line_bytes_max {
            message.truncate(message.floor_char_boundary(self.line_bytes_max));
            message.push_str(CUT);
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
        self.unsent.extend(line);
    }

    const fn unfinished_mut(&mut self, stdio: Stdio) -> &mut Vec<u8> {
        let [output, error] = &mut self.unfinished;
        match stdio {
            Stdio::Output => output,
            Stdio::Error => error,
        }
    }

    /// The next line of a standard stream to send.
    pub(crate) fn take_unsent(&mut self) -> Option<Line> {
        self.unsent.pop_front()
    }

    /// Whether the guest must wait until lines are sent.
    pub(crate) fn is_full(&self) -> bool {
        !self.unsent.is_empty()
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
        std::iter::from_fn(|| book.take_unsent())
            .map(|line| line.message)
            .collect()
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
        assert_eq!(line.as_deref(), Some("ää … (cut)"));
    }

    #[test]
    fn long_lines_fill_the_log_before_many_do() {
        let mut book = book(1_000, 4 << 10);
        let kept = (0..100)
            .filter_map(|_| book.line(LogLevel::Info, "x".repeat(64 << 10)))
            .count();
        assert_eq!(kept, 31);
        assert_eq!(book.counts(), (100, 69));
    }

    #[test]
    fn lines_over_the_limit_are_counted_and_dropped() {
        let mut book = book(2, 100);
        book.print(Stdio::Output, b"1\n2\n3\n4\n");
        assert_eq!(sent(&mut book), ["1", "2"]);
        assert_eq!(book.counts(), (4, 2));
    }
}
