//! Turns on one thread, for both ends of a link: calls of one group share one
//! task, which polls one of them after the other for a moment, and then lets the
//! tasks of other groups go first.
//!
//! So a hundred guests of one tenant that compute cost another tenant's guest
//! one slice of waiting, not a hundred; and so do its jobs in the broker. A
//! call that has computed for long goes on in a thread for such calls, where
//! there is one: the lane's own thread then sleeps most of the time, and the
//! kernel wakes it at once for whoever comes. The threads of the long ones rest for
//! a moment in each millisecond, so that others can have their processor. Knows nothing
//! of guests and jobs.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::task::{JoinSet, coop};

use crate::processor;

mod onward;

pub use onward::{Arriving, ToLong, long, run_long};
use onward::{Before, Onward};

/// Turns that are shorter are taken together until they last this long: what
/// they send then goes out in one piece.
const TOGETHER: Duration = Duration::from_micros(100);

/// A turn among the long calls after which their thread rests.
const REST_AFTER: Duration = Duration::from_micros(500);

/// How long it rests, and the kernel adds some 50 µs. A thread that computes without
/// an end and stands back for others is not put aside for what the kernel itself has to do
/// on that processor as soon as it should be: on Linux 6.18 each commit to the disk
/// waited 5 ms for the worker that hands it on, and some 200 ms. With a rest in each
/// millisecond none did.
const REST: Duration = Duration::from_micros(20);

/// A call, or whatever else takes turns.
pub type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// When the last turn of this thread ended.
    static LAST_TURN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Groups that stay although they have no call, since the next may come at once.
const IDLE_GROUPS_MAX: usize = 64;

/// The groups of one thread.
#[derive(Default)]
pub struct Groups {
    groups: HashMap<u64, Arc<Group>>,
    tasks: JoinSet<()>,
    onward: Onward,
    /// The thread rests after a long turn.
    rests: bool,
}

/// One group: what its task and the wakers of its calls share.
#[derive(Default)]
struct Group(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// Calls that can go on, the next first, and since when they can.
    ready: VecDeque<(u64, Instant)>,
    /// Calls that the task has not seen yet.
    arrived: Vec<Arrived>,
    next: u64,
    task: Option<Waker>,
    /// There is no call.
    is_idle: bool,
    /// The task ends when there is no call.
    ends: bool,
    /// The task has ended, or is about to.
    is_over: bool,
}

/// A call that has just come.
struct Arrived {
    id: u64,
    kind: u64,
    call: Call,
    /// Where to note how long it was, if it came because of that.
    before: Option<Before>,
    spent: Duration,
}

impl Arrived {
    /// Its group gives it a number.
    fn new(kind: u64, call: Call, before: Option<Before>, spent: Duration) -> Self {
        Self {
            id: 0,
            kind,
            call,
            before,
            spent,
        }
    }
}

/// Wakes one call of a group.
struct CallWaker {
    id: u64,
    group: Arc<Group>,
    is_queued: AtomicBool,
}

/// The task of a group; stays for the next call when it has none.
struct Task {
    number: u64,
    group: Arc<Group>,
    calls: HashMap<u64, Running>,
    onward: Onward,
    rests: bool,
}

struct Running {
    kind: u64,
    call: Call,
    before: Option<Before>,
    waker: Arc<CallWaker>,
    /// Time on a processor.
    spent: Duration,
    /// When it came to this thread.
    since: Instant,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups")
            .field("tasks", &self.tasks.len())
            .finish_non_exhaustive()
    }
}

impl Groups {
    /// Groups whose long calls go on elsewhere.
    pub fn beside(long: Option<ToLong>) -> Self {
        Self {
            onward: long.map_or(Onward::Nowhere, Onward::Long),
            ..Self::default()
        }
    }

    /// Starts a call among those of its group.
    pub fn spawn(&mut self, group: u64, call: impl Future<Output = ()> + Send + 'static) {
        self.spawn_kind(group, 0, call);
    }

    /// The same for a call of a kind: one whose last call was long begins among
    /// the long ones.
    pub fn spawn_kind(
        &mut self,
        group: u64,
        kind: u64,
        call: impl Future<Output = ()> + Send + 'static,
    ) {
        // One call that panics must not take those beside it along.
        let call: Call = Box::pin(AssertUnwindSafe(call).catch_unwind().map(drop));
        if let Onward::Long(long) = &self.onward
            && long.was_long(group, kind)
        {
            long.start(group, kind, call);
        } else {
            self.add(group, Arrived::new(kind, call, None, Duration::ZERO));
        }
    }

