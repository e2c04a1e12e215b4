//! When a denied request is answered: not when the reason is known, but at one of
//! two moments. What was not granted is known at once, that an address is private
//! or a name has none only after a look-up; whoever measures must not learn which
//! it was (EGR-17).
//!
//! The first moment is long enough for most look-ups. The second is that at which
//! a look-up is given up, so that all which took longer than the first look like
//! one that had no answer. One moment for all would make each denial wait for
//! seconds.
//!
//! Who waits holds a timer, and counts as under way.

use std::time::Duration;

use keyway_model::limit::REFUSAL_MS_MIN;
use tokio::time::{Instant, sleep_until};

const FIRST: Duration = Duration::from_millis(REFUSAL_MS_MIN);

/// Waits until a request that was asked at `since` may be refused, whose look-up
/// may take `look_up_max`.
pub(crate) async fn until_a_moment(since: Instant, look_up_max: Duration) {
    sleep_until(since + moment_after(since.elapsed(), look_up_max)).await;
}

/// The second moment comes so much later than a look-up is given up that what is
/// done before and after it does not show.
fn moment_after(elapsed: Duration, look_up_max: Duration) -> Duration {
    if elapsed <= FIRST {
        FIRST
    } else {
        look_up_max + FIRST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_come_at_two_moments_whatever_they_took() {
        let ms = Duration::from_millis;
        for (elapsed, moment) in [
            (0, 100),
            (1, 100),
            (99, 100),
            (100, 100),
            (101, 5_100),
            (350, 5_100),
            (5_003, 5_100),
        ] {
            assert_eq!(
                moment_after(ms(elapsed), ms(5_000)),
                ms(moment),
                "{elapsed}"
            );
        }
    }

    #[tokio::test]
    async fn a_refusal_waits_for_its_moment() {
        let before = Duration::from_millis(30);
        let since = Instant::now() - before;
        until_a_moment(since, Duration::ZERO).await;
        assert!(since.elapsed() >= FIRST, "{:?}", since.elapsed());
    }
}
