//! Workers that grow old: each has so much time on processors over its life, which the
//! kernel holds it to. At half of it, another takes its place, and it ends when its
//! calls have; so only one that computes without being asked to comes to the limit.

use std::sync::Arc;
use std::time::Duration;

use keyway_gate::Lane;
use keyway_model::limit::{CALL_END_GRACE_MS_MAX, WORKER_LEAVING_SECONDS_MAX};
use tokio::process::Child;
use tokio::sync::watch;

use super::LEAVING_PAUSE;
use super::ends::{dismiss, end, sign, stopped};
use super::suspicion::Crash;

/// A worker is looked at so often in half of its life, and at least once a minute.
const LOOKS: u32 = 20;
const LOOK_EACH: Duration = Duration::from_secs(60);

/// Comes back when a worker has used up half of its time.
pub(super) async fn is_old(pid: Option<u32>, cpu_seconds_max: u64) {
    let half = Duration::from_secs(cpu_seconds_max) / 2;
    let pause = (half / LOOKS).min(LOOK_EACH);
    loop {
        tokio::time::sleep(pause).await;
        // Of one that has just ended nothing is known, and its end is seen elsewhere.
        if pid.and_then(spent).is_some_and(|spent| spent >= half) {
            return;
        }
    }
}

/// How long the calls of an old worker may still take, where each may last so long.
pub(super) fn leaving_time(wall_ms_max: u64) -> Duration {
    let call = wall_ms_max.saturating_add(CALL_END_GRACE_MS_MAX);
    Duration::from_secs(WORKER_LEAVING_SECONDS_MAX).max(Duration::from_millis(call))
}

/// Ends a worker that takes no more calls when those that it has are over, or the
/// time for that is. Nobody is suspected then: one that the worker does not end in time
/// is noticed here as in any other. Answers with its
/// crash if it came to its end before, as a young one would have.
pub(super) async fn leave(
    old: &mut Child,
    lanes: &[Arc<Lane>],
    time: Duration,
    mut stop: watch::Receiver<bool>,
) -> Option<Crash> {
    let seen = tokio::select! {
        biased;
        // First: one that was given up may have no calls any more.
        seen = sign(old, lanes) => Some(seen),
        _ = tokio::time::timeout(time, without_calls(lanes)) => None,
        () = stopped(&mut stop) => None,
    };
    match seen {
        Some(seen) => Some(end(old, seen).await),
        None => {
            tracing::info!(pid = old.id(), "a worker that was old is ended");
            dismiss(old, lanes).await
        }
    }
}

async fn without_calls(lanes: &[Arc<Lane>]) {
    while lanes.iter().any(|lane| lane.busy() > 0) {
        tokio::time::sleep(LEAVING_PAUSE).await;
    }
}

/// The time of a process on processors, if it runs.
fn spent(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    spent_in(&stat, rustix::param::clock_ticks_per_second())
}

fn spent_in(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    /// Of the fields behind the name, which may hold anything.
    const USER_FIELD: usize = 11;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(USER_FIELD);
    let (user, kernel): (u64, u64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    let millis = user.saturating_add(kernel).saturating_mul(1_000);
    Some(Duration::from_millis(millis.checked_div(ticks_per_second)?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use keyway_gate::LaneSetup;
    use keyway_model::Digest;
    use tokio::process::Command;

    use super::*;

    const TIME: Duration = Duration::from_secs(120);

    #[test]
    fn an_old_worker_has_as_long_as_any_of_its_calls() {
        assert_eq!(leaving_time(30_000), Duration::from_secs(120));
        assert_eq!(leaving_time(600_000), Duration::from_secs(601));
        assert!(leaving_time(u64::MAX) > Duration::from_secs(601));
    }

    /// A program in the place of a worker.
    fn program(words: &[&str]) -> io::Result<Child> {
        let (name, words) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        Command::new(name).args(words).kill_on_drop(true).spawn()
    }

    #[tokio::test]
    async fn an_old_worker_without_calls_is_ended_and_that_is_no_loss() -> io::Result<()> {
        let losses = Arc::new(AtomicUsize::new(0));
        let on_loss = {
            let losses = Arc::clone(&losses);
            move |_: &BTreeSet<Digest>| {
                losses.fetch_add(1, Ordering::Relaxed);
            }
        };
        let setup = LaneSetup {
            on_loss: Arc::new(on_loss),
            ..LaneSetup::default()
        };
        let (broker, worker) = keyway_ipc::in_process();
        let (lane, reader) = Lane::over(broker, setup);
        let (mut old, stop) = (program(&["sleep", "600"])?, watch::Sender::new(false));
        assert_eq!(leave(&mut old, &[lane], TIME, stop.subscribe()).await, None);
        assert!(old.try_wait()?.is_some(), "it goes on");
        drop(worker);
        reader.await;
        assert_eq!(losses.load(Ordering::Relaxed), 0);
        Ok(())
    }

    #[tokio::test]
    async fn an_old_worker_whose_calls_do_not_end_is_ended_when_the_time_for_that_is_over()
    -> io::Result<()> {
        let (broker, _worker) = keyway_ipc::in_process();
        let (lane, _) = Lane::over(broker, LaneSetup::default());
        let (mut old, stop) = (program(&["sleep", "600"])?, watch::Sender::new(false));
        let _call = lane.assign();
        let time = Duration::from_millis(1);
        assert_eq!(leave(&mut old, &[lane], time, stop.subscribe()).await, None);
        assert!(old.try_wait()?.is_some(), "it goes on");
        Ok(())
    }

    #[tokio::test]
    async fn an_old_worker_is_watched_like_a_young_one_while_it_has_calls() -> io::Result<()> {
        let lane = || {
            let (broker, worker) = keyway_ipc::in_process();
            let (lane, _) = Lane::over(broker, LaneSetup::default());
            (lane.assign(), lane, worker)
        };
        let stop = watch::Sender::new(false);
        // One that does not end a call, and one that ends by itself.
        let (_call, given_up, _worker) = lane();
        given_up.give_up();
        let mut old = program(&["sleep", "600"])?;
        let crash = leave(&mut old, &[given_up], TIME, stop.subscribe()).await;
        assert_eq!(crash, Some(Crash::Wedged));
        assert!(old.try_wait()?.is_some(), "it goes on");
        let (_call, lane, _worker) = lane();
        let mut old = program(&["false"])?;
        let crash = leave(&mut old, &[lane], TIME, stop.subscribe()).await;
        assert_eq!(crash, Some(Crash::Ended { signal: None }));
        Ok(())
    }

    #[test]
    fn the_time_of_a_process_is_read_whatever_its_name_is() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 3 0 5 1 1";
        assert_eq!(spent_in(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(spent_in("7 (a) S 1", 100), None);
        assert_eq!(spent_in("", 100), None);
        assert!(spent(std::process::id()).is_some());
    }
}