    fn add(&mut self, group: u64, arrived: Arrived) {
        while self.tasks.try_join_next().is_some() {}
        let arrived = match self.groups.get(&group) {
            Some(running) => match running.add(arrived) {
                Ok(()) => return,
                Err(arrived) => arrived,
            },
            None => arrived,
        };
        if self.groups.len() >= IDLE_GROUPS_MAX {
            self.groups
                .retain(|_, group| !group.end(|queue| queue.is_idle));
        }
        let started = Arc::new(Group::default());
        // A group that has just begun is not over.
        drop(started.add(arrived));
        self.groups.insert(group, Arc::clone(&started));
        self.tasks.spawn(Task {
            number: group,
            group: started,
            calls: HashMap::new(),
            onward: self.onward.clone(),
            rests: self.rests,
        });
    }

    /// Waits until every call has ended.
    pub async fn join(mut self) {
        for group in self.groups.values() {
            group.end(|_| true);
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Group {
    /// Adds a call; gives it back if the group's task has ended.
    fn add(&self, arrived: Arrived) -> Result<(), Arrived> {
        let mut queue = self.0.lock();
        if queue.is_over {
            return Err(arrived);
        }
        let id = queue.next;
        queue.next += 1;
        queue.is_idle = false;
        queue.arrived.push(Arrived { id, ..arrived });
        queue.ready.push_back((id, Instant::now()));
        if let Some(task) = queue.task.take() {
            task.wake();
        }
        Ok(())
    }

    /// Ends the group where it `ought` to, once it has no call; answers whether it does.
    fn end(&self, ought: impl FnOnce(&Queue) -> bool) -> bool {
        let mut queue = self.0.lock();
        if ought(&queue) {
            queue.ends = true;
            // From here on no call comes to it.
            queue.is_over |= queue.is_idle;
            if let Some(task) = queue.task.take() {
                task.wake();
            }
        }
        queue.ends
    }
}

impl Wake for CallWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            let mut queue = self.group.0.lock();
            queue.ready.push_back((self.id, Instant::now()));
            if let Some(task) = queue.task.take() {
                task.wake();
            }
        }
    }
}

impl Task {
    /// The call whose turn it is; `None` if none can go on.
    fn next(&mut self, cx: &Context<'_>) -> Poll<Option<(u64, Instant)>> {
        let mut queue = self.group.0.lock();
        for arrived in std::mem::take(&mut queue.arrived) {
            let Arrived {
                id,
                kind,
                call,
                before,
                spent,
            } = arrived;
            let waker = CallWaker {
                id,
                group: Arc::clone(&self.group),
                is_queued: AtomicBool::new(true),
            };
            let running = Running {
                kind,
                call,
                before,
                waker: Arc::new(waker),
                spent,
                since: Instant::now(),
            };
            self.calls.insert(id, running);
        }
        if self.calls.is_empty() {
            queue.ready.clear();
            queue.is_idle = true;
            if queue.ends {
                queue.is_over = true;
                return Poll::Ready(None);
            }
        }
        let next = queue.ready.pop_front();
        if next.is_none() {
            queue.task = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(next)
    }

    /// Polls one call, once, which can go on since then.
    fn turn(&mut self, id: u64, ready: Instant) {
        let Some(running) = self.calls.get_mut(&id) else {
            return;
        };
        if self.onward.is_late() {
            self.send_on(id);
            return;
        }
        running.waker.is_queued.store(false, Ordering::Release);
        let own = Waker::from(Arc::clone(&running.waker));
        let started = processor::begin();
        let polled = running.call.as_mut().poll(&mut Context::from_waker(&own));
        let took = processor::since(started);
        let ended = Instant::now();
        // What it did for others before is no waiting of the thread.
        let idle_since = LAST_TURN
            .replace(Some(ended))
            .map_or(ready, |last| last.max(ready));
        let waited = started.saturating_duration_since(idle_since)
            + ended.duration_since(started).saturating_sub(took);
        running.spent += took;
        if self.rests && took >= REST_AFTER {
            std::thread::sleep(REST);
        }
        if polled.is_ready() {
            let ended = self.calls.remove(&id);
            ended.inspect(|ended| self.onward.ended(self.number, ended));
        } else if self.onward.is_due(running, waited) {
            self.send_on(id);
        }
    }

    /// Sends one call on, if there is somebody to go on with it.
    fn send_on(&mut self, id: u64) {
        let Some(running) = self.calls.remove(&id) else {
            return;
        };
        if let Err(running) = self.onward.send(self.number, running) {
            self.calls.insert(id, running);
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let begun = Instant::now();
        loop {
            match self.next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Ready(Some((id, ready))) => self.turn(id, ready),
            }
            if begun.elapsed() >= TOGETHER || !coop::has_budget_remaining() {
                // Behind the other groups, and behind what has arrived on the link.
                let others = pin!(tokio::task::yield_now());
                return others.poll(cx);
            }
        }
    }
}

#[cfg(test)]
mod tests;
