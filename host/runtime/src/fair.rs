//! Turns inside one lane: calls of one group share one task, which polls one of
//! them at a time and then lets the tasks of other groups go first.
//!
//! So a hundred guests of one tenant that compute cost another tenant's guest
//! one slice of waiting, not a hundred. Knows nothing of guests.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::task::JoinSet;

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The groups of one lane.
#[derive(Default)]
pub(crate) struct Groups {
    groups: HashMap<u64, Arc<Group>>,
    tasks: JoinSet<()>,
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
    group: Arc<Group>,
    calls: HashMap<u64, (Call, Arc<CallWaker>)>,
}

impl Groups {
    /// Starts a call among those of its group.
    pub(crate) fn spawn(&mut self, group: u64, call: impl Future<Output = ()> + Send + 'static) {
        // One call that panics must not take those beside it along.
        let call: Call = Box::pin(AssertUnwindSafe(call).catch_unwind().map(drop));
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
            group: started,
            calls: HashMap::new(),
        });
    }

    /// Waits until every call has ended.
    pub(crate) async fn join(mut self) {
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
            self.calls.insert(id, (call, Arc::new(waker)));
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
        let Some((call, waker)) = self.calls.get_mut(&id) else {
            return;
        };
        waker.is_queued.store(false, Ordering::Release);
        let own = Waker::from(Arc::clone(waker));
        if call
            .as_mut()
            .poll(&mut Context::from_waker(&own))
            .is_ready()
        {
            self.calls.remove(&id);
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
            drop(again.send(()));
        });
        assert_eq!(ended.await, Ok(()));
        groups.join().await;
    }
}
