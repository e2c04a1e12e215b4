//! What a person may be shown of a guest call: masked, without query, body and
//! secrets.

use keyway_authz::{DenialReason, Entry, HttpSend};
use keyway_ipc::{HttpRequest, LogLevel};
use keyway_model::limit::{SEEN_ENTRIES_MAX, SEEN_TEXT_CHARS_MAX};
use keyway_model::{CredentialSlot, Failure};
use serde::{Deserialize, Serialize};

impl SeenBodies {
    /// Nothing of either yet.
    pub(crate) const fn nothing() -> Self {
        Self {
            request: String::new(),
            reply: String::new(),
        }
    }
}

/// A body, or its first frame, as text that moves no cursor. Whoever shows it
/// masks it first and cuts it after.
pub(crate) fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let tame = |c: char| match c.is_control() {
        true => ' ',
        false => c,
    };
    text.chars().map(tame).collect()
}

/// What a person may be shown of a guest call, masked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The guest's log.
    pub log: Vec<LogLine>,
    /// Lines that were dropped for a limit.
    pub log_lines_dropped: u32,
    /// Each request, in order.
    pub requests: Vec<SeenRequest>,
    /// What was denied, with its remedy.
    pub denials: Vec<SeenDenial>,
    /// Requests and denials that are not among these: there were too many.
    #[serde(default)]
    pub more: u32,
    /// Reads of connection parameters and scopes.
    pub connection_reads: u32,
    /// Reads of state.
    pub state_reads: u32,
    /// Reads and lists of scratch files.
    #[serde(default)]
    pub scratch_reads: u32,
    /// Inward calls that were denied.
    pub inward_denied: u32,
}

/// One line of a guest's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The line, masked.
    pub message: String,
}

impl Seen {
    /// Keeps a denial, unless the same thing was denied before.
    pub(crate) fn say_once(&mut self, denial: SeenDenial) {
        if self.denials.iter().all(|known| known.asked != denial.asked) {
            self.denied(denial);
        }
    }

    /// Keeps a denial.
    pub(crate) fn denied(&mut self, denial: SeenDenial) {
        let kept = SeenDenial {
            asked: cut(denial.asked),
            remedy: cut(denial.remedy),
            ..denial
        };
        self.more += keep(&mut self.denials, kept);
    }

    /// Keeps a request.
    pub(crate) fn requested(&mut self, request: SeenRequest) {
        let kept = SeenRequest {
            method: cut(request.method),
            url: cut(request.url),
            headers: request
                .headers
                .into_iter()
                .take(SEEN_HEADERS_MAX)
                .map(cut)
                .collect(),
            failed: request.failed.map(cut),
            ..request
        };
        self.more += keep(&mut self.requests, kept);
    }

    /// A guest's failure with what the host knows of it: the guest was told
    /// less than the people who read it may know.
    pub fn explained(&self, failure: Failure) -> Failure {
        let failed = self.requests.last().and_then(|last| last.failed.as_deref());
        let last = self.denials.last();
        let over = last.filter(|last| last.reason == DenialReason::Limit);
        let denied = match &failure {
            Failure::Forbidden(_) => last,
            Failure::RateLimited(_) | Failure::Transient(_) | Failure::Permanent(_) => over,
            Failure::InvalidInput(_)
            | Failure::Unauthorized(_)
            | Failure::NotFound(_)
            | Failure::Conflict(_) => None,
        };
        let denied = denied.map(|last| last.remedy.as_str());
        match failed.or(denied) {
            Some(cause) => failure.map_message(|message| format!("{message} ({cause})")),
            None => failure,
        }
    }
}

/// Names of headers of one request that are kept.
const SEEN_HEADERS_MAX: usize = 70;

/// Adds one. What comes behind the last place takes it: the end of a story is
/// worth more than its middle. Answers how many are lost.
fn keep<T>(all: &mut Vec<T>, one: T) -> u32 {
    match all.len() < SEEN_ENTRIES_MAX {
        true => all.push(one),
        false => {
            all.pop();
            all.push(one);
            return 1;
        }
    }
    0
}

/// A text of a guest's, as long as people read.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SEEN_TEXT_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text.shrink_to_fit();
    text
}

/// The beginnings of the bodies of one request, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenBodies {
    /// What the guest sent.
    pub request: String,
    /// What came back.
    pub reply: String,
}

/// One request of a guest, without query, body and secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRequest {
    /// The method.
    pub method: String,
    /// Scheme, host, port and path.
    pub url: String,
    /// Names of the headers that the guest sent, and of the slot that the host filled.
    pub headers: Vec<String>,
    /// The rule that allowed it.
    pub rule: String,
    /// The status that came back.
    pub status: Option<u16>,
    /// What went wrong, in our own words.
    pub failed: Option<String>,
    /// Occurrences of the credential that were masked in the reply.
    pub masked: u32,
    /// From the record of the intent to the end of the reply, in microseconds.
    pub micros: u64,
    /// Its bodies, for an author who tries a connector out; never in a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bodies: Option<SeenBodies>,
}

impl SeenRequest {
    /// A request that was allowed, before it leaves.
    pub(crate) fn of(entry: &Entry<HttpSend>, http: &HttpRequest) -> Self {
        let send = entry.operation();
        let mut names: Vec<String> = http
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        names.extend(send.credential().map(|slot| match slot {
            CredentialSlot::Query(_) => "query: ••• (filled by Keyway)".to_owned(),
            CredentialSlot::ClientCertificate => "TLS: ••• (shown by Keyway)".to_owned(),
            CredentialSlot::Bearer | CredentialSlot::Basic => {
                "authorization: ••• (filled by Keyway)".to_owned()
            }
            CredentialSlot::Header(header) => format!("{header}: ••• (filled by Keyway)"),
        }));
        Self {
            method: send.method().to_string(),
            url: format!("{}{}", send.url().origin, send.url().path),
            headers: names,
            rule: entry.rule().to_owned(),
            status: None,
            failed: None,
            masked: 0,
            micros: 0,
            bodies: None,
        }
    }
}

/// Something that was denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenDenial {
    /// What the guest asked for.
    pub asked: String,
    /// Why not.
    pub reason: DenialReason,
    /// What would allow it.
    pub remedy: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_asks_for_is_kept_only_as_far_as_people_read() {
        let mut seen = Seen::default();
        for number in 0..10_000 {
            seen.denied(SeenDenial {
                asked: format!("GET https://a.test/{number}{}", "x".repeat(64 << 10)),
                reason: DenialReason::Path,
                remedy: "r".repeat(64 << 10),
            });
        }
        assert_eq!(seen.denials.len(), SEEN_ENTRIES_MAX);
        assert_eq!(seen.more as usize, 10_000 - SEEN_ENTRIES_MAX);
        let last = seen.denials.last().map(|last| last.asked.as_str());
        assert!(last.is_some_and(|asked| asked.contains("/9999")));
        let remedy = seen.denials.last().map(|last| last.remedy.as_str());
        let shown = format!("{}…", "r".repeat(SEEN_TEXT_CHARS_MAX));
        assert_eq!(remedy, Some(shown.as_str()));
        let bytes: usize = seen
            .denials
            .iter()
            .map(|denial| denial.asked.capacity() + denial.remedy.capacity())
            .sum();
        assert!(bytes < 1 << 20, "{bytes}");
    }
}
