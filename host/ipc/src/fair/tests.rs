//! Turns: who goes on when many could.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::future::poll_fn;
use std::time::Instant;

use super::*;

/// A call that could go on for ever, and notes each of its turns, which last so long.
fn spinner(
    name: &'static str,
    turns: usize,
    each: Duration,
    notes: &Arc<Mutex<Vec<&'static str>>>,
) -> Call {
    let notes = Arc::clone(notes);
    let mut left = turns;
    Box::pin(poll_fn(move |cx| {
        notes.lock().push(name);
        let started = Instant::now();
        while started.elapsed() < each {}
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
        groups.spawn(1, spinner("flood", 4, TOGETHER, &notes));
    }
    groups.spawn(2, spinner("victim", 10, TOGETHER, &notes));
    groups.join().await;
    let notes = notes.lock();
    assert_eq!(notes.len(), 50 * 4 + 10);
    let last = notes.iter().rposition(|name| *name == "victim");
    assert!(last < Some(25), "its tenth turn was number {last:?}");
}

#[tokio::test]
async fn quick_turns_of_one_group_are_taken_together() {
    let notes = Arc::default();
    let mut groups = Groups::default();
    for _ in 0..100 {
        groups.spawn(1, spinner("a", 10, Duration::ZERO, &notes));
    }
    groups.spawn(2, spinner("b", 1_000, Duration::ZERO, &notes));
    groups.join().await;
    let notes = notes.lock();
    let pairs = notes.iter().zip(notes.iter().skip(1));
    let changes = pairs.filter(|(one, next)| one != next).count();
    assert!(changes < 500, "{changes} changes in 2,000 turns");
}

#[tokio::test]
async fn a_call_that_computes_for_long_goes_on_elsewhere_and_ends_there() {
    let (long, arriving) = long();
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

/// How often this thread has left its processor by itself.
fn rests() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap()
}

#[tokio::test]
async fn the_thread_of_long_calls_rests_after_each_long_turn_and_no_other() {
    let (long, arriving) = long();
    let mut groups = Groups::beside(Some(long));
    let (tell, told) = tokio::sync::oneshot::channel();
    groups.spawn(1, async move {
        let first = std::thread::current().id();
        let turn = |length: Duration| {
            let started = Instant::now();
            while started.elapsed() < length {}
        };
        while std::thread::current().id() == first {
            turn(LONG_AFTER);
            tokio::task::yield_now().await;
        }
        let mut counts = vec![rests()];
        for length in [Duration::ZERO, REST_AFTER * 2] {
            for _ in 0..20 {
                turn(length);
                tokio::task::yield_now().await;
            }
            counts.push(rests());
        }
        tell.send(counts).unwrap_or_default();
    });
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.map(|runtime| runtime.block_on(run_long(arriving)))
    });
    groups.join().await;
    let counts = told.await.unwrap();
    assert!(matches!(thread.join(), Ok(Ok(()))));
    let [before, short, long] = counts[..] else {
        unreachable!("three counts");
    };
    // A turn in which the thread was put aside is shorter than it looks.
    assert!(short - before < 5, "{counts:?}");
    assert!(long - short >= 10, "{counts:?}");
}

#[tokio::test]
async fn a_kind_that_was_long_begins_elsewhere_until_it_is_short_again() {
    let (long, arriving) = long();
    let before = Arc::clone(&long.before);
    let mut groups = Groups::beside(Some(long));
    let here = std::thread::current().id();
    let busy = |time: Duration| {
        let started = Instant::now();
        while started.elapsed() < time {}
    };
    groups.spawn_kind(1, 7, async move { busy(LONG_AFTER * 2) });
    while before.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    let (tell, told) = tokio::sync::oneshot::channel();
    groups.spawn_kind(1, 7, async move {
        tell.send(std::thread::current().id()).unwrap_or_default();
    });
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.map(|runtime| runtime.block_on(run_long(arriving)))
    });
    assert!(told.await.is_ok_and(|there| there != here));
    groups.join().await;
    assert!(matches!(thread.join(), Ok(Ok(()))));
    assert!(before.lock().is_empty());
}

#[tokio::test]
async fn calls_of_one_group_have_their_turns_in_order() {
    let notes = Arc::default();
    let mut groups = Groups::default();
    for name in ["a", "b", "c"] {
        groups.spawn(1, spinner(name, 3, Duration::ZERO, &notes));
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
    // The group has no call now, and goes on with the next.
    let (again, ended) = tokio::sync::oneshot::channel();
    groups.spawn(1, async move {
        again.send(()).unwrap_or_default();
    });
    assert_eq!(ended.await, Ok(()));
    groups.join().await;
}

#[tokio::test]
async fn few_groups_stay_that_have_no_call_and_none_ends_that_has_one() {
    let mut groups = Groups::default();
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let (answer, answered) = tokio::sync::oneshot::channel();
    groups.spawn(0, async move {
        answer.send(told.await.is_ok()).unwrap_or_default();
    });
    for group in 1..1_000 {
        groups.spawn(group, async {});
        tokio::task::yield_now().await;
    }
    assert!(
        groups.groups.len() <= IDLE_GROUPS_MAX + 1,
        "{}",
        groups.groups.len()
    );
    assert_eq!(tell.send(()), Ok(()));
    assert_eq!(answered.await, Ok(true));
    groups.join().await;
}
