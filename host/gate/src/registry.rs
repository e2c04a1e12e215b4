//! What is installed, approved, connected and applied, in memory, by scope.
//!
//! Decisions read it at every outward call, so a revocation reaches a running
//! job at its next one. Only the control path changes it, after the change is
//! durable. A view is of one scope and cannot name another's.

use std::collections::HashMap;
use std::sync::Arc;

use keyway_authz::HttpRules;
use keyway_model::manifest::Manifest;
use keyway_model::time::Timestamp;
use keyway_model::{ApprovalId, ConnectionId, Digest, Name, RecipeId, Scope};
use parking_lot::{Mutex, RwLock};

use crate::approvals::Approvals;
use crate::grant::{Purpose, Reach};
use crate::resource::{
    ApprovalRecord, ConnectionRecord, ConnectorRecord, LimitsRecord, RecipeRecord,
};
use crate::schema::Schemas;

mod running;

pub use running::{LeftOut, NotRunning};

/// An installed connector with its manifest, parsed.
#[derive(Debug)]
pub struct Connector {
    /// As it is kept.
    pub record: ConnectorRecord,
    /// What it declares.
    pub manifest: Manifest,
    /// The schemas of its inputs, ready to check with.
    pub schemas: Schemas,
}

impl Connector {
    /// A connector of this record; its manifest is parsed and its schemas are
    /// prepared here, once.
    ///
    /// # Errors
    ///
    /// What is wrong, in words for the connector's author.
    pub fn of(record: ConnectorRecord) -> Result<Self, String> {
        let manifest = Manifest::parse(&record.manifest).map_err(|error| error.to_string())?;
        let schemas = Schemas::of(&manifest).map_err(|error| error.to_string())?;
        Ok(Self {
            record,
            manifest,
            schemas,
        })
    }
}

/// What each connection may reach for each purpose, as far as it was asked for.
type Reaches = Arc<Mutex<HashMap<(ConnectionId, Digest, Purpose), Arc<Reach>>>>;

/// Everything of one scope.
#[derive(Clone, Debug, Default)]
pub struct View {
    connectors: HashMap<Digest, Arc<Connector>>,
    left_out: HashMap<Digest, Arc<LeftOut>>,
    approvals: HashMap<Digest, Arc<Approvals>>,
    connections: HashMap<ConnectionId, Arc<ConnectionRecord>>,
    recipes: HashMap<RecipeId, Arc<RecipeRecord>>,
    limits: Arc<LimitsRecord>,
    reaches: Reaches,
}

impl View {
    /// Installed connectors that can run, by name and then time.
    pub fn connectors(&self) -> Vec<Arc<Connector>> {
        let mut all: Vec<_> = self.connectors.values().cloned().collect();
        all.sort_by(|a, b| {
            (&a.record.name, a.record.installed_at).cmp(&(&b.record.name, b.record.installed_at))
        });
        all
    }

    /// The connector with this digest, if it can run.
    pub fn connector(&self, digest: &Digest) -> Option<&Arc<Connector>> {
        self.connectors.get(digest)
    }

    /// The approval of `digest` that holds now: of several, the newest.
    pub fn approval(&self, digest: &Digest, now: Timestamp) -> Option<&Arc<ApprovalRecord>> {
        self.approvals.get(digest)?.holding(now)
    }

    /// The approvals of `digest` that are kept, revoked and ended ones too, the newest
    /// first.
    pub fn approvals_of(&self, digest: &Digest) -> &[Arc<ApprovalRecord>] {
        self.approvals.get(digest).map_or(&[], |known| known.all())
    }

    /// Which approvals are no longer kept when `new` is; `None` if there is no room for
    /// it (`APPROVALS_PER_CONNECTOR_MAX`).
    pub fn approvals_in_the_way_of(
        &self,
        new: &ApprovalRecord,
        now: Timestamp,
    ) -> Option<Vec<ApprovalId>> {
        match self.approvals.get(&new.digest) {
            Some(known) => known.in_the_way_of(new, now),
            None => Some(Vec::new()),
        }
    }

