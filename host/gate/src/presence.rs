//! Whether somebody still waits for a guest call, or for the compiler.
//!
//! When its caller has gone away, what the call has under way outside is broken
//! off, and the guest is told to end. It is then waited for like any other: until
//! its worker says that it has ended, it keeps its place. Jobs wait for themselves.

use std::future::{Future, pending};
use std::time::Duration;

use futures_util::FutureExt as _;
use keyway_ipc::{CallOutcome, ToWorker, Trap, Usage};
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout_at};

use crate::lane::{END_GRACE, Event, RunningCall};

/// Held by whoever waits: once this is dropped, nobody does.
#[derive(Debug)]
#[must_use = "nobody waits any more when this is dropped"]
pub struct Waiting(#[expect(dead_code, reason = "held, not read")] watch::Sender<()>);

/// Tells whether somebody still waits.
#[derive(Clone, Debug)]
pub struct Presence(Option<watch::Receiver<()>>);

impl Presence {
    /// Of a caller that may go away.
    pub fn of_a_caller() -> (Waiting, Self) {
        let (waiting, presence) = watch::channel(());
        (Waiting(waiting), Self(Some(presence)))
    }

    /// Of a job, which goes on whoever looks.
    pub const fn always() -> Self {
        Self(None)
    }

    /// Comes back when nobody waits any more.
    pub async fn gone(&self) {
        match self.0.clone() {
            None => pending().await,
            Some(mut presence) => while presence.changed().await.is_ok() {},
        }
    }

    /// How a call ends for which nobody waits.
    pub fn cancelled() -> Trap {
        Trap::Cancelled("nobody waits for the call any more".to_owned())
    }
}

/// How the wait for a guest call came to its end.
pub(crate) enum Waited {
    /// The call has ended by itself.
    Ended(CallOutcome, Usage),
    /// Its time is over, and more than that.
    TooLong,
    /// Nobody waits for it any more; its time is over then.
    Unwanted(Instant),
}

/// Waits while a guest call is `served`. With this, serving ends: what it has
/// under way is dropped.
pub(crate) async fn while_wanted(
    served: impl Future<Output = (CallOutcome, Usage)>,
    wall_ms_max: u64,
    presence: &Presence,
) -> Waited {
    let until = Instant::now() + Duration::from_millis(wall_ms_max) + END_GRACE;
    tokio::select! {
        ended = timeout_at(until, served) => match ended {
            Ok((outcome, usage)) => Waited::Ended(outcome, usage),
            Err(_) => Waited::TooLong,
        },
        () = presence.gone() => Waited::Unwanted(until),
    }
}

impl RunningCall {
    /// Ends the call, if it has not ended yet, and waits for that as long as the
    /// call might have taken. A worker that does not end it is given up.
    pub(crate) async fn end(&mut self, waited: Waited, wall_ms_max: u64) -> (CallOutcome, Usage) {
        let ended = match waited {
            Waited::Ended(outcome, usage) => Some((outcome, usage)),
            Waited::TooLong => self.ended_unread(),
            Waited::Unwanted(until) => timeout_at(until, self.cancelled()).await.ok(),
        };
        ended.unwrap_or_else(|| {
            self.give_up("it does not end a call");
            let name = "wall_ms_max".to_owned();
            let value = wall_ms_max;
            (
                CallOutcome::Trap(Trap::Limit { name, value }),
                Usage::default(),
            )
        })
    }

    /// How the call ended, if its worker has said so and nobody came to read it: the worker
    /// is not to blame for that.
    fn ended_unread(&mut self) -> Option<(CallOutcome, Usage)> {
        while let Some(event) = unconstrained(self.next()).now_or_never()? {
            if let Event::Done(outcome, usage) = event {
                return Some((outcome, usage));
            }
        }
        None
    }

    /// Tells the worker to end the call. What the guest still says is not heard.
    async fn cancelled(&mut self) -> (CallOutcome, Usage) {
        let line = self.line();
        let (call, reason) = (line.call, Presence::cancelled());
        line.send(ToWorker::Cancel { call, reason }).await;
        while let Some(event) = self.next().await {
            if let Event::Done(outcome, usage) = event {
                return (outcome, usage);
            }
        }
        (CallOutcome::Trap(Trap::WorkerGone), Usage::default())
    }
}
