//! A bucket that fills with time: how many of something a second, or a minute.
//!
//! Looks at no clock of its own.

use tokio::time::Instant;

/// Fills evenly with time up to a capacity; may be in debt.
#[derive(Debug)]
pub(crate) struct Bucket {
    capacity: f64,
    per_second: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket, of `capacity` in `seconds`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a limit beyond 2^53 may be off by one"
    )]
    pub(crate) fn full(capacity: u64, seconds: f64, now: Instant) -> Self {
        let capacity = capacity as f64;
        Self {
            capacity,
            per_second: capacity / seconds,
            level: capacity,
            filled: now,
        }
    }

    /// Another capacity. What is in it stays, as far as it fits, and so does a
    /// debt.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a limit beyond 2^53 may be off by one"
    )]
    pub(crate) fn resize(&mut self, capacity: u64, seconds: f64, now: Instant) {
        self.fill(now);
        self.capacity = capacity as f64;
        self.per_second = self.capacity / seconds;
        self.level = self.level.min(self.capacity);
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level = self
            .capacity
            .min(passed.mul_add(self.per_second, self.level));
        self.filled = now;
    }

    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let enough = self.level >= 1.0;
        if enough {
            self.level -= 1.0;
        }
        enough
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "what one read or write moves is far below 2^53"
    )]
    pub(crate) fn charge(&mut self, amount: u64) {
        self.level -= amount as f64;
    }

    pub(crate) fn is_empty(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level < 1.0
    }

    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= self.capacity
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_its_capacity_at_once_and_then_as_much_as_time_brings() {
        let start = Instant::now();
        let mut bucket = Bucket::full(3, 1.0, start);
        let taken = |bucket: &mut Bucket, now| {
            std::iter::repeat_with(|| bucket.take(now))
                .take_while(|taken| *taken)
                .count()
        };
        assert_eq!(taken(&mut bucket, start), 3);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(700)), 2);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(60)), 3);
    }

    #[test]
    fn a_debt_is_paid_by_time() {
        let start = Instant::now();
        let mut bucket = Bucket::full(60, 60.0, start);
        bucket.charge(90);
        assert!(bucket.is_empty(start + Duration::from_secs(30)));
        assert!(!bucket.is_empty(start + Duration::from_secs(32)));
    }
}