    /// Connections, by name.
    pub fn connections(&self) -> Vec<Arc<ConnectionRecord>> {
        let mut all: Vec<_> = self.connections.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// The connection of this name.
    pub fn connection(&self, name: &Name) -> Option<&Arc<ConnectionRecord>> {
        self.connections
            .values()
            .find(|connection| connection.name == *name)
    }

    /// The connection with this id.
    pub fn connection_by_id(&self, id: ConnectionId) -> Option<&Arc<ConnectionRecord>> {
        self.connections.get(&id)
    }

    /// Recipes in their current version, by name.
    pub fn recipes(&self) -> Vec<Arc<RecipeRecord>> {
        let mut all: Vec<_> = self.recipes.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// How many recipes there are, started or not.
    pub fn recipe_count(&self) -> usize {
        self.recipes.len()
    }

    /// The recipe of this name, in its current version.
    pub fn recipe(&self, name: &Name) -> Option<&Arc<RecipeRecord>> {
        self.recipes.values().find(|recipe| recipe.name == *name)
    }

    /// The recipe with this id, in its current version.
    pub fn recipe_by_id(&self, id: RecipeId) -> Option<&Arc<RecipeRecord>> {
        self.recipes.get(&id)
    }

    /// What the tenant has lowered here.
    pub const fn limits(&self) -> &Arc<LimitsRecord> {
        &self.limits
    }

    /// Replaces what the tenant has lowered.
    pub fn put_limits(&mut self, limits: LimitsRecord) {
        self.limits = Arc::new(limits);
    }

    /// What a connection may reach for a purpose, computed once.
    pub(crate) fn reach<E>(
        &self,
        key: (ConnectionId, Digest, Purpose),
        compute: impl FnOnce() -> Result<HttpRules, E>,
    ) -> Result<Arc<Reach>, E> {
        if let Some(reach) = self.reaches.lock().get(&key) {
            return Ok(Arc::clone(reach));
        }
        let reach = Arc::new(Reach(Arc::new(compute()?)));
        self.reaches.lock().insert(key, Arc::clone(&reach));
        Ok(reach)
    }

    /// Adds a connector.
    pub fn add_connector(&mut self, connector: Connector) {
        let digest = connector.record.digest;
        self.left_out.remove(&digest);
        self.connectors.insert(digest, Arc::new(connector));
        self.reaches = Arc::default();
    }

    /// Adds approvals, and puts changed ones in the place of the old.
    pub fn put_approvals(&mut self, approvals: impl IntoIterator<Item = ApprovalRecord>) {
        let mut of_each: HashMap<Digest, Vec<Arc<ApprovalRecord>>> = HashMap::new();
        for approval in approvals {
            let of_it = of_each.entry(approval.digest).or_default();
            of_it.push(Arc::new(approval));
        }
        for (digest, approvals) in of_each {
            let known = self.approvals.entry(digest).or_default();
            Arc::make_mut(known).put(approvals);
        }
        self.reaches = Arc::default();
    }

    /// Keeps these approvals of `digest` no more.
    pub fn forget_approvals(&mut self, digest: &Digest, gone: &[ApprovalId]) {
        if let Some(known) = self.approvals.get_mut(digest) {
            Arc::make_mut(known).forget(gone);
        }
        self.reaches = Arc::default();
    }

    /// Adds or replaces a connection.
    pub fn put_connection(&mut self, connection: ConnectionRecord) {
        self.connections.insert(connection.id, Arc::new(connection));
        self.reaches = Arc::default();
    }

    /// Adds or replaces a recipe's current version.
    pub fn put_recipe(&mut self, recipe: RecipeRecord) {
        self.recipes.insert(recipe.id, Arc::new(recipe));
    }
}

/// The views of all scopes.
#[derive(Debug, Default)]
pub struct Registry {
    views: RwLock<HashMap<Scope, Arc<View>>>,
}

impl Registry {
    /// What `scope` owns, as of now.
    pub fn view(&self, scope: Scope) -> Arc<View> {
        self.views.read().get(&scope).cloned().unwrap_or_default()
    }

    /// Changes what `scope` owns; readers see all of the change or none.
    pub fn update(&self, scope: Scope, change: impl FnOnce(&mut View)) {
        let mut views = self.views.write();
        let mut view = views
            .get(&scope)
            .map(|view| View::clone(view))
            .unwrap_or_default();
        change(&mut view);
        views.insert(scope, Arc::new(view));
    }

    /// Every scope that owns something.
    pub fn scopes(&self) -> Vec<Scope> {
        self.views.read().keys().copied().collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use keyway_model::limit::APPROVALS_PER_CONNECTOR_MAX;

    use super::*;
    use crate::stage::Stage;

    #[tokio::test]
    async fn the_store_keeps_the_approvals_that_the_view_keeps_and_no_more() {
        let stage = Stage::new().await;
        let (store, now) = (
            stage.gate.store().tenant(stage.scope),
            stage.gate.clock().now(),
        );
        let digest = stage.basis().connector.record.digest;
        let view = || stage.gate.registry().view(stage.scope);
        for _ in 0..APPROVALS_PER_CONNECTOR_MAX + 9 {
            let new = stage.approval();
            let gone = view().approvals_in_the_way_of(&new, now).unwrap();
            let unit = stage.gate.store().unit(stage.scope);
            unit.push(new.change(&store).await.unwrap());
            // Another approval may have made room of the same.
            for id in gone.iter().chain(&gone) {
                unit.push(ApprovalRecord::forget(&store, *id));
            }
            unit.commit().await.unwrap();
            stage.gate.registry().update(stage.scope, |view| {
                view.forget_approvals(&digest, &gone);
                view.put_approvals([new]);
            });
        }
        let mut again = View::default();
        again.put_approvals(ApprovalRecord::all(&store).await.unwrap());
        let kept = view().approvals_of(&digest).to_vec();
        assert_eq!(kept.len(), APPROVALS_PER_CONNECTOR_MAX);
        assert_eq!(again.approvals_of(&digest), kept);
        assert_eq!(again.approval(&digest, now), view().approval(&digest, now));
    }

    #[tokio::test]
    async fn the_version_that_was_approved_last_runs_until_its_approval_ends() {
        let stage = Stage::new().await;
        let (old, now) = (stage.basis().connector, stage.gate.clock().now());
        let later = |seconds| now.plus(Duration::from_secs(seconds));
        let record = ConnectorRecord {
            digest: Digest::of(b"another version"),
            ..old.record.clone()
        };
        let new = record.digest;
        stage.gate.registry().update(stage.scope, |view| {
            view.add_connector(Connector::of(record).unwrap());
            view.put_approvals([ApprovalRecord {
                digest: new,
                at: later(1),
                until: Some(later(9)),
                ..stage.approval()
            }]);
        });
        let runs = |seconds| {
            let view = stage.gate.registry().view(stage.scope);
            let running = view.running(&old.record.name, later(seconds));
            running.map(|(connector, _)| connector.record.digest)
        };
        assert_eq!(runs(2), Ok(new));
        assert_eq!(runs(9), Ok(old.record.digest));
        // Approved once more, the old one is the last.
        stage.gate.registry().update(stage.scope, |view| {
            view.put_approvals([ApprovalRecord {
                at: later(2),
                ..stage.approval()
            }]);
        });
        assert_eq!(runs(3), Ok(old.record.digest));
    }
}
