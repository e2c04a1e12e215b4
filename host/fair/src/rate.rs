//! A rate: so many calls a second, and as many at once.
//!
//! A call costs its share of a second, and may use up at most the second ahead.
//! So the rate may differ from call to call, as limits do that are changed or are
//! another environment's, and no change gives anything back.

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Until when time is used up by the calls that were let through.
#[derive(Clone, Copy, Debug)]
pub struct Spent(Instant);

impl Spent {
    /// Nothing yet.
    pub const fn nothing(now: Instant) -> Self {
        Self(now)
    }

    /// Whether one more call fits into a rate.
    pub fn has_room(&self, now: Instant, per_second: u32) -> bool {
        self.wait(now, per_second).is_zero()
    }

    /// How long it is until one more call fits into a rate.
    pub fn wait(&self, now: Instant, per_second: u32) -> Duration {
        let ahead = now + SECOND;
        self.after(now, per_second).saturating_duration_since(ahead)
    }

    /// Counts one call.
    pub fn spend(&mut self, now: Instant, per_second: u32) {
        self.0 = self.after(now, per_second);
    }

    /// Whether all is given back, so that nothing is lost with this.
    pub fn is_nothing(&self, now: Instant) -> bool {
        self.0 <= now
    }

    fn after(&self, now: Instant, per_second: u32) -> Instant {
        self.0.max(now) + SECOND / per_second.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many calls pass at this moment.
    fn passing(spent: &mut Spent, now: Instant, per_second: u32) -> u32 {
        let mut passed = 0;
        while spent.has_room(now, per_second) {
            spent.spend(now, per_second);
            passed += 1;
        }
        passed
    }

    #[test]
    fn so_many_pass_at_once_and_then_so_many_a_second() {
        let start = Instant::now();
        let mut spent = Spent::nothing(start);
        assert_eq!(passing(&mut spent, start, 4), 4);
        assert_eq!(spent.wait(start, 4), SECOND / 4);
        assert_eq!(passing(&mut spent, start + SECOND / 4, 4), 1);
        assert_eq!(passing(&mut spent, start + SECOND, 4), 3);
        let later = start + SECOND * 60;
        assert!(spent.is_nothing(later));
        assert_eq!(passing(&mut spent, later, 4), 4, "no more for a long rest");
    }

    #[test]
    fn another_rate_gives_nothing_back() {
        let start = Instant::now();
        let mut spent = Spent::nothing(start);
        assert_eq!(passing(&mut spent, start, 10), 10);
        assert_eq!(passing(&mut spent, start, 1), 0);
        assert_eq!(passing(&mut spent, start, 10), 0);
    }
}
