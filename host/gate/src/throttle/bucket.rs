//! A rate of host calls: so many tokens a second, and as many at once.

use std::time::Duration;

use keyway_fair::Spent;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::over::Over;

/// How many calls pass a second, and how many are refused.
#[derive(Debug)]
pub(super) struct Rate {
    pub(super) calls: Bucket,
    pub(super) refusals: Bucket,
}

impl Rate {
    pub(super) fn new(name: &'static str, per_second: u32) -> Self {
        Self {
            calls: Bucket::new(name, per_second),
            refusals: Bucket::new(name, per_second),
        }
    }

    /// Holds calls and refusals to another rate.
    pub(super) fn hold_to(&self, per_second: u32) {
        self.calls.hold_to(per_second);
        self.refusals.hold_to(per_second);
    }
}

/// Tokens of one kind.
#[derive(Debug)]
pub(super) struct Bucket {
    name: &'static str,
    pace: Mutex<Pace>,
    /// Who waits for a token; one after the other.
    line: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Pace {
    per_second: u32,
    spent: Spent,
}

impl Pace {
    fn has_token(&self, now: std::time::Instant) -> bool {
        self.spent.has_room(now, self.per_second)
    }

    fn spend(&mut self, now: std::time::Instant) {
        self.spent.spend(now, self.per_second);
    }

    /// Takes a token, if there is one; else says how long it is until there is.
    fn take(&mut self, now: std::time::Instant) -> Result<(), Duration> {
        let wait = self.spent.wait(now, self.per_second);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.spend(now);
        Ok(())
    }
}

impl Bucket {
    pub(super) fn new(name: &'static str, per_second: u32) -> Self {
        Self {
            name,
            pace: Mutex::new(Pace {
                per_second,
                spent: Spent::nothing(std::time::Instant::now()),
            }),
            line: tokio::sync::Mutex::new(()),
        }
    }

    /// Holds it to another rate; what was used stays used.
    pub(super) fn hold_to(&self, per_second: u32) {
        self.pace.lock().per_second = per_second;
    }

    pub(super) fn over(&self) -> Over {
        Over {
            name: self.name,
            value: self.pace.lock().per_second.into(),
        }
    }

    /// Takes a token, if there is one; else says how long it is until there is.
    fn token_or_wait(&self) -> Result<(), Duration> {
        self.pace.lock().take(std::time::Instant::now())
    }

    /// Takes as many tokens as there are, but no more than so many.
    pub(super) fn tokens_now(&self, wanted: usize) -> usize {
        let (mut pace, now) = (self.pace.lock(), std::time::Instant::now());
        (0..wanted).take_while(|_| pace.take(now).is_ok()).count()
    }

    /// Takes a token, if there is one and nobody waits for it.
    pub(super) fn token_now(&self) -> bool {
        Self::token_of_each([self])
    }

    /// Takes a token of each, if there is one that nobody waits for; else none of any.
    pub(super) fn token_of_each<const N: usize>(buckets: [&Self; N]) -> bool {
        let turns = buckets.map(|bucket| bucket.line.try_lock());
        if turns.iter().any(Result::is_err) {
            return false;
        }
        let now = std::time::Instant::now();
        let mut paces = buckets.map(|bucket| bucket.pace.lock());
        let has_each = paces.iter().all(|pace| pace.has_token(now));
        if has_each {
            paces.iter_mut().for_each(|pace| pace.spend(now));
        }
        has_each
    }

    /// Whether no token is missing.
    pub(super) fn is_full(&self, now: std::time::Instant) -> bool {
        self.pace.lock().spent.is_nothing(now)
    }

    /// Takes a token, waiting for it as long as it takes.
    pub(super) async fn turn(&self) {
        let _turn = self.line.lock().await;
        while let Err(wait) = self.token_or_wait() {
            sleep(wait).await;
        }
    }

    /// Takes a token, waiting for it until `deadline`.
    pub(super) async fn token(&self, deadline: Instant) -> Result<(), Over> {
        if self.token_now() {
            return Ok(());
        }
        let Ok(turn) = timeout_at(deadline, self.line.lock()).await else {
            return Err(self.over());
        };
        loop {
            let wait = match self.token_or_wait() {
                Ok(()) => return Ok(()),
                Err(wait) => wait,
            };
            let again = Instant::now() + wait;
            if again > deadline {
                // Who comes after has a later deadline.
                drop(turn);
                sleep_until(deadline).await;
                return Err(self.over());
            }
            sleep_until(again).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, poll};

    use super::*;

    #[tokio::test]
    async fn who_waits_for_a_token_comes_before_who_does_not_wait() {
        let (bucket, another) = (Bucket::new("first", 1), Bucket::new("second", 1));
        assert!(bucket.token_now());
        let far = Instant::now() + Duration::from_secs(60);
        let mut waiting = Box::pin(bucket.token(far));
        assert!(poll!(&mut waiting).is_pending());
        // There is a token now, or in a moment; the one who waits has not seen it yet.
        bucket.hold_to(1_000_000);
        while !bucket.pace.lock().has_token(std::time::Instant::now()) {}
        assert!(!bucket.token_now());
        assert!(!Bucket::token_of_each([&another, &bucket]));
        assert!(bucket.token(far).now_or_never().is_none());
        drop(waiting);
        assert!(bucket.token_now());
        // What could not be had of both was taken of none.
        assert!(another.token_now());
    }
}
