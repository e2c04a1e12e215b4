//! The workers of a broker, in pools: one for everyone, one for each tenant
//! that has workers of its own, and one for each component that may have ended
//! a worker.
//!
//! A worker is this same program, run as `keyway worker`, with an empty
//! environment, one Unix socket as its standard input, and nothing else. Over
//! that socket it is handed its lanes.

mod age;
mod ends;
mod notice;
mod pool;
mod standing;
mod start;
mod suspicion;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use keyway_gate::Assigned;
use keyway_ipc::Standing;
use keyway_model::limit::{SUSPECTS_MAX, WORKER_LEAVING_SECONDS_MAX};
use keyway_model::{Digest, TenantId};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OnceCell, mpsc};

pub(crate) use notice::Notice;
use pool::Pool;
use standing::Told;
use start::Watchers;
pub(crate) use start::{WorkerError, WorkerPlan};
use suspicion::{Crash, PROBATION, Suspicion};

/// How often a worker that is no longer needed is looked at.
pub(crate) const LEAVING_PAUSE: Duration = Duration::from_millis(500);

/// Whose calls a pool serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Everyone,
    Tenant(TenantId),
    /// A component that may have ended a worker, of everyone or of a tenant
    /// with workers of its own.
    Suspect(Digest, Option<TenantId>),
}

/// The workers of a broker.
#[derive(Debug)]
pub struct Workers {
    this: Weak<Self>,
    plan: WorkerPlan,
    everyone: OnceCell<Arc<Pool>>,
    others: RwLock<HashMap<Whose, Arc<OnceCell<Arc<Pool>>>>>,
    /// Those that take no more calls and have some still.
    leaving: Mutex<Vec<Arc<Pool>>>,
    own: RwLock<HashSet<TenantId>>,
    suspicion: Arc<Mutex<Suspicion>>,
    told: Mutex<Told>,
    notices: mpsc::UnboundedSender<Notice>,
}

/// Why a component gets no worker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NoLane {
    /// It ended too many.
    #[error(
        "the component is in quarantine: {0}; look at it, then release it with `keyway alarm ack`"
    )]
    Quarantined(String),
    /// None can be started.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

