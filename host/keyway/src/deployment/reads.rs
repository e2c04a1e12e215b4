//! Long reads: pages of jobs and of the audit log, one job with its steps, exports.
//!
//! Each needs a place, which it holds until its answer was sent: what was read is
//! in memory until then. Workspaces take turns for them. What takes a processor
//! for longer than a moment is done aside, or all else that this node does waits.

use keyway_fair::{Admission, Place, Wish};
use keyway_gate::ControlError;
use keyway_model::TenantId;
use keyway_model::limit::{READS_MAX, READS_PER_WORKSPACE_MAX};

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

    /// A place, when it is the workspace's turn.
    pub(super) async fn enter(&self, tenant: TenantId) -> Place<()> {
        let wish = Wish {
            tenant,
            tenant_max: READS_PER_WORKSPACE_MAX,
            line: (),
            line_max: usize::MAX,
        };
        self.0.enter(wish).await
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
}
