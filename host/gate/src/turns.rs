//! Turns of a guest call on the broker's thread, which is everybody's.
//!
//! A call with many host calls under way, all of which can go on at once, would keep
//! the thread for as long as all of them take together, and whoever waits for one
//! thing after another would wait for so much each time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

/// Steps that a call's host calls go in one turn: some 10 to 30 µs each.
const STEPS: u32 = 16;

/// What is left of a call's turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    steps: AtomicU32,
}

impl Turns {
    /// All that a call does: each time that the thread comes to it is a turn.
    pub(crate) async fn of<F: Future>(&self, all: F) -> F::Output {
        let mut all = pin!(all);
        poll_fn(|context| {
            self.steps.store(STEPS, Ordering::Relaxed);
            all.as_mut().poll(context)
        })
        .await
    }

    /// A part of it, which goes on by steps. One for which the turn has none left goes
    /// on in the next, behind everybody who can go on now.
    pub(crate) async fn step<F: Future>(&self, part: F) -> F::Output {
        let mut part = pin!(part);
        poll_fn(|context| {
            let Some(left) = self.steps.load(Ordering::Relaxed).checked_sub(1) else {
                context.waker().wake_by_ref();
                return Poll::Pending;
            };
            self.steps.store(left, Ordering::Relaxed);
            part.as_mut().poll(context)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::poll;
    use futures_util::stream::{FuturesUnordered, StreamExt as _};

    use super::{STEPS, Turns};

    #[tokio::test]
    async fn a_call_with_many_parts_lets_others_go_on_between_them() {
        const PARTS: usize = 400;
        let done = AtomicUsize::new(0);
        let turns = Turns::default();
        let mut all = pin!(turns.of(async {
            let parts = (0..PARTS).map(|_| {
                turns.step(async {
                    done.fetch_add(1, Ordering::Relaxed);
                })
            });
            let mut parts: FuturesUnordered<_> = parts.collect();
            while parts.next().await.is_some() {}
        }));
        let (mut before, mut turns_taken) = (0, 0);
        while poll!(all.as_mut()).is_pending() {
            turns_taken += 1;
            let now = done.load(Ordering::Relaxed);
            assert!(
                (1..=STEPS as usize).contains(&(now - before)),
                "{now} of {PARTS}"
            );
            before = now;
        }
        assert_eq!(done.load(Ordering::Relaxed), PARTS);
        assert!(turns_taken >= PARTS / STEPS as usize - 1, "{turns_taken}");
    }
}
