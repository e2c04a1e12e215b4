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
mod tests {
    use super::*;

    const SEGV: Crash = Crash::Ended { signal: Some(11) };

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn digests<const N: usize>(names: [&str; N]) -> BTreeSet<Digest> {
        names.map(digest).into()
    }

    /// A crash in the component's own worker.
    fn own(suspicion: &mut Suspicion, name: &str, crash: Crash, now: Instant) -> Option<Notice> {
        suspicion.crashed(Some(digest(name)), &digests([name]), crash, now)
    }

    /// A crash in a worker that several may use.
    fn shared<const N: usize>(
        suspicion: &mut Suspicion,
        names: [&str; N],
        crash: Crash,
    ) -> Option<Notice> {
        suspicion.crashed(None, &digests(names), crash, Instant::now())
    }

    #[test]
    fn a_component_that_ended_its_own_workers_is_quarantined() {
        let mut suspicion = Suspicion::default();
        let now = Instant::now();
        assert_eq!(shared(&mut suspicion, ["bad"], SEGV), None);
        assert!(suspicion.is_alone(&digest("bad"), now));
        for second in 1..COMPONENT_CRASHES_MAX as u64 {
            let now = now + Duration::from_secs(second);
            assert_eq!(own(&mut suspicion, "bad", SEGV, now), None);
        }
        let told = own(&mut suspicion, "bad", SEGV, now + Duration::from_secs(9));
        assert!(
            matches!(told, Some(Notice::Quarantined { component, .. }) if component == digest("bad"))
        );
        assert!(suspicion.quarantined(&digest("bad")).is_some());
    }

    #[test]
    fn nothing_in_a_shared_worker_is_held_against_whoever_was_there() {
        let mut suspicion = Suspicion::default();
        let forbidden = Crash::by(Some(libc::SIGSYS));
        for _ in 0..10 {
            let told = shared(&mut suspicion, ["good"], forbidden);
            assert!(matches!(told, Some(Notice::Forbidden { .. })), "{told:?}");
            assert_eq!(shared(&mut suspicion, ["bad", "good"], SEGV), None);
        }
        let now = Instant::now();
        assert!(suspicion.is_alone(&digest("good"), now));
        assert!(!suspicion.is_alone(&digest("good"), now + PROBATION));
        assert_eq!(suspicion.quarantined(&digest("good")), None);
    }

    #[test]
    fn a_forbidden_system_call_among_others_is_told_each_time_with_all_who_were_there() {
        let mut suspicion = Suspicion::new(Some(digest("own")));
        let forbidden = Crash::by(Some(libc::SIGSYS));
        for names in [["bad", "good"], ["bad", "good"], ["bad", "late"]] {
            let [one, other] = names;
            let told = shared(&mut suspicion, [one, other, "own"], forbidden);
            let components = digests(names);
            assert_eq!(told, Some(Notice::Forbidden { components }));
            for name in names {
                assert!(suspicion.is_alone(&digest(name), Instant::now()));
                assert_eq!(suspicion.quarantined(&digest(name)), None);
            }
        }
        // Another end of a worker of many is told of nobody.
        for crash in [SEGV, Crash::Wedged, Crash::Killed, Crash::Spent] {
            assert_eq!(shared(&mut suspicion, ["bad", "good"], crash), None);
        }
    }

    #[test]
    fn crashes_that_lie_far_apart_do_not_count_together() {
        let mut suspicion = Suspicion::default();
        let mut now = Instant::now();
        for _ in 0..10 {
            now += STRIKE_WINDOW + Duration::from_secs(1);
            assert_eq!(own(&mut suspicion, "rare", SEGV, now), None);
        }
    }

    #[test]
    fn one_forbidden_system_call_is_enough() {
        let mut suspicion = Suspicion::default();
        let crash = Crash::by(Some(libc::SIGSYS));
        let told = own(&mut suspicion, "bad", crash, Instant::now());
        assert!(
            matches!(told, Some(Notice::Quarantined { why, .. }) if why.contains("system call"))
        );
    }

    #[test]
    fn a_wedged_worker_costs_company_and_nothing_more() {
        let mut suspicion = Suspicion::default();
        let now = Instant::now();
        assert_eq!(own(&mut suspicion, "slow", Crash::Wedged, now), None);
        assert!(suspicion.is_alone(&digest("slow"), now));
        assert_eq!(suspicion.quarantined(&digest("slow")), None);
    }

    #[test]
    fn a_component_that_wedges_its_own_workers_again_and_again_is_told_of_and_runs_on() {
        let mut suspicion = Suspicion::default();
        let mut now = Instant::now();
        for _ in 0..3 {
            for _ in 1..COMPONENT_CRASHES_MAX {
                assert_eq!(own(&mut suspicion, "slow", Crash::Wedged, now), None);
            }
            let told = Notice::Wedged {
                component: digest("slow"),
                workers: COMPONENT_CRASHES_MAX,
            };
            let wedged = own(&mut suspicion, "slow", Crash::Wedged, now);
            assert_eq!(wedged, Some(told));
            assert_eq!(suspicion.quarantined(&digest("slow")), None);
        }
        // Those that lie far apart do not count together.
        for _ in 0..10 {
            now += STRIKE_WINDOW + Duration::from_secs(1);
            assert_eq!(own(&mut suspicion, "slow", Crash::Wedged, now), None);
        }
    }

    #[test]
    fn a_component_whose_own_workers_are_killed_again_and_again_is_told_of_and_runs_on() {
        let mut suspicion = Suspicion::default();
        let mut now = Instant::now();
        // By the kernel for want of memory, and by its limit on processor time: both count.
        let mut signals = [libc::SIGKILL, libc::SIGXCPU].into_iter().cycle();
        let mut killed = |suspicion: &mut Suspicion, now| {
            let crash = Crash::by(signals.next());
            own(suspicion, "large", crash, now)
        };
        for _ in 0..3 {
            for _ in 1..COMPONENT_CRASHES_MAX {
                assert_eq!(killed(&mut suspicion, now), None);
            }
            let told = Notice::Killed {
                component: digest("large"),
                workers: COMPONENT_CRASHES_MAX,
            };
            assert_eq!(killed(&mut suspicion, now), Some(told));
            assert_eq!(suspicion.quarantined(&digest("large")), None);
        }
        for _ in 0..10 {
            now += STRIKE_WINDOW + Duration::from_secs(1);
            assert_eq!(killed(&mut suspicion, now), None);
        }
    }

    #[test]
    fn the_hosts_own_component_is_never_kept_from_running() {
        let mut suspicion = Suspicion::new(Some(digest("own")));
        for _ in 0..10 {
            shared(&mut suspicion, ["own"], SEGV);
        }
        assert_eq!(suspicion.quarantined(&digest("own")), None);
        assert!(!suspicion.is_alone(&digest("own"), Instant::now()));
    }

    #[test]
    fn what_is_released_begins_anew_and_alone() {
        let mut suspicion = Suspicion::default();
        let now = Instant::now();
        for _ in 0..COMPONENT_CRASHES_MAX {
            own(&mut suspicion, "bad", SEGV, now);
        }
        assert!(suspicion.quarantined(&digest("bad")).is_some());
        suspicion.release(&digest("bad"), now);
        assert_eq!(suspicion.quarantined(&digest("bad")), None);
        assert!(suspicion.is_alone(&digest("bad"), now));
        assert_eq!(own(&mut suspicion, "bad", SEGV, now), None);
    }
}
