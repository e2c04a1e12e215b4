//! How much connectors, environments and workspaces may ask for: token buckets on
//! their host calls, and how many of them are under way.
//!
//! A host call passes the meter of its connector, then that of its environment, then
//! that of its workspace: who has to wait for the rate of a connector has taken nothing
//! from others. Whoever is over a quota waits, in the order of asking, as long as
//! `throttle_ms_max` lets it; then it is refused by the quota's name. Refusals
//! pass buckets of the same rates: each costs a record, and who has no patience
//! gets no more of them than of calls. Decides nothing else, and never sends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use keyway_model::limit::Quotas;
use keyway_model::{Digest, Scope, TenantId};
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::over::Over;

mod bucket;
mod meter;
mod room;

use bucket::{Bucket, Rate};
use meter::{Bounds, Meter};

/// Meters that are remembered before those that owe nothing are forgotten.
const METERS_KEPT: usize = 4_096;

/// The meters of everyone who runs.
#[derive(Debug, Default)]
pub(crate) struct Throttles {
    /// What holds for a workspace over all its environments.
    platform: Quotas,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    all: HashMap<Whose, Arc<Meter>>,
    /// Beyond so many, those that owe nothing are forgotten.
    kept_max: usize,
}

/// Whose host calls are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Connector(Scope, Digest),
    /// All connectors of one environment of a workspace, which sets quotas for each.
    Environment(Scope),
    Workspace(TenantId),
}

/// What the host calls of one guest call pass.
#[derive(Debug)]
pub(crate) struct Meters {
    /// Those of its connector, its environment and its workspace, in this order.
    all: [Arc<Meter>; 3],
    patience: Duration,
}

/// One host call that may go on; it counts as under way until this is dropped.
#[derive(Debug)]
#[must_use = "the host call counts as under way until this is dropped"]
pub(crate) struct Pass(#[expect(dead_code, reason = "held, not read")] [OwnedSemaphorePermit; 3]);

impl Throttles {
    /// On a platform with these quotas.
    pub(crate) fn on(platform: Quotas) -> Self {
        Self {
            platform,
            known: Mutex::default(),
        }
    }

    /// The meters of one guest call of a connector. Those of the connector and of its
    /// environment are held to `quotas` from now on.
    pub(crate) fn of(&self, scope: Scope, connector: Digest, quotas: &Quotas) -> Meters {
        let of_connector = Bounds::of_connector(quotas);
        let of_environment = Bounds::of_workspace(quotas);
        let of_workspace = Bounds::of_workspace(&self.platform);
        let mut known = self.known.lock();
        let all = [
            (Whose::Connector(scope, connector), of_connector),
            (Whose::Environment(scope), of_environment),
            (Whose::Workspace(scope.tenant), of_workspace),
        ];
        Meters {
            all: all.map(|(whose, bounds)| known.meter(whose, &bounds)),
            patience: Duration::from_millis(quotas.throttle_ms_max),
        }
    }
}

impl Known {
    fn meter(&mut self, whose: Whose, bounds: &Bounds) -> Arc<Meter> {
        if self.all.len() >= self.kept_max && !self.all.contains_key(&whose) {
            let now = std::time::Instant::now();
            self.all
                .retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.owes_nothing(now));
            // Or each newcomer would look at all of them.
            self.kept_max = METERS_KEPT.max(2 * self.all.len());
        }
        let meter = self
            .all
            .entry(whose)
            .or_insert_with(|| Arc::new(Meter::new(bounds)));
        meter.hold_to(bounds);
        Arc::clone(meter)
    }
}

impl Meters {
    /// Lets one request go on.
    pub(crate) async fn http(&self) -> Result<Pass, Over> {
        self.pass(|meter| &meter.http).await
    }

    /// Lets one change of state go on.
    pub(crate) async fn state(&self) -> Result<Pass, Over> {
        self.pass(|meter| &meter.state).await
    }

    /// Lets one call of scratch files go on.
    pub(crate) async fn scratch(&self) -> Result<Pass, Over> {
        self.pass(|meter| &meter.scratch).await
    }

    /// Whether one read of state may go on without waiting.
    pub(crate) fn read_now(&self) -> bool {
        self.now(|meter| &meter.reads)
    }

    /// Lets one read of state go on. It takes no time, so it is not under way.
    pub(crate) async fn read(&self) -> Result<(), Over> {
        self.tokens(|meter| &meter.reads, self.deadline()).await
    }

    /// Whether one read of the connection may go on without waiting.
    pub(crate) fn connection_now(&self) -> bool {
        self.now(|meter| &meter.connection)
    }

    /// Lets one read of the connection go on. It takes no time, so it is not under way.
    pub(crate) async fn connection(&self) -> Result<(), Over> {
        self.tokens(|meter| &meter.connection, self.deadline())
            .await
    }

    /// How many of so many log lines may be kept, and what the others exceed; nobody
    /// waits for that.
    pub(crate) fn log(&self, lines: usize) -> (usize, Option<Over>) {
        let (mut kept, mut over) = (lines, None);
        for meter in &self.all {
            let passed = meter.log.tokens_now(kept);
            if passed < kept {
                (kept, over) = (passed, Some(meter.log.over()));
            }
        }
        (kept, over)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    async fn pass(&self, rate: fn(&Meter) -> &Rate) -> Result<Pass, Over> {
        let passed = self.pass_until(self.deadline(), rate).await;
        if passed.is_err() {
            for meter in &self.all {
                rate(meter).refusals.turn().await;
            }
        }
        passed
    }

    /// Whoever waits for a token holds a place of its connector alone; so no connector
    /// has more in the line of its workspace than it has places.
    async fn pass_until(&self, deadline: Instant, rate: fn(&Meter) -> &Rate) -> Result<Pass, Over> {
        let [connector, environment, workspace] = &self.all;
        let of_connector = connector.in_flight.place(deadline).await?;
        for meter in &self.all {
            rate(meter).calls.token(deadline).await?;
        }
        let of_environment = environment.in_flight.place(deadline).await?;
        let of_workspace = workspace.in_flight.place(deadline).await?;
        Ok(Pass([of_connector, of_environment, of_workspace]))
    }

    fn now(&self, bucket: fn(&Meter) -> &Bucket) -> bool {
        let [connector, environment, workspace] = &self.all;
        Bucket::token_of_each([bucket(connector), bucket(environment), bucket(workspace)])
    }

    async fn tokens(&self, bucket: fn(&Meter) -> &Bucket, deadline: Instant) -> Result<(), Over> {
        for meter in &self.all {
            bucket(meter).token(deadline).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
