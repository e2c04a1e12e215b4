//! Whose component is compiled next: one at a time, by turns of workspaces,
//! whatever their queues.

use std::collections::HashMap;
use std::sync::Arc;

use keyway_fair::{Admission, Place, Wish};
use keyway_model::TenantId;
use keyway_model::limit::{INSTALLS_WAITING_MAX, INSTALLS_WAITING_PER_WORKSPACE_MAX};
use parking_lot::Mutex;

use super::CompileError;

/// One compiler, and those who wait for it.
#[derive(Debug)]
pub(super) struct Turns {
    pub(super) compiler: Admission<()>,
    installs: Arc<Mutex<HashMap<TenantId, usize>>>,
}

/// An install that is under way, until this is dropped.
#[derive(Debug)]
#[must_use = "another may install when this is dropped"]
pub(crate) struct Install {
    installs: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
    /// Installs of the same workspace that are under way, this one included.
    pub(crate) of_workspace: usize,
}

impl Install {
    /// Whose it is.
    pub(super) const fn tenant(&self) -> TenantId {
        self.tenant
    }
}

impl Drop for Install {
    fn drop(&mut self) {
        let mut installs = self.installs.lock();
        if let Some(count) = installs.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                installs.remove(&self.tenant);
            }
        }
    }
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            compiler: Admission::of(1),
            installs: Arc::default(),
        }
    }

    /// Begins an install, unless too many are under way.
    pub(super) fn begin(&self, tenant: TenantId) -> Result<Install, CompileError> {
        let mut installs = self.installs.lock();
        let of_workspace = installs.get(&tenant).copied().unwrap_or(0);
        if of_workspace >= INSTALLS_WAITING_PER_WORKSPACE_MAX {
            return Err(CompileError::Busy {
                whose: "of this workspace ",
                name: "INSTALLS_WAITING_PER_WORKSPACE_MAX",
                value: INSTALLS_WAITING_PER_WORKSPACE_MAX,
            });
        }
        if installs.values().sum::<usize>() >= INSTALLS_WAITING_MAX {
            return Err(CompileError::Busy {
                whose: "",
                name: "INSTALLS_WAITING_MAX",
                value: INSTALLS_WAITING_MAX,
            });
        }
        installs.insert(tenant, of_workspace + 1);
        Ok(Install {
            installs: Arc::clone(&self.installs),
            tenant,
            of_workspace: of_workspace + 1,
        })
    }

    /// Waits for this workspace's turn.
    pub(super) async fn turn(&self, tenant: TenantId) -> Place<()> {
        let wish = Wish {
            tenant,
            tenant_max: 1,
            line: (),
            line_max: 1,
        };
        self.compiler.enter(wish).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const ACME: TenantId = TenantId::from_bits(1);
    const RIVAL: TenantId = TenantId::from_bits(2);

    #[test]
    fn a_workspaces_flood_of_installs_leaves_room_for_anothers_single_one() {
        let turns = Turns::new();
        let mut flood: Vec<_> = (0..100).filter_map(|_| turns.begin(ACME).ok()).collect();
        assert_eq!(flood.len(), INSTALLS_WAITING_PER_WORKSPACE_MAX);
        let said = turns
            .begin(ACME)
            .map(drop)
            .map_err(|error| error.to_string());
        assert_eq!(
            said,
            Err(
                "INSTALLS_WAITING_PER_WORKSPACE_MAX = 4 components of this workspace wait to be \
                 compiled; try again in a while"
                    .to_owned()
            )
        );
        let single = turns.begin(RIVAL);
        assert!(single.is_ok_and(|install| install.of_workspace == 1));
        // One that is over makes room for the next.
        flood.pop();
        assert!(
            turns
                .begin(ACME)
                .is_ok_and(|install| install.of_workspace == 4)
        );
    }

    #[test]
    fn all_workspaces_together_have_an_end_too() {
        let turns = Turns::new();
        let all: Vec<_> = (0..1_000)
            .filter_map(|tenant| turns.begin(TenantId::from_bits(tenant)).ok())
            .collect();
        assert_eq!(all.len(), INSTALLS_WAITING_MAX);
    }

    #[test]
    fn a_single_install_has_its_turn_after_one_of_a_flood() {
        let turns = Turns::new();
        let compiling = turns.turn(ACME).now_or_never();
        assert!(compiling.is_some());
        let mut flood: Vec<_> = (0..3).map(|_| Box::pin(turns.turn(ACME))).collect();
        for waiting in &mut flood {
            assert!(waiting.now_or_never().is_none());
        }
        let mut single = Box::pin(turns.turn(RIVAL));
        assert!((&mut single).now_or_never().is_none());
        drop(compiling);
        let first = flood.iter_mut().find_map(|waiting| waiting.now_or_never());
        assert!(first.is_some(), "who came first is next");
        assert!((&mut single).now_or_never().is_none());
        drop(first);
        assert!((&mut single).now_or_never().is_some());
    }
}
