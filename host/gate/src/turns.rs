//! Turns of a guest call on the broker's thread, which is everybody's.
//!
//! A call with many host calls under way, all of which can go on at once, would keep
//! the thread for as long as all of them take together, and whoever waits for one
//! thing after another would wait for so much each time. So would who waits for a
//! processor that a worker, the writer or an upstream needs for them. So they go on
//! by steps, and those for which a turn has none left rest before the next. What the
//! guest asks meanwhile, and its end, is taken in as it comes.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Steps that a call's host calls go in one turn: some 10 to 30 µs each.
const STEPS_PER_TURN_MAX: u32 = 16;

/// How long those rest for which there was no step; the timer makes up to 2 ms of it.
/// A guest call that has 32 requests under way, each of some five steps, needs about
/// 15 ms more for them than without.
const REST: Duration = Duration::from_millis(1);

/// What is left of a call's turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    steps: AtomicU32,
    /// Of the parts that rest.
    resting: Mutex<Vec<Waker>>,
}

impl Turns {
    /// All that a call does: each time that the thread comes to it is a turn, but while
    /// parts of it rest.
    pub(crate) async fn of<F: Future>(&self, all: F) -> F::Output {
        let mut all = pin!(all);
        let mut rest = pin!(sleep_until(Instant::now()));
        let mut is_resting = false;
        poll_fn(|context| {
            while !is_resting || rest.as_mut().poll(context).is_ready() {
                self.steps.store(STEPS_PER_TURN_MAX, Ordering::Relaxed);
                let rested = std::mem::take(&mut *self.resting.lock());
                rested.into_iter().for_each(Waker::wake);
                let polled = all.as_mut().poll(context);
                is_resting = !self.resting.lock().is_empty();
                if polled.is_ready() || !is_resting {
                    return polled;
                }
                rest.as_mut().reset(Instant::now() + REST);
            }
            all.as_mut().poll(context)
        })
        .await
    }

    /// A part of it, which goes on by steps. One for which the turn has none left rests.
    pub(crate) async fn step<F: Future>(&self, part: F) -> F::Output {
        let mut part = pin!(part);
        poll_fn(|context| {
            let Some(left) = self.steps.load(Ordering::Relaxed).checked_sub(1) else {
                self.resting.lock().push(context.waker().clone());
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
    use std::time::Instant;

    use futures_util::poll;
    use futures_util::stream::{FuturesUnordered, StreamExt as _};
    use tokio::sync::oneshot;

    use super::{REST, STEPS_PER_TURN_MAX, Turns};

    /// How often a call with so many parts rests.
    const RESTED: u32 = 6;
    const PARTS: usize = ((RESTED + 1) * STEPS_PER_TURN_MAX) as usize;

    /// Parts of a call, each of which is done in one step.
    async fn parts(turns: &Turns, number: usize, done: &AtomicUsize) {
        let parts = (0..number).map(|_| {
            turns.step(async {
                done.fetch_add(1, Ordering::Relaxed);
            })
        });
        let mut parts: FuturesUnordered<_> = parts.collect();
        while parts.next().await.is_some() {}
    }

    #[tokio::test]
    async fn a_call_with_many_parts_lets_others_go_on_between_them() {
        let (done, turns) = (AtomicUsize::new(0), Turns::default());
        let began = Instant::now();
        let mut all = pin!(turns.of(parts(&turns, PARTS, &done)));
        let mut before = 0;
        std::future::poll_fn(|context| {
            let polled = all.as_mut().poll(context);
            let now = done.load(Ordering::Relaxed);
            assert!(
                now <= before + STEPS_PER_TURN_MAX as usize,
                "{now} after {before}"
            );
            before = now;
            polled
        })
        .await;
        assert_eq!(done.load(Ordering::Relaxed), PARTS);
        assert!(began.elapsed() >= REST * RESTED, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_call_whose_parts_fit_into_a_turn_does_not_rest() {
        let (done, turns) = (AtomicUsize::new(0), Turns::default());
        let all = pin!(turns.of(parts(&turns, STEPS_PER_TURN_MAX as usize, &done)));
        assert!(poll!(all).is_ready());
        assert_eq!(done.load(Ordering::Relaxed), STEPS_PER_TURN_MAX as usize);
    }

    #[tokio::test]
    async fn what_a_guest_says_is_taken_in_while_its_parts_rest() {
        let (done, turns) = (AtomicUsize::new(0), Turns::default());
        let (say, said) = oneshot::channel();
        let mut all = pin!(turns.of(async {
            tokio::select! {
                () = parts(&turns, PARTS, &done) => None,
                said = said => said.ok(),
            }
        }));
        assert!(poll!(all.as_mut()).is_pending());
        assert!(done.load(Ordering::Relaxed) <= STEPS_PER_TURN_MAX as usize);
        say.send("done").expect("it is waited for");
        // Without a rest between.
        assert!(matches!(poll!(all), std::task::Poll::Ready(Some("done"))));
        assert!(done.load(Ordering::Relaxed) <= STEPS_PER_TURN_MAX as usize);
    }
}
