//! Turns of a guest call on the broker's thread, which is everybody's.
//!
//! A call with many host calls under way, all of which can go on at once, would keep
//! the thread for as long as all of them take together, and whoever waits for one
//! thing after another would wait for so much each time. So would who waits for a
//! processor that the worker, the writer or an upstream needs for them. So a call that has
//! used up its turn rests before the next, and calls of one connector rest one after the
//! other: together they get no more turns than one of them alone.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Steps that a call's host calls go in one turn: some 10 to 30 µs each.
const STEPS: u32 = 16;

/// How long a call rests that had more to do; the timer makes up to 2 ms of it.
const REST: Duration = Duration::from_millis(1);

/// When the calls of one connector in one environment have rested.
#[derive(Debug, Default)]
pub(crate) struct Rests(Mutex<Option<Instant>>);

impl Rests {
    /// When the rest is over of a call that has used up its turn now.
    fn over(&self, now: Instant) -> Instant {
        let mut last = self.0.lock();
        let over = last.map_or(now, |last| last.max(now)) + REST;
        *last = Some(over);
        over
    }
}

/// What is left of a call's turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    steps: AtomicU32,
}

impl Turns {
    /// All that a call does: each time that the thread comes to it is a turn, but for
    /// its rests, each after those of `rests` that were before it.
    pub(crate) async fn of<F: Future>(&self, rests: &Rests, all: F) -> F::Output {
        let mut all = pin!(all);
        let mut rest = pin!(sleep_until(Instant::now()));
        let mut is_resting = false;
        poll_fn(|context| {
            while !is_resting || rest.as_mut().poll(context).is_ready() {
                self.steps.store(STEPS, Ordering::Relaxed);
                let polled = all.as_mut().poll(context);
                is_resting = self.steps.load(Ordering::Relaxed) == 0;
                if polled.is_ready() || !is_resting {
                    return polled;
                }
                rest.as_mut().reset(rests.over(Instant::now()));
            }
            Poll::Pending
        })
        .await
    }

    /// A part of it, which goes on by steps. One for which the turn has none left goes
    /// on in the next.
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
    use std::time::Instant;

    use futures_util::poll;
    use futures_util::stream::{FuturesUnordered, StreamExt as _};

    use super::{REST, Rests, STEPS, Turns};

    /// How often a call with so many parts rests, at least.
    const RESTED: u32 = 6;
    const PARTS: usize = (RESTED * STEPS) as usize + 1;

    /// A call with so many parts, each of which is done in one step.
    async fn a_call(turns: &Turns, parts: usize, done: &AtomicUsize) {
        let parts = (0..parts).map(|_| {
            turns.step(async {
                done.fetch_add(1, Ordering::Relaxed);
            })
        });
        let mut parts: FuturesUnordered<_> = parts.collect();
        while parts.next().await.is_some() {}
    }

    #[tokio::test]
    async fn a_call_with_many_parts_lets_others_go_on_between_them() {
        let (done, turns, rests) = (AtomicUsize::new(0), Turns::default(), Rests::default());
        let all = async {
            let mut all = pin!(turns.of(&rests, a_call(&turns, PARTS, &done)));
            let mut before = 0;
            std::future::poll_fn(|context| {
                let polled = all.as_mut().poll(context);
                let now = done.load(Ordering::Relaxed);
                let (least, most) = (before, before + STEPS as usize);
                assert!((least..=most).contains(&now), "{now} after {before}");
                before = now;
                polled
            })
            .await;
        };
        let began = Instant::now();
        all.await;
        assert_eq!(done.load(Ordering::Relaxed), PARTS);
        assert!(began.elapsed() >= REST * RESTED, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_call_with_few_parts_does_not_rest() {
        let (done, turns, rests) = (AtomicUsize::new(0), Turns::default(), Rests::default());
        let few = STEPS as usize - 1;
        let all = pin!(turns.of(&rests, a_call(&turns, few, &done)));
        assert!(poll!(all).is_ready());
        assert_eq!(done.load(Ordering::Relaxed), few);
    }

    #[tokio::test]
    async fn calls_of_one_connector_rest_one_after_the_other() {
        let (done, rests) = (AtomicUsize::new(0), Rests::default());
        let calls: [Turns; 3] = Default::default();
        let began = Instant::now();
        let all = calls
            .each_ref()
            .map(|turns| turns.of(&rests, a_call(turns, PARTS, &done)));
        futures_util::future::join_all(all).await;
        assert_eq!(done.load(Ordering::Relaxed), PARTS * calls.len());
        let rested = REST * RESTED * 3;
        assert!(began.elapsed() >= rested, "{:?}", began.elapsed());
    }
}
