//! Turns: who goes on when many could.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::future::poll_fn;
use std::time::Instant;

use super::onward::{LATE_AFTER, LATE_FOR, LONG_AFTER};
use super::*;

/// The way of long calls to a thread from which none leaves.
fn long_without_late() -> (ToLong, Arriving) {
    let (to_long, [mut long, _]) = long();
    long.onward = Onward::Nowhere;
    (to_long, long)
}

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
    let (long, arriving) = long_without_late();
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
    let (long, arriving) = long_without_late();
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
    let (long, arriving) = long_without_late();
    let before = Arc::clone(&long.before);
    let mut groups = Groups::beside(Some(long));
    let here = std::thread::current().id();
    // On a processor: what others have it for meanwhile does not make a call long.
    let busy = |time: Duration| {
        let started = processor::begin();
        while processor::since(started) < time {}
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

/// A thread by a name that goes on with calls.
fn goes_on(name: &str, arriving: Arriving) -> std::thread::JoinHandle<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    let body = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(run_long(arriving));
    };
    thread.spawn(body).unwrap()
}

fn thread_name() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or_default().to_owned()
}

/// Computes until another thread goes on with it.
async fn until_long() {
    let first = std::thread::current().id();
    while std::thread::current().id() == first {
        compute(LONG_AFTER * 2);
        tokio::task::yield_now().await;
    }
}

fn compute(time: Duration) {
    let began = processor::begin();
    while processor::since(began) < time {}
}

/// Is kept from the processor for so long.
fn is_kept_waiting(time: Duration) {
    let (_held, never) = std::sync::mpsc::channel::<()>();
    assert!(never.recv_timeout(time).is_err());
}

#[tokio::test]
async fn the_calls_of_a_late_thread_go_on_elsewhere_for_a_while_and_come_back() {
    let (to_long, [long, late]) = long();
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut groups = Groups::beside(Some(to_long));
    let (beside, of_beside) = tokio::sync::oneshot::channel();
    let (is_late, goes_on_late) = tokio::sync::oneshot::channel();
    groups.spawn(1, async move {
        until_long().await;
        drop(goes_on_late.await);
        beside.send(thread_name()).unwrap_or_default();
    });
    groups.spawn(2, async move {
        until_long().await;
        let mut threads = vec![thread_name()];
        is_kept_waiting(LATE_AFTER * 2);
        tokio::task::yield_now().await;
        threads.push(thread_name());
        is_late.send(()).unwrap_or_default();
        let since = Instant::now();
        while since.elapsed() < LATE_FOR * 2 && thread_name() == "late" {
            compute(Duration::from_millis(1));
            tokio::task::yield_now().await;
        }
        threads.push(thread_name());
        tell.send(threads).unwrap_or_default();
    });
    let threads = [goes_on("long", long), goes_on("late", late)];
    assert_eq!(told.await.unwrap(), ["long", "late", "long"]);
    assert_eq!(of_beside.await.unwrap(), "late");
    groups.join().await;
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn a_thread_that_comes_late_to_its_calls_is_late() {
    let (to_long, [long, late]) = long();
    let (tell, told) = tokio::sync::oneshot::channel();
    let (wake, woken) = tokio::sync::oneshot::channel::<()>();
    let (begins, has_begun) = tokio::sync::oneshot::channel();
    let mut groups = Groups::beside(Some(to_long));
    groups.spawn(1, async move {
        until_long().await;
        begins.send(()).unwrap_or_default();
        drop(woken.await);
        // This turn was begun late, and the next is elsewhere.
        tokio::task::yield_now().await;
        tell.send(thread_name()).unwrap_or_default();
    });
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let long = std::thread::Builder::new()
        .name("long".to_owned())
        .spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(async {
                // What keeps the thread is no turn of a call.
                let keeps = async move {
                    drop(has_begun.await);
                    wake.send(()).unwrap_or_default();
                    assert!(held.recv_timeout(LATE_AFTER * 2).is_err());
                };
                tokio::join!(keeps, run_long(long))
            });
        });
    let late = goes_on("late", late);
    assert_eq!(told.await.unwrap(), "late");
    drop(hold);
    groups.join().await;
    long.unwrap().join().unwrap();
    late.join().unwrap();
}

#[tokio::test]
async fn a_late_call_ends_where_it_is_when_the_thread_of_long_ones_has_ended() {
    let (to_long, [long, late]) = long();
    let (tell, told) = tokio::sync::oneshot::channel();
    let (long_ended, has_ended) = std::sync::mpsc::channel();
    let mut groups = Groups::beside(Some(to_long));
    groups.spawn(1, async move {
        until_long().await;
        is_kept_waiting(LATE_AFTER * 2);
        tokio::task::yield_now().await;
        has_ended.recv_timeout(Duration::from_secs(60)).unwrap();
        is_kept_waiting(LATE_FOR);
        tokio::task::yield_now().await;
        tell.send(thread_name()).unwrap_or_default();
    });
    let (long, late) = (goes_on("long", long), goes_on("late", late));
    groups.join().await;
    long.join().unwrap();
    long_ended.send(()).unwrap();
    assert_eq!(told.await.unwrap(), "late");
    late.join().unwrap();
}
