//! Where calls that compute for long go on: in a thread that computes when
//! hardly anybody else would, and, while that one is kept from the processor, in one
//! that only stands back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Arrived, Call, Groups, Running};

/// Time on a processor after which a call goes on among the long ones: a few
/// times what a quick one takes.
pub(super) const LONG_AFTER: Duration = Duration::from_millis(2);

/// A thread of long calls that had something to do, and was kept from the processor for
/// so long before or in one turn, is late.
pub(super) const LATE_AFTER: Duration = Duration::from_millis(100);

/// For how long its calls go on elsewhere then.
pub(super) const LATE_FOR: Duration = Duration::from_secs(1);

/// The way of long calls to the thread that goes on with them.
#[derive(Clone, Debug)]
pub struct ToLong {
    way: mpsc::UnboundedSender<Moved>,
    pub(super) before: Before,
}

/// Where a thread finds the calls that it goes on with.
#[derive(Debug)]
pub struct Arriving {
    moved: mpsc::UnboundedReceiver<Moved>,
    pub(super) onward: Onward,
}

/// What has been long the last time, by its group and number: it begins in the
/// thread of long calls, since one instruction alone can fill a slice of
/// everybody's time.
pub(super) type Before = Arc<Mutex<HashSet<(u64, u64)>>>;

/// Where calls of a thread go on, and so when they leave it.
#[derive(Clone, Debug, Default)]
pub(super) enum Onward {
    /// They stay.
    #[default]
    Nowhere,
    /// Of a lane: once they are long.
    Long(ToLong),
    /// Of the thread of long calls: while it is late.
    Late(ToLate),
    /// Of the thread of late calls, back to that of long ones: after a while. It
    /// keeps no thread from its end.
    Back(mpsc::WeakUnboundedSender<Moved>),
}

/// The way to the thread that goes on with late calls.
#[derive(Clone, Debug)]
pub(super) struct ToLate {
    way: mpsc::UnboundedSender<Moved>,
    /// Of the thread of long calls: until when it is late.
    until: Arc<Mutex<Option<Instant>>>,
}

/// A call on its way.
pub(super) struct Moved {
    group: u64,
    kind: u64,
    call: Call,
    before: Option<Before>,
    spent: Duration,
}

/// The way of long calls, and the two threads that go on with them: the one that
/// computes when hardly anybody else would, and the one for those that are late there.
pub fn long() -> (ToLong, [Arriving; 2]) {
    let (way, long) = mpsc::unbounded_channel();
    let (late_way, late) = mpsc::unbounded_channel();
    let to_late = ToLate {
        way: late_way,
        until: Arc::default(),
    };
    let back = Onward::Back(way.downgrade());
    let before = Before::default();
    let threads = [(long, Onward::Late(to_late)), (late, back)];
    (
        ToLong { way, before },
        threads.map(|(moved, onward)| Arriving { moved, onward }),
    )
}

impl ToLong {
    /// Whether the last call of this kind was long.
    pub(super) fn was_long(&self, group: u64, kind: u64) -> bool {
        self.before.lock().contains(&(group, kind))
    }

    /// Starts a call among the long ones.
    pub(super) fn start(&self, group: u64, kind: u64, call: Call) {
        self.send(Moved {
            group,
            kind,
            call,
            before: None,
            spent: Duration::ZERO,
        });
    }

    fn send(&self, moved: Moved) {
        let before = Some(Arc::clone(&self.before));
        // There it is polled at once, so no wake is lost on the way. That thread
        // outlives the lanes.
        drop(self.way.send(Moved { before, ..moved }));
    }
}

impl Onward {
    /// Whether a call that has a turn leaves before it, as do all of a late thread.
    pub(super) fn is_late(&self) -> bool {
        let Self::Late(late) = self else {
            return false;
        };
        let mut until = late.until.lock();
        let is_late = until.is_some_and(|until| Instant::now() < until);
        if !is_late {
            *until = None;
        }
        is_late
    }

    /// Whether a call that goes on leaves after a turn, before and in which its thread
    /// was kept from the processor for so long.
    pub(super) fn is_due(&self, running: &Running, waited: Duration) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Long(_) => running.spent > LONG_AFTER,
            Self::Late(late) => {
                let is_late = waited >= LATE_AFTER;
                if is_late {
                    *late.until.lock() = Some(Instant::now() + LATE_FOR);
                }
                is_late
            }
            Self::Back(_) => running.since.elapsed() > LATE_FOR,
        }
    }

    /// Sends a call on; gives it back if there is nobody to go on with it.
    pub(super) fn send(&self, group: u64, running: Running) -> Result<(), Running> {
        let way = match self {
            Self::Nowhere => return Err(running),
            Self::Long(long) => {
                long.before.lock().insert((group, running.kind));
                long.send(running.moved(group));
                return Ok(());
            }
            Self::Late(late) => Some(late.way.clone()),
            Self::Back(back) => back.upgrade(),
        };
        // Who holds a way to a thread keeps it from its end, unless it breaks off.
        let Some(way) = way.filter(|way| !way.is_closed()) else {
            return Err(running);
        };
        drop(way.send(running.moved(group)));
        Ok(())
    }

    /// Notes of a call that has ended whether the next of its kind begins among the
    /// long ones.
    pub(super) fn ended(&self, group: u64, running: &Running) {
        let is_long = running.spent > LONG_AFTER;
        match (self, &running.before) {
            (Self::Long(long), _) if is_long => {
                long.before.lock().insert((group, running.kind));
            }
            (_, Some(before)) if !is_long => {
                before.lock().remove(&(group, running.kind));
            }
            _ => {}
        }
    }
}

impl Running {
    fn moved(self, group: u64) -> Moved {
        let Self {
            kind,
            call,
            before,
            spent,
            ..
        } = self;
        Moved {
            group,
            kind,
            call,
            before,
            spent,
        }
    }
}

/// Goes on with calls until everybody who sends them has ended. Needs a
/// runtime with timers.
pub async fn run_long(arriving: Arriving) {
    let Arriving { mut moved, onward } = arriving;
    let mut groups = Groups {
        rests: true,
        onward,
        ..Groups::default()
    };
    while let Some(Moved {
        group,
        kind,
        call,
        before,
        spent,
    }) = moved.recv().await
    {
        groups.add(group, Arrived::new(kind, call, before, spent));
    }
    groups.join().await;
}
