//! Worker processes that serve the same calls: watched, and replaced when they end or
//! are old.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use keyway_gate::{Assigned, Lane};
use keyway_ipc::Standing;
use keyway_model::Digest;
use parking_lot::RwLock;
use tokio::sync::{Notify, watch};

use super::age;
use super::ends::{dismiss, end, left_behind, sign, stopped};
use super::start::{Running, Watchers, Worker, WorkerError, WorkerPlan};
use super::suspicion::Crash;

/// How long to wait before a worker that cannot be started is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(50);

/// The same where the old one still serves.
const SUCCESSOR_PAUSE: Duration = Duration::from_secs(60);

/// Worker processes that serve the same calls.
pub(crate) struct Pool {
    plan: WorkerPlan,
    places: RwLock<Places>,
    changed: Notify,
    stop: watch::Sender<bool>,
    watchers: Watchers,
}

/// The workers of a pool.
struct Places {
    slots: Vec<Option<Arc<Running>>>,
    /// Old ones, which take no more calls and have some still.
    leaving: Vec<Arc<Running>>,
}

impl Places {
    fn all(&self) -> impl Iterator<Item = &Arc<Running>> {
        self.slots.iter().flatten().chain(&self.leaving)
    }

    fn least_loaded(&self) -> Option<&Arc<Lane>> {
        // Of lanes with as much to do, one of a worker whose other lanes have less.
        let lanes = self.slots.iter().flatten().flat_map(|running| {
            let all: usize = running.lanes.iter().map(|lane| lane.busy()).sum();
            running.lanes.iter().map(move |lane| (lane, all))
        });
        lanes
            .filter(|(lane, _)| lane.is_open())
            .min_by_key(|(lane, all)| (lane.busy(), *all))
            .map(|(lane, _)| lane)
    }
}

impl Pool {
    /// Starts `processes` workers and waits until each is ready. A supervisor
    /// replaces each that ends or is old, until the pool is stopped.
    pub(crate) async fn start(
        plan: WorkerPlan,
        processes: usize,
        watchers: Watchers,
    ) -> Result<Arc<Self>, WorkerError> {
        let pool = Arc::new(Self::with_room(plan, processes, watchers));
        for slot in 0..processes {
            let worker = pool.plan.start(&pool.watchers).await?;
            pool.put(slot, &worker.running);
            tokio::spawn(Arc::clone(&pool).supervise(slot, worker));
        }
        Ok(pool)
    }

    /// One for so many workers, and without any.
    fn with_room(plan: WorkerPlan, processes: usize, watchers: Watchers) -> Self {
        let places = Places {
            slots: (0..processes).map(|_| None).collect(),
            leaving: Vec::new(),
        };
        Self {
            plan,
            places: RwLock::new(places),
            changed: Notify::new(),
            stop: watch::Sender::new(false),
            watchers,
        }
    }

    /// Gives a call to the lane with the least to do; waits while there is none. `None`
    /// if the pool is stopped meanwhile.
    pub(crate) async fn lane(&self) -> Option<Assigned> {
        loop {
            let changed = self.changed.notified();
            if let Some(assigned) = self.assign() {
                return Some(assigned);
            }
            let mut stop = self.stop.subscribe();
            tokio::select! {
                () = changed => {}
                () = stopped(&mut stop) => return None,
            }
        }
    }

