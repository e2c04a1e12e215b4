//! Long reads: pages of jobs and of the audit log, one job with its steps, exports.
//!
//! Each needs a place, which it holds until its answer was sent: what was read is
//! in memory until then. Workspaces take turns for them. What takes a processor
//! for longer than a moment is done aside, or all else that this node does waits.

use std::time::Duration;

use keyway_fair::{Admission, Place, Wish};
use keyway_gate::ControlError;
use keyway_model::TenantId;
use keyway_model::limit::{READ_WAIT_MS_MAX, READS_MAX, READS_PER_WORKSPACE_MAX};

use super::{Allowed, Deployment};

/// Places for long reads.
#[derive(Debug)]
pub(super) struct Reads(Admission<()>);

/// What was read, and the place that it takes.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub(crate) struct Read<T> {
    pub(crate) value: T,
    pub(crate) place: Place<()>,
}

impl Reads {
    pub(super) fn new() -> Self {
        Self(Admission::of(READS_MAX))
    }

    /// A place, when it is the workspace's turn; what to tell if that takes too long.
    async fn in_time(&self, tenant: TenantId) -> Result<Place<()>, String> {
        let patience = Duration::from_millis(READ_WAIT_MS_MAX);
        let place = tokio::time::timeout(patience, self.enter(tenant)).await;
        place.map_err(|_| {
            format!(
                "long answers of this workspace are still being sent: `READS_PER_WORKSPACE_MAX` ({READS_PER_WORKSPACE_MAX}) of them, and `READS_MAX` ({READS_MAX}) of all, may be at once; read them, or try again"
            )
        })
    }

    /// A place, when it is the workspace's turn.
    async fn enter(&self, tenant: TenantId) -> Place<()> {
        let wish = Wish {
            tenant,
            tenant_max: READS_PER_WORKSPACE_MAX,
            line: (),
            line_max: usize::MAX,
        };
        self.0.enter(wish).await
    }
}

impl Deployment {
    /// A place for a long read of the workspace of this call.
    pub(super) async fn read_place(
        &self,
        allowed: Allowed,
    ) -> Result<(Allowed, Place<()>), ControlError> {
        match self.reads.in_time(allowed.scope.tenant).await {
            Ok(place) => Ok((allowed, place)),
            Err(told) => Err(allowed.call.over(told).await),
        }
    }
}

/// Does what takes long beside the thread that serves all others.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ControlError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ControlError::Internal(format!("a read broke off: {error}")))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Instant;

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_workspace_that_reads_much_waits_and_another_does_not() {
        let reads = Reads::new();
        let enter = |tenant| reads.enter(TenantId::from_bits(tenant));
        let held: Vec<_> = (0..READS_PER_WORKSPACE_MAX)
            .map(|_| enter(1).now_or_never().unwrap())
            .collect();
        let mut further = Box::pin(enter(1));
        assert!(further.as_mut().now_or_never().is_none());
        assert!(enter(2).now_or_never().is_some());
        drop(held);
        assert!(further.now_or_never().is_some());
    }

    #[test]
    fn all_workspaces_together_have_so_many_long_reads_at_once() {
        let reads = Reads::new();
        let enter = |tenant: usize| reads.enter(TenantId::from_bits(tenant as u128));
        let mut held: Vec<_> = (0..READS_MAX)
            .map(|tenant| enter(tenant).now_or_never().unwrap())
            .collect();
        let mut further = Box::pin(enter(READS_MAX));
        assert!(further.as_mut().now_or_never().is_none());
        held.pop();
        assert!(further.now_or_never().is_some());
    }

    #[tokio::test]
    async fn whoever_waits_too_long_for_a_place_is_told_of_the_limits() {
        let reads = Reads::new();
        let tenant = TenantId::from_bits(1);
        let _held: Vec<_> = (0..READS_PER_WORKSPACE_MAX)
            .map(|_| reads.enter(tenant).now_or_never().unwrap())
            .collect();
        let begun = Instant::now();
        let told = reads.in_time(tenant).await.unwrap_err();
        assert!(begun.elapsed() >= Duration::from_millis(READ_WAIT_MS_MAX));
        assert!(told.contains("`READS_PER_WORKSPACE_MAX`"), "{told}");
        assert!(reads.in_time(TenantId::from_bits(2)).await.is_ok());
    }
}
