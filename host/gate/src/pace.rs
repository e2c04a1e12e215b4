//! When a denied request is answered: not when the reason is known, but at the
//! next of a few moments. What was not granted is known at once, that an address
//! is private or a name has none only after a look-up; whoever measures must not
//! learn which it was (EGR-17).
//!
//! Who waits holds a timer, and counts as under way.

use std::time::Duration;

use keyway_model::limit::REFUSAL_MS_MIN;
use tokio::time::{Instant, sleep_until};

const STEP: Duration = Duration::from_millis(REFUSAL_MS_MIN);

/// Waits until a request that was asked at `since` may be refused.
pub(crate) async fn until_next_step(since: Instant) {
    sleep_until(since + step_after(since.elapsed())).await;
}

/// The first of 1, 2, 4, 8 … steps that is not over. So all that differs is how
/// often the time that it took can be halved.
fn step_after(elapsed: Duration) -> Duration {
    let mut step = STEP;
    while step < elapsed {
        step *= 2;
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_come_at_few_moments_whatever_they_took() {
        let ms = Duration::from_millis;
        for (elapsed, step) in [
            (0, 100),
            (1, 100),
            (99, 100),
            (100, 100),
            (101, 200),
            (350, 400),
            (5_001, 6_400),
        ] {
            assert_eq!(step_after(ms(elapsed)), ms(step), "{elapsed}");
        }
    }

    #[tokio::test]
    async fn a_refusal_waits_for_its_moment() {
        let before = Duration::from_millis(30);
        let since = Instant::now() - before;
        until_next_step(since).await;
        assert!(since.elapsed() >= STEP, "{:?}", since.elapsed());
    }
}
