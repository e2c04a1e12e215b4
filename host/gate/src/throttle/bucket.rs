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
    /// Takes a token, if there is one; else says how long it is until there is.
    fn take(&mut self, now: std::time::Instant) -> Result<(), Duration> {
        let wait = self.spent.wait(now, self.per_second);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.spent.spend(now, self.per_second);
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

    /// Takes a token, if there is one.
    pub(super) fn token_now(&self) -> bool {
        self.token_or_wait().is_ok()
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
