//! Components whose calls have ended in a worker: code that got out of its sandbox may
//! outlive its call. Each is remembered for a while after its last one, so that what ran
//! long ago is not suspected, and what an old worker has seen does not only grow.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use keyway_model::Digest;
use keyway_model::limit::COMPONENT_RAN_SECONDS_MAX;

/// How long a component is remembered after the end of its last call.
const REMEMBERED: Duration = Duration::from_secs(COMPONENT_RAN_SECONDS_MAX);

/// When the last call of each component ended.
#[derive(Debug, Default)]
pub(super) struct Ran(HashMap<Digest, Instant>);

impl Ran {
    /// Notes that a call of a component has ended.
    pub(super) fn note(&mut self, component: Digest, now: Instant) {
        if self.0.insert(component, now).is_none() {
            // There is one more: those that lie too far back make room.
            self.0.retain(|_, ended| is_recent(*ended, now));
        }
    }

    /// Those whose last call ended not long ago.
    pub(super) fn recent(&self, now: Instant) -> impl Iterator<Item = Digest> {
        let all = self.0.iter();
        all.filter(move |(_, ended)| is_recent(**ended, now))
            .map(|(component, _)| *component)
    }
}

fn is_recent(ended: Instant, now: Instant) -> bool {
    now.duration_since(ended) < REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_remembered_for_so_long_after_its_last_call_and_no_longer() {
        let digest = |name: &str| Digest::of(name.as_bytes());
        let recent = |ran: &Ran, now| {
            let mut recent: Vec<Digest> = ran.recent(now).collect();
            recent.sort();
            recent
        };
        let (mut ran, now) = (Ran::default(), Instant::now());
        let moment = Duration::from_millis(1);
        for number in 0..100 {
            ran.note(digest(&format!("long ago {number}")), now);
        }
        ran.note(digest("often"), now);
        ran.note(digest("often"), now + moment);
        assert_eq!(recent(&ran, now + REMEMBERED - moment).len(), 101);
        assert_eq!(recent(&ran, now + REMEMBERED), [digest("often")]);
        // What is forgotten takes no memory, either, once another has come.
        ran.note(digest("late"), now + REMEMBERED);
        assert_eq!(ran.0.len(), 2);
        assert_eq!(recent(&ran, now + REMEMBERED + moment), [digest("late")]);
    }
}