impl Workers {
    /// Starts `processes` workers for everyone and waits until each is ready.
    /// What an administrator has to be told of any worker comes out of the
    /// receiver; what was so from the start is in it already. `own` is the host's
    /// own component, which is never put into quarantine.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] if the first start of one fails.
    pub(crate) async fn start(
        plan: WorkerPlan,
        processes: usize,
        own: Digest,
    ) -> Result<(Arc<Self>, mpsc::UnboundedReceiver<Notice>), WorkerError> {
        let (notices, noticed) = mpsc::unbounded_channel();
        let workers = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            plan,
            everyone: OnceCell::new(),
            others: RwLock::default(),
            leaving: Mutex::default(),
            own: RwLock::default(),
            suspicion: Arc::new(Mutex::new(Suspicion::new(Some(own)))),
            told: Mutex::default(),
            notices,
        });
        workers
            .everyone
            .get_or_try_init(|| workers.pool(Whose::Everyone, processes))
            .await?;
        Ok((workers, noticed))
    }

    /// Gives a tenant workers of its own from now on.
    pub(crate) fn set_own(&self, tenant: TenantId) {
        self.own.write().insert(tenant);
    }

    /// The lane for a tenant's call of a component; waits while its workers are
    /// being replaced.
    pub(crate) async fn lane(
        &self,
        tenant: TenantId,
        component: Digest,
    ) -> Result<Assigned, NoLane> {
        loop {
            let whose = self.whose(tenant, component)?;
            // One that was stopped meanwhile is nobody's any more.
            if let Some(lane) = self.of(whose).await?.lane().await {
                return Ok(lane);
            }
        }
    }

    /// Process ids of the workers that run.
    pub fn pids(&self) -> Vec<u32> {
        self.pools().iter().flat_map(|pool| pool.pids()).collect()
    }

    /// Whether a worker takes calls.
    pub fn are_ready(&self) -> bool {
        self.everyone.get().is_some_and(|pool| pool.is_ready())
    }

    /// How the workers are confined, a line for each layer, for `/readyz`.
    pub(crate) fn shown(&self) -> String {
        standing::shown(&self.standings())
    }

    /// The layers of confinement that any worker lacks, sorted.
    pub(crate) fn missing(&self) -> Vec<String> {
        standing::missing(&self.standings())
    }

    /// Why a component does not run, if it is in quarantine.
    pub(crate) fn quarantined(&self, component: &Digest) -> Option<String> {
        let suspicion = self.suspicion.lock();
        suspicion.quarantined(component).map(str::to_owned)
    }

    /// Whether a component may run.
    pub(crate) fn stands(&self, component: &Digest) -> Result<(), NoLane> {
        match self.suspicion.lock().quarantined(component) {
            Some(why) => Err(NoLane::Quarantined(why.to_owned())),
            None => Ok(()),
        }
    }

    /// Keeps a component from running, as it was before a restart.
    pub(crate) fn quarantine(&self, component: Digest, why: String) {
        self.suspicion.lock().quarantine(component, why);
    }

    /// Lets a component run again.
    pub(crate) fn release(&self, component: &Digest) {
        self.suspicion.lock().release(component, Instant::now());
    }

    fn whose(&self, tenant: TenantId, component: Digest) -> Result<Whose, NoLane> {
        self.stands(&component)?;
        let suspicion = self.suspicion.lock();
        let own = self.own.read().contains(&tenant).then_some(tenant);
        if suspicion.is_alone(&component, Instant::now()) {
            let whose = Whose::Suspect(component, own);
            let others = self.others.read();
            let is_suspect = |whose: &&Whose| matches!(whose, Whose::Suspect(..));
            if others.contains_key(&whose)
                || others.keys().filter(is_suspect).count() < SUSPECTS_MAX
            {
                return Ok(whose);
            }
        }
        Ok(own.map_or(Whose::Everyone, Whose::Tenant))
    }

    async fn of(&self, whose: Whose) -> Result<Arc<Pool>, WorkerError> {
        if let (Whose::Everyone, Some(pool)) = (whose, self.everyone.get()) {
            return Ok(Arc::clone(pool));
        }
        let known = self.others.read().get(&whose).cloned();
        let cell =
            known.unwrap_or_else(|| Arc::clone(self.others.write().entry(whose).or_default()));
        if let Some(pool) = cell.get() {
            return Ok(Arc::clone(pool));
        }
        // In a task of its own: a caller that goes away leaves none half started.
        let this = self.this.upgrade().ok_or(WorkerError::Ended)?;
        let started = tokio::spawn(this.started(whose, cell)).await;
        started.unwrap_or(Err(WorkerError::Ended))
    }

    async fn started(
        self: Arc<Self>,
        whose: Whose,
        cell: Arc<OnceCell<Arc<Pool>>>,
    ) -> Result<Arc<Pool>, WorkerError> {
        let started = cell
            .get_or_try_init(|| async {
                let pool = self.pool(whose, 1).await?;
                if let Whose::Suspect(component, _) = whose {
                    tokio::spawn(Arc::clone(&self).end_probation(whose, component));
                }
                Ok(pool)
            })
            .await
            .cloned();
        if started.is_err() {
            let mut others = self.others.write();
            // Its own and the one in the map: nobody else waits for it to start.
            if Arc::strong_count(&cell) == 2 {
                others.remove(&whose);
            }
        }
        started
    }

    async fn pool(&self, whose: Whose, processes: usize) -> Result<Arc<Pool>, WorkerError> {
        let (this, begun) = (Weak::clone(&self.this), Weak::clone(&self.this));
        let alone = match whose {
            Whose::Suspect(component, _) => Some(component),
            Whose::Everyone | Whose::Tenant(_) => None,
        };
        let suspicion = Arc::clone(&self.suspicion);
        let on_start = move |standing: &Standing| {
            if let Some(this) = begun.upgrade() {
                this.begun(standing);
            }
        };
        let on_loss = move |left: &BTreeSet<Digest>| {
            suspicion.lock().suspect(left, Instant::now());
        };
        let on_crash = move |left: &BTreeSet<Digest>, crash: Crash| {
            if let Some(this) = this.upgrade() {
                this.crashed(alone, left, crash);
            }
        };
        let watchers = Watchers {
            on_start: Arc::new(on_start),
            on_loss: Arc::new(on_loss),
            on_crash: Arc::new(on_crash),
        };
        Pool::start(self.plan.clone(), processes, watchers).await
    }

    fn crashed(&self, alone: Option<Digest>, left: &BTreeSet<Digest>, crash: Crash) {
        let now = Instant::now();
        let notice = self.suspicion.lock().crashed(alone, left, crash, now);
        if let Some(Notice::Quarantined { component, why }) = &notice {
            let said = NoLane::Quarantined(why.clone()).to_string();
            for pool in self.pools() {
                pool.end_calls_of(component, &said);
            }
        }
        if let Some(notice) = notice {
            self.tell(notice);
        }
    }

    /// A worker was started, and runs guests.
    fn begun(&self, standing: &Standing) {
        let layers = self.told.lock().add(standing);
        if !layers.is_empty() {
            self.tell(Notice::Weaker { layers });
        }
    }

    fn tell(&self, notice: Notice) {
        let (kind, about, what) = (notice.kind().as_str(), notice.subject(), notice.text());
        tracing::error!(kind, %about, "{what}");
        // Nobody listens while the deployment ends.
        drop(self.notices.send(notice));
    }

    /// Ends a suspect's own worker when nothing has happened for a while.
    async fn end_probation(self: Arc<Self>, whose: Whose, component: Digest) {
        loop {
            tokio::time::sleep(PROBATION).await;
            if !self.suspicion.lock().is_alone(&component, Instant::now()) {
                break;
            }
        }
        let pool = {
            let mut others = self.others.write();
            let cell = others.remove(&whose);
            let pool = cell.and_then(|cell| cell.get().cloned());
            // Its calls are still ended with all others of their component.
            self.leaving.lock().extend(pool.clone());
            pool
        };
        let Some(pool) = pool else {
            return;
        };
        let until = Instant::now() + Duration::from_secs(WORKER_LEAVING_SECONDS_MAX);
        while pool.busy() > 0 && Instant::now() < until {
            tokio::time::sleep(LEAVING_PAUSE).await;
        }
        pool.stop();
        let mut leaving = self.leaving.lock();
        leaving.retain(|other| !Arc::ptr_eq(other, &pool));
    }

    /// How each worker stands that runs, of every pool.
    fn standings(&self) -> Vec<Arc<Standing>> {
        let pools = self.pools();
        pools.iter().flat_map(|pool| pool.standings()).collect()
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        let others = self.others.read();
        let leaving = self.leaving.lock();
        let others = others.values().filter_map(|cell| cell.get());
        let all = self.everyone.get().into_iter().chain(others);
        all.chain(leaving.iter()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    mod suspects;
    mod taken_over;

    use super::*;

    /// Workers of a program that cannot be started.
    fn without_a_program() -> Arc<Workers> {
        let (notices, _) = mpsc::unbounded_channel();
        Arc::new_cyclic(|this| Workers {
            this: Weak::clone(this),
            plan: WorkerPlan::without_a_program(),
            everyone: OnceCell::new(),
            others: RwLock::default(),
            leaving: Mutex::default(),
            own: RwLock::default(),
            suspicion: Arc::new(Mutex::new(Suspicion::new(None))),
            told: Mutex::default(),
            notices,
        })
    }

    #[tokio::test]
    async fn a_suspect_whose_worker_does_not_start_takes_no_place() {
        let workers = without_a_program();
        let component = Digest::of(b"suspect");
        workers
            .suspicion
            .lock()
            .suspect([&component], Instant::now());
        let tenant = TenantId::random();
        let lane = workers.lane(tenant, component).await;
        assert!(matches!(lane, Err(NoLane::Worker(WorkerError::Start(_)))));
        assert!(workers.others.read().is_empty());
        // Nor does one whose caller does not wait for it.
        {
            let mut lane = std::pin::pin!(workers.lane(tenant, component));
            assert!(futures_util::poll!(&mut lane).is_pending());
        }
        while !workers.others.read().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
