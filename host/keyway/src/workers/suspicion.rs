//! Which component ends workers: suspicion, and in the end quarantine.
//!
//! A worker that crashes takes every call with it that it ran. Each component
//! that was there, or had been not long before (`COMPONENT_RAN_SECONDS_MAX`), is
//! suspected and gets a worker of its own for a while: the next crash there is its
//! own. Nothing that happens in a worker of several components is held against one
//! of them: code that got out of its sandbox could wait until another is there
//! alone. That such a worker tried a system call that no worker makes is told of all
//! that had been there. A worker that is ended on purpose makes nobody a suspect.
//! A component that ended [`COMPONENT_CRASHES_MAX`] workers of its own within
//! [`STRIKE_WINDOW`], or one of them by a system call that no worker makes, is
//! in quarantine until an administrator has looked at it.
//!
//! Only decides; starts and stops nothing.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

use keyway_model::Digest;
use keyway_model::limit::{
    COMPONENT_CRASHES_MAX, COMPONENT_CRASHES_SECONDS_MAX, SUSPECT_SECONDS_MAX,
};

use super::notice::Notice;

/// Crashes within this time count together.
pub(crate) const STRIKE_WINDOW: Duration = Duration::from_secs(COMPONENT_CRASHES_SECONDS_MAX);

/// How long a suspected component keeps a worker of its own after a crash.
pub(crate) const PROBATION: Duration = Duration::from_secs(SUSPECT_SECONDS_MAX);

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// It ended by itself, by a signal or otherwise.
    Ended {
        /// The signal.
        signal: Option<i32>,
    },
    /// It did not end a call and was killed.
    Wedged,
    /// Somebody else killed it: an administrator, or the kernel for want of memory.
    Killed,
    /// It used up its time on processors.
    Spent,
    /// It tried what no worker does: the filter of system calls ended it.
    Forbidden,
}

impl Crash {
    /// From the signal that ended a process.
    pub(crate) const fn by(signal: Option<i32>) -> Self {
        match signal {
            Some(libc::SIGSYS) => Self::Forbidden,
            Some(libc::SIGKILL) => Self::Killed,
            Some(libc::SIGXCPU) => Self::Spent,
            signal => Self::Ended { signal },
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended {
                signal: Some(signal),
            } => write!(f, "its worker was ended by signal {signal}"),
            Self::Ended { signal: None } => f.write_str("its worker broke off"),
            Self::Wedged => f.write_str("its worker did not end a call and was killed"),
            Self::Killed => f.write_str("its worker was killed by somebody else"),
            Self::Spent => f.write_str("its worker used up its time on processors"),
            Self::Forbidden => {
                f.write_str("its worker tried a system call that no worker makes (signal 31)")
            }
        }
    }
}

#[derive(Debug, Default)]
struct Record {
    alone_until: Option<Instant>,
    crashes: Vec<Instant>,
    /// Since it was told of them last.
    wedged: Vec<Instant>,
    /// Likewise.
    killed: Vec<Instant>,
}

impl Record {
    /// Forgets what lies too far back, and says whether anything is left.
    fn is_kept(&mut self, now: Instant) -> bool {
        for times in [&mut self.crashes, &mut self.wedged, &mut self.killed] {
            times.retain(|at| now.duration_since(*at) < STRIKE_WINDOW);
        }
        !self.crashes.is_empty()
            || !self.wedged.is_empty()
            || !self.killed.is_empty()
            || self.alone_until.is_some_and(|until| now < until)
    }
}

/// What is known of components that were there when workers ended.
#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    /// The host's own component, which is never kept from running.
    own: Option<Digest>,
    records: HashMap<Digest, Record>,
    quarantined: HashMap<Digest, String>,
}

impl Suspicion {
    /// `own` is the host's own component.
    pub(crate) fn new(own: Option<Digest>) -> Self {
        Self {
            own,
            ..Self::default()
        }
    }

