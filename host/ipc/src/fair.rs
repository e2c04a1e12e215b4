//! Turns on one thread, for both ends of a link: calls of one group share one
//! task, which polls one of them at a time and then lets the tasks of other
//! groups go first.
//!
//! So a hundred guests of one tenant that compute cost another tenant's guest
//! one slice of waiting, not a hundred; and so do its jobs in the broker. A
//! call that has computed for long goes on in a thread for such calls, where
//! there is one: the lane's own thread then sleeps most of the time, and the
//! kernel wakes it at once for whoever comes. Knows nothing of guests and jobs.

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
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Time in polls after which a call goes on among the long ones.
const LONG_AFTER: Duration = Duration::from_millis(10);

/// A call, or whatever else takes turns.
pub type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The way of long calls to the thread that goes on with them.
pub type ToLong = mpsc::UnboundedSender<(u64, Call)>;

/// Where that thread finds them.
pub type Arriving = mpsc::UnboundedReceiver<(u64, Call)>;

/// Goes on with long calls until every lane that sends them has ended. Needs a
/// runtime with timers.
pub async fn run_long(mut arriving: Arriving) {
    let mut groups = Groups::default();
    while let Some((group, call)) = arriving.recv().await {
        groups.spawn_boxed(group, call);
    }
    groups.join().await;
}

/// The groups of one thread.
#[derive(Default)]
pub struct Groups {
    groups: HashMap<u64, Arc<Group>>,
    tasks: JoinSet<()>,
    long: Option<ToLong>,
}

/// One group: what its task and the wakers of its calls share.
#[derive(Default)]
struct Group(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// Calls that can go on, the next first.
    ready: VecDeque<u64>,
    /// Calls that the task has not seen yet.
    arrived: Vec<(u64, Call)>,
    next: u64,
    task: Option<Waker>,
    /// The task has ended, for want of calls.
    is_over: bool,
}

/// Wakes one call of a group.
struct CallWaker {
    id: u64,
    group: Arc<Group>,
    is_queued: AtomicBool,
}

/// The task of a group; ends when it has no call.
struct Task {
    number: u64,
    group: Arc<Group>,
    calls: HashMap<u64, Running>,
    long: Option<ToLong>,
}

struct Running {
    call: Call,
    waker: Arc<CallWaker>,
    /// Time in polls.
    spent: Duration,
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
            long,
            ..Self::default()
        }
    }

    /// Starts a call among those of its group.
    pub fn spawn(&mut self, group: u64, call: impl Future<Output = ()> + Send + 'static) {
        // One call that panics must not take those beside it along.
        self.spawn_boxed(
            group,
            Box::pin(AssertUnwindSafe(call).catch_unwind().map(drop)),
        );
    }

    fn spawn_boxed(&mut self, group: u64, call: Call) {
        while self.tasks.try_join_next().is_some() {}
        let call = match self.groups.get(&group) {
            Some(running) => match running.add(call) {
                Ok(()) => return,
                Err(call) => call,
            },
            None => call,
        };
        self.groups.retain(|_, group| !group.0.lock().is_over);
        let started = Arc::new(Group::default());
        // A group that has just begun is not over.
        drop(started.add(call));
        self.groups.insert(group, Arc::clone(&started));
        self.tasks.spawn(Task {
            number: group,
            group: started,
            calls: HashMap::new(),
            long: self.long.clone(),
        });
    }

    /// Waits until every call has ended.
    pub async fn join(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Group {
    /// Adds a call; gives it back if the group's task has ended.
    fn add(&self, call: Call) -> Result<(), Call> {
        let mut queue = self.0.lock();
        if queue.is_over {
            return Err(call);
        }
        let id = queue.next;
        queue.next += 1;
        queue.arrived.push((id, call));
        queue.ready.push_back(id);
        if let Some(task) = queue.task.take() {
            task.wake();
        }
        Ok(())
    }
}

impl Wake for CallWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            let mut queue = self.group.0.lock();
            queue.ready.push_back(self.id);
            if let Some(task) = queue.task.take() {
                task.wake();
            }
        }
    }
}

