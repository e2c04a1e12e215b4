//! How often a warning is worth a line of the log: what a guest can cause a thousand
//! times a second is said once in it, over all workspaces.

use std::time::Instant;

use keyway_fair::Spent;
use parking_lot::Mutex;

/// A warning that is said at most once a second.
#[derive(Debug)]
pub(crate) struct Seldom(Mutex<Spent>);

impl Seldom {
    pub(crate) fn from(now: Instant) -> Self {
        Self(Mutex::new(Spent::nothing(now)))
    }

    /// Whether it is to be said now; then it has been.
    #[must_use = "it counts as said"]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut spent = self.0.lock();
        let is_due = spent.has_room(now, 1);
        if is_due {
            spent.spend(now, 1);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_happens_a_thousand_times_a_second_is_said_once_in_it() {
        let start = Instant::now();
        let seldom = Seldom::from(start);
        let mut said = 0;
        for millisecond in 0..10_000 {
            said += u32::from(seldom.is_due(start + Duration::from_millis(millisecond)));
        }
        assert_eq!(said, 10);
        assert!(seldom.is_due(start + Duration::from_secs(60)));
        assert!(!seldom.is_due(start + Duration::from_secs(60)));
    }
}