    /// A worker has ended in which these components had been; `alone` is the one
    /// whose own worker it was.
    pub(crate) fn crashed(
        &mut self,
        alone: Option<Digest>,
        running: &BTreeSet<Digest>,
        crash: Crash,
        now: Instant,
    ) -> Option<Notice> {
        self.records.retain(|_, record| record.is_kept(now));
        self.suspect(running, now);
        self.suspect(alone.as_slice(), now);
        match alone {
            Some(component) => self.strike(component, crash, now),
            None => self.among_others(running, crash),
        }
    }

    /// These were in a worker that was lost: from now on each is alone.
    pub(crate) fn suspect<'a>(
        &mut self,
        components: impl IntoIterator<Item = &'a Digest>,
        now: Instant,
    ) {
        for component in components {
            if self.own != Some(*component) {
                self.records.entry(*component).or_default().alone_until = Some(now + PROBATION);
            }
        }
    }

    /// Held against none of those who had been there, but the strongest sign of all that
    /// code got out of its sandbox.
    fn among_others(&self, running: &BTreeSet<Digest>, crash: Crash) -> Option<Notice> {
        let others = running.iter().copied();
        let others = others.filter(|component| self.own != Some(*component));
        (crash == Crash::Forbidden).then(|| Notice::Forbidden {
            components: others.collect(),
        })
    }

    fn strike(&mut self, component: Digest, crash: Crash, now: Instant) -> Option<Notice> {
        let record = self.records.get_mut(&component)?;
        // A machine that is slow, or short of memory, can look like the first three, so
        // they cost no more than company, and are told.
        match crash {
            Crash::Wedged => {
                let workers = so_many_again(&mut record.wedged, now)?;
                return Some(Notice::Wedged { component, workers });
            }
            Crash::Killed | Crash::Spent => {
                let workers = so_many_again(&mut record.killed, now)?;
                return Some(Notice::Killed { component, workers });
            }
            Crash::Ended { .. } | Crash::Forbidden => record.crashes.push(now),
        }
        let is_over = crash == Crash::Forbidden || record.crashes.len() >= COMPONENT_CRASHES_MAX;
        if !is_over || self.quarantined.contains_key(&component) {
            return None;
        }
        let why = format!(
            "{crash}; it ended {} of its workers within {} s (`COMPONENT_CRASHES_MAX` = {COMPONENT_CRASHES_MAX})",
            record.crashes.len(),
            STRIKE_WINDOW.as_secs(),
        );
        self.quarantine(component, why.clone());
        Some(Notice::Quarantined { component, why })
    }

    /// Whether a component has a worker of its own for now.
    pub(crate) fn is_alone(&self, component: &Digest, now: Instant) -> bool {
        self.records
            .get(component)
            .and_then(|record| record.alone_until)
            .is_some_and(|until| now < until)
    }

    /// Why a component does not run.
    pub(crate) fn quarantined(&self, component: &Digest) -> Option<&str> {
        self.quarantined.get(component).map(String::as_str)
    }

    /// Keeps a component from running.
    pub(crate) fn quarantine(&mut self, component: Digest, why: String) {
        self.quarantined.insert(component, why);
    }

    /// Lets a component run again, in a worker of its own at first.
    pub(crate) fn release(&mut self, component: &Digest, now: Instant) {
        self.quarantined.remove(component);
        if let Some(record) = self.records.get_mut(component) {
            record.crashes.clear();
            record.wedged.clear();
            record.killed.clear();
            record.alone_until = Some(now + PROBATION);
        }
    }
}

/// One more; and how many, once they are as many as would be a quarantine, and then as many
/// again.
fn so_many_again(times: &mut Vec<Instant>, now: Instant) -> Option<usize> {
    times.push(now);
    let workers = times.len();
    (workers >= COMPONENT_CRASHES_MAX).then(|| {
        times.clear();
        workers
    })
}

#[cfg(test)]
mod tests;