impl Task {
    /// The call whose turn it is; `None` if none can go on.
    fn next(&mut self, cx: &Context<'_>) -> Poll<Option<u64>> {
        let mut queue = self.group.0.lock();
        for (id, call) in std::mem::take(&mut queue.arrived) {
            let waker = CallWaker {
                id,
                group: Arc::clone(&self.group),
                is_queued: AtomicBool::new(true),
            };
            let running = Running {
                call,
                waker: Arc::new(waker),
                spent: Duration::ZERO,
            };
            self.calls.insert(id, running);
        }
        if self.calls.is_empty() {
            queue.is_over = true;
            return Poll::Ready(None);
        }
        let next = queue.ready.pop_front();
        if next.is_none() {
            queue.task = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(next)
    }

    /// Polls one call, once.
    fn turn(&mut self, id: u64) {
        let Some(running) = self.calls.get_mut(&id) else {
            return;
        };
        running.waker.is_queued.store(false, Ordering::Release);
        let own = Waker::from(Arc::clone(&running.waker));
        let started = Instant::now();
        let polled = running.call.as_mut().poll(&mut Context::from_waker(&own));
        running.spent += started.elapsed();
        let is_long = running.spent > LONG_AFTER && self.long.is_some();
        if (polled.is_ready() || is_long)
            && let Some(running) = self.calls.remove(&id)
            && polled.is_pending()
            && let Some(long) = &self.long
        {
            // There it is polled at once, so no wake is lost on the way. That
            // thread outlives the lanes.
            drop(long.send((self.number, running.call)));
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => return Poll::Ready(()),
            Poll::Ready(Some(id)) => self.turn(id),
        }
        let mut queue = self.group.0.lock();
        if queue.ready.is_empty() && !self.calls.is_empty() {
            queue.task = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(queue);
        // Behind the other groups, and behind what has arrived on the socket.
        let others = pin!(tokio::task::yield_now());
        others.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// A call that could go on for ever, and notes each of its turns.
    fn spinner(name: &'static str, turns: usize, notes: &Arc<Mutex<Vec<&'static str>>>) -> Call {
        let notes = Arc::clone(notes);
        let mut left = turns;
        Box::pin(poll_fn(move |cx| {
            notes.lock().push(name);
            left -= 1;
            if left == 0 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
    }

    #[tokio::test]
    async fn one_call_beside_many_of_another_group_has_every_other_turn() {
        let notes = Arc::default();
        let mut groups = Groups::default();
        for _ in 0..50 {
            groups.spawn(1, spinner("flood", 20, &notes));
        }
        groups.spawn(2, spinner("victim", 10, &notes));
        groups.join().await;
        let notes = notes.lock();
        assert_eq!(notes.len(), 50 * 20 + 10);
        let last = notes.iter().rposition(|name| *name == "victim");
        assert!(last < Some(25), "its tenth turn was number {last:?}");
    }

    #[tokio::test]
    async fn a_call_that_computes_for_long_goes_on_elsewhere_and_ends_there() {
        let (long, arriving) = mpsc::unbounded_channel();
        let mut groups = Groups::beside(Some(long));
        let (tell, told) = tokio::sync::oneshot::channel();
        groups.spawn(1, async move {
            let first = std::thread::current().id();
            while std::thread::current().id() == first {
                let started = Instant::now();
                while started.elapsed() < Duration::from_millis(5) {}
                tokio::task::yield_now().await;
            }
            tell.send(()).unwrap_or_default();
        });
        let thread = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.map(|runtime| runtime.block_on(run_long(arriving)))
        });
        groups.join().await;
        assert_eq!(told.await, Ok(()));
        assert!(matches!(thread.join(), Ok(Ok(()))));
    }

    #[tokio::test]
    async fn calls_of_one_group_have_their_turns_in_order() {
        let notes = Arc::default();
        let mut groups = Groups::default();
        for name in ["a", "b", "c"] {
            groups.spawn(1, spinner(name, 3, &notes));
        }
        groups.join().await;
        assert_eq!(notes.lock().concat(), "abcabcabc");
    }

    #[tokio::test]
    async fn a_call_that_waits_is_woken_and_one_that_panics_takes_none_along() {
        let (tell, told) = tokio::sync::oneshot::channel::<u32>();
        let (answer, answered) = tokio::sync::oneshot::channel();
        let mut groups = Groups::default();
        groups.spawn(1, async move {
            drop(answer.send(told.await));
        });
        groups.spawn(1, async { assert_eq!(1, 2, "on purpose") });
        tokio::task::yield_now().await;
        assert_eq!(tell.send(7), Ok(()));
        assert_eq!(answered.await, Ok(Ok(7)));
        // The group has ended by itself, and begins again.
        let (again, ended) = tokio::sync::oneshot::channel();
        groups.spawn(1, async move {
            again.send(()).unwrap_or_default();
        });
        assert_eq!(ended.await, Ok(()));
        groups.join().await;
    }
}
