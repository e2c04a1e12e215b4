//! Workers that grow old: each has so much time on processors over its life, which the
//! kernel holds it to. At half of it, another takes its place, and it ends when its
//! calls have; so only one that computes without being asked to comes to the limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyway_gate::Lane;
use keyway_model::limit::WORKER_LEAVING_SECONDS_MAX;
use tokio::process::Child;
use tokio::sync::watch;

use super::LEAVING_PAUSE;
use super::ends::{kill, stopped};

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

/// Ends a worker that takes no more calls when those that it has are over, or the
/// time for that is.
pub(super) async fn leave(mut old: Child, lanes: Vec<Arc<Lane>>, mut stop: watch::Receiver<bool>) {
    let until = Instant::now() + Duration::from_secs(WORKER_LEAVING_SECONDS_MAX);
    while lanes.iter().any(|lane| lane.busy() > 0) && Instant::now() < until {
        tokio::select! {
            ended = old.wait() => {
                tracing::warn!(?ended, "an old worker ended before its calls");
                return;
            }
            () = stopped(&mut stop) => break,
            () = tokio::time::sleep(LEAVING_PAUSE) => {}
        }
    }
    tracing::info!(pid = old.id(), "a worker that was old is ended");
    kill(&mut old).await;
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
    use super::*;

    #[test]
    fn the_time_of_a_process_is_read_whatever_its_name_is() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 3 0 5 1 1";
        assert_eq!(spent_in(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(spent_in("7 (a) S 1", 100), None);
        assert_eq!(spent_in("", 100), None);
        assert!(spent(std::process::id()).is_some());
    }
}
