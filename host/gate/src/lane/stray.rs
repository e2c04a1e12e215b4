//! What a worker says that belongs to no call.
//!
//! A little of it comes by itself: a call has ended, and one of its bodies is
//! given up behind it. More than that costs the broker's thread the reading of
//! it, and nobody ends for it.

use std::time::{Duration, Instant};

use keyway_model::limit::STRAY_BYTES_PER_SECOND_MAX;

const SECOND: Duration = Duration::from_secs(1);

/// Such messages of one worker in one second.
#[derive(Debug)]
pub(super) struct Strays {
    since: Instant,
    bytes: usize,
}

impl Strays {
    pub(super) const fn from(now: Instant) -> Self {
        Self {
            since: now,
            bytes: 0,
        }
    }

    /// Counts one; says whether it is one too many.
    pub(super) fn count(&mut self, bytes: usize, now: Instant) -> bool {
        if now.duration_since(self.since) >= SECOND {
            *self = Self::from(now);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.bytes > STRAY_BYTES_PER_SECOND_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_strays_each_second_are_let_pass_and_a_flood_is_not() {
        let mut now = Instant::now();
        let mut strays = Strays::from(now);
        for _ in 0..100 {
            assert!(!strays.count(STRAY_BYTES_PER_SECOND_MAX, now));
            now += SECOND;
        }
        assert!(!strays.count(STRAY_BYTES_PER_SECOND_MAX, now));
        assert!(strays.count(1, now + SECOND / 2));
        assert!(!strays.count(1, now + SECOND));
    }
}