    /// Process ids of its workers; those that take calls come first.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let places = self.places.read();
        places.all().filter_map(|one| one.pid).collect()
    }

    /// Whether a worker takes calls.
    pub(crate) fn is_ready(&self) -> bool {
        self.places.read().least_loaded().is_some()
    }

    /// How each of its workers stands: a later one may lack what the first had.
    pub(crate) fn standings(&self) -> Vec<Arc<Standing>> {
        let places = self.places.read();
        places.all().map(|one| Arc::clone(&one.standing)).collect()
    }

    /// Calls that were given to its workers and have not ended.
    pub(crate) fn busy(&self) -> usize {
        self.lanes().iter().map(|lane| lane.busy()).sum()
    }

    /// Ends the calls of a component.
    pub(crate) fn end_calls_of(&self, component: &Digest, why: &str) {
        for lane in self.lanes() {
            lane.end_calls_of(component, why);
        }
    }

    /// Ends its workers, and whatever they still run.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// The lanes of all its workers: those that leave run guests, too.
    fn lanes(&self) -> Vec<Arc<Lane>> {
        let places = self.places.read();
        let lanes = places.all().flat_map(|one| &one.lanes);
        lanes.cloned().collect()
    }

    fn assign(&self) -> Option<Assigned> {
        // It counts before the worker can leave, which looks whether there are calls.
        let places = self.places.read();
        places.least_loaded().map(|lane| lane.assign())
    }

    /// Waits for the end of a worker, for a call that it does not end, or for the one that
    /// takes its place when it is old; and starts another if it ends before.
    async fn supervise(self: Arc<Self>, slot: usize, mut worker: Worker) {
        let mut stop = self.stop.subscribe();
        loop {
            let has_ended = Notify::new();
            let mut next = pin!(self.successor(worker.running.pid, &has_ended));
            let seen = tokio::select! {
                biased;
                seen = sign(&mut worker.child, &worker.running.lanes) => seen,
                young = &mut next => {
                    self.put(slot, &young.running);
                    let old = std::mem::replace(&mut worker, young);
                    tokio::spawn(Arc::clone(&self).leave(old));
                    continue;
                }
                () = stopped(&mut stop) => {
                    let crash = dismiss(&mut worker.child, &worker.running.lanes).await;
                    self.empty(slot);
                    if let Some(crash) = crash {
                        self.tell(&worker.running, crash).await;
                    }
                    return;
                }
            };
            let crash = end(&mut worker.child, seen).await;
            self.empty(slot);
            self.tell(&worker.running, crash).await;
            has_ended.notify_one();
            worker = tokio::select! {
                young = next => young,
                () = stopped(&mut stop) => return,
            };
            self.put(slot, &worker.running);
        }
    }

    /// Another worker, once this one is old, or has ended. Started while this one is
    /// watched still.
    async fn successor(&self, pid: Option<u32>, has_ended: &Notify) -> Worker {
        let mut pause = tokio::select! {
            () = age::is_old(pid, self.plan.cpu_seconds_max) => SUCCESSOR_PAUSE,
            () = has_ended.notified() => RESTART_PAUSE,
        };
        loop {
            match self.plan.start(&self.watchers).await {
                Ok(worker) => return worker,
                Err(error) => tracing::error!(%error, "a worker cannot be replaced; trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = has_ended.notified() => pause = RESTART_PAUSE,
            }
        }
    }

    /// Ends a worker whose slot another has, when its calls have ended.
    async fn leave(self: Arc<Self>, mut old: Worker) {
        let stop = self.stop.subscribe();
        let time = age::leaving_time(self.plan.limits.wall_ms_max);
        let crash = age::leave(&mut old.child, &old.running.lanes, time, stop).await;
        if let Some(crash) = crash {
            self.tell(&old.running, crash).await;
        }
        let mut places = self.places.write();
        places.leaving.retain(|one| !Arc::ptr_eq(one, &old.running));
    }

    /// Tells of the end of a worker that nobody wanted to end.
    async fn tell(&self, worker: &Running, crash: Crash) {
        tracing::warn!(pid = worker.pid, %crash, "a worker ended");
        (self.watchers.on_crash)(&left_behind(&worker.lanes).await, crash);
    }

    /// Gives a slot to a worker; the one that has it leaves.
    fn put(&self, slot: usize, worker: &Arc<Running>) {
        let mut places = self.places.write();
        if let Some(place) = places.slots.get_mut(slot) {
            let old = place.replace(Arc::clone(worker));
            places.leaving.extend(old);
        }
        drop(places);
        self.changed.notify_waiters();
    }

    fn empty(&self, slot: usize) {
        if let Some(place) = self.places.write().slots.get_mut(slot) {
            *place = None;
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("pids", &self.pids())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use keyway_gate::LaneSetup;

    use super::*;

    /// A pool for one worker.
    fn pool() -> Pool {
        let watchers = Watchers {
            on_start: Arc::new(|_| ()),
            on_loss: Arc::new(|_| ()),
            on_crash: Arc::new(|_, _| ()),
        };
        Pool::with_room(WorkerPlan::without_a_program(), 1, watchers)
    }

    /// A worker of one lane, with nothing behind it.
    fn worker(pid: u32) -> Arc<Running> {
        let (broker, _) = keyway_ipc::in_process();
        let (lane, _) = Lane::over(broker, LaneSetup::default());
        Arc::new(Running {
            pid: Some(pid),
            lanes: vec![lane],
            standing: Arc::default(),
        })
    }

    #[test]
    fn calls_of_a_worker_that_leaves_are_the_pools_and_new_ones_are_anothers() {
        let (pool, old, young) = (pool(), worker(1), worker(2));
        pool.put(0, &old);
        let before = pool.assign();
        pool.put(0, &young);
        let after = pool.assign();
        for worker in [&old, &young] {
            let busy: usize = worker.lanes.iter().map(|lane| lane.busy()).sum();
            assert_eq!(busy, 1, "{:?}", worker.pid);
        }
        assert_eq!(pool.busy(), 2);
        assert_eq!(pool.pids(), [2, 1]);
        assert_eq!(pool.standings().len(), 2);
        drop((before, after));
        assert_eq!(pool.busy(), 0);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_worker_of_a_pool_that_is_stopped() {
        let pool = pool();
        let mut lane = pin!(pool.lane());
        assert!(futures_util::poll!(&mut lane).is_pending());
        pool.stop();
        assert!(lane.await.is_none());
    }
}
