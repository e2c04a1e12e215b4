//! Connections and recipes that are being made: each holds one of the places
//! that its workspace has, from before it is looked for until it is there.

use std::collections::HashMap;

use keyway_gate::View;
use keyway_model::limit::LimitSet;
use keyway_model::{Environment, Scope, TenantId};
use parking_lot::Mutex;

use super::{Allowed, Deployment};

/// What a workspace has so many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Connection,
    Recipe,
}

/// How many of each kind each workspace is making.
#[derive(Debug, Default)]
pub(super) struct Making(Mutex<HashMap<(TenantId, Kind), usize>>);

/// The place of one that is being made, until this is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub(super) struct Place<'m> {
    making: &'m Making,
    what: (TenantId, Kind),
}

impl Making {
    /// A place beside those that are `there`, if fewer than `max` are taken.
    fn reserve(
        &self,
        what: (TenantId, Kind),
        there: impl FnOnce() -> usize,
        max: u32,
    ) -> Option<Place<'_>> {
        let mut making = self.0.lock();
        let begun = making.get(&what).copied().unwrap_or(0);
        // Counted under the lock: what is not begun any more is there.
        if there().saturating_add(begun) >= max as usize {
            return None;
        }
        making.insert(what, begun + 1);
        Some(Place { making: self, what })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut making = self.making.0.lock();
        if let Some(begun) = making.get_mut(&self.what) {
            *begun -= 1;
            if *begun == 0 {
                making.remove(&self.what);
            }
        }
    }
}

impl Deployment {
    /// A place for one more of a kind in the caller's workspace; or why there
    /// is none.
    pub(super) fn place_for(&self, kind: Kind, allowed: &Allowed) -> Result<Place<'_>, String> {
        let tenant = allowed.scope.tenant;
        let quotas = self.gate.limits(allowed.scope, &LimitSet::default()).quotas;
        let (name, max, each) = match kind {
            Kind::Connection => (
                "connections_per_workspace_max",
                quotas.connections_per_workspace_max,
                "those",
            ),
            Kind::Recipe => (
                "recipes_per_workspace_max",
                quotas.recipes_per_workspace_max,
                "those that are stopped and those",
            ),
        };
        let count = |view: &View| match kind {
            Kind::Connection => view.connection_count(),
            Kind::Recipe => view.recipe_count(),
        };
        let in_each = |environment| {
            count(&self.view(Scope {
                tenant,
                environment,
            }))
        };
        let there = || Environment::ALL.into_iter().map(in_each).sum();
        let place = self.making.reserve((tenant, kind), there, max);
        place.ok_or_else(|| {
            format!(
                "the workspace exceeds `{name}` ({max}), {each} in each environment counted; ask \
                 the platform administrator to raise it under [limits]"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: TenantId = TenantId::from_bits(1);
    const RIVAL: TenantId = TenantId::from_bits(2);

    #[test]
    fn what_is_there_and_what_is_being_made_count_each_kind_and_workspace_by_itself() {
        let making = Making::default();
        let reserve = |tenant, kind, there| making.reserve((tenant, kind), || there, 2);
        let first = reserve(ACME, Kind::Recipe, 1);
        assert!(first.is_some());
        assert!(reserve(ACME, Kind::Recipe, 1).is_none());
        assert!(reserve(ACME, Kind::Connection, 1).is_some());
        assert!(reserve(RIVAL, Kind::Recipe, 1).is_some());
        assert!(reserve(RIVAL, Kind::Recipe, 2).is_none());
        drop(first);
        assert!(reserve(ACME, Kind::Recipe, 1).is_some());
        assert!(making.0.lock().is_empty());
    }
}
