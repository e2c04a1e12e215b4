//! Wide windows for bodies that flow.
//!
//! The window of a body bounds what a guest can make the host hold of it. There may be
//! thousands of bodies, so it is narrow, and one that flows as fast as its processes can
//! waits for it at every turn. A few have a wide one, therefore: such as came in long
//! pieces, and of which a whole window has been taken already. A workspace has at most as
//! many as are free, what they hold together is bounded, and who comes when there is none
//! goes on with a narrow one.

use keyway_fair::{Admission, Place, Wish};
use keyway_model::TenantId;
use keyway_model::limit::{STREAM_WIDE_WINDOW_BYTES, STREAM_WINDOW_BYTES, WIDE_WINDOWS_MAX};
use tokio::sync::Semaphore;

/// What a wide window has beyond a narrow one.
const MORE_BYTES: u32 = STREAM_WIDE_WINDOW_BYTES - STREAM_WINDOW_BYTES;

/// How much has gone through before a window is widened: so that what may be unread is
/// less by a window.
const FLOWED_BYTES: u64 = 2 * STREAM_WINDOW_BYTES as u64;

/// The average piece of a body that gets a wide window is at least so long: each costs
/// whoever keeps it more than its bytes.
const LONG_PIECE_BYTES: u64 = 16 << 10;

/// The wide windows of all bodies.
#[derive(Clone, Debug)]
pub(crate) struct WideWindows(Admission<()>);

impl Default for WideWindows {
    fn default() -> Self {
        Self(Admission::of(WIDE_WINDOWS_MAX))
    }
}

/// How one body flows, and the wide window that it has for it.
#[derive(Debug)]
pub(crate) struct Flow {
    windows: WideWindows,
    tenant: TenantId,
    bytes: u64,
    pieces: u64,
    wide: Option<Place<()>>,
}

impl Flow {
    /// A body of this workspace that begins, with a narrow window.
    pub(crate) fn of(windows: &WideWindows, tenant: TenantId) -> Self {
        Self {
            windows: windows.clone(),
            tenant,
            bytes: 0,
            pieces: 0,
            wide: None,
        }
    }

    /// Counts a piece that went through; says by how much the window is wider from now
    /// on, which it becomes once.
    pub(crate) fn passed(&mut self, bytes: usize) -> Option<u32> {
        self.bytes += bytes as u64;
        self.pieces += 1;
        let flows = self.bytes >= FLOWED_BYTES && self.bytes >= self.pieces * LONG_PIECE_BYTES;
        if self.is_wide() || !flows {
            return None;
        }
        self.wide = self.windows.0.enter_now(Wish {
            tenant: self.tenant,
            tenant_max: usize::MAX,
            line: (),
            line_max: usize::MAX,
        });
        self.is_wide().then_some(MORE_BYTES)
    }

    const fn is_wide(&self) -> bool {
        self.wide.is_some()
    }

    /// Leaves a wide window to others, when no more is unread than a narrow one lets be.
    pub(crate) async fn end(self, credit: &Semaphore) {
        if self.is_wide() {
            // A guest that gave the body up has no more of it.
            drop(credit.acquire_many(MORE_BYTES).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: usize = 64 << 10;

    /// How many pieces of such a length go through before the window is wide.
    fn narrow_pieces(flow: &mut Flow, bytes: usize, most: usize) -> usize {
        (0..most)
            .take_while(|_| flow.passed(bytes).is_none())
            .count()
    }

    #[test]
    fn a_body_of_which_a_window_was_taken_gets_a_wide_one_once() {
        let mut flow = Flow::of(&WideWindows::default(), TenantId::random());
        let before = 2 * STREAM_WINDOW_BYTES as usize / PIECE - 1;
        assert_eq!(narrow_pieces(&mut flow, PIECE, 100), before);
        assert!(flow.is_wide());
        assert_eq!(flow.passed(PIECE), None);
    }

    #[test]
    fn a_body_in_short_pieces_keeps_its_narrow_window() {
        let mut flow = Flow::of(&WideWindows::default(), TenantId::random());
        assert_eq!(narrow_pieces(&mut flow, 16, 1 << 16), 1 << 16);
        assert!(!flow.is_wide());
    }

    /// A body of this workspace that has flowed for a while.
    fn flowing(windows: &WideWindows, tenant: TenantId) -> Flow {
        let mut flow = Flow::of(windows, tenant);
        narrow_pieces(&mut flow, PIECE, 100);
        flow
    }

    #[test]
    fn one_workspace_has_half_of_the_wide_windows_and_leaves_them_at_its_ends() {
        let windows = WideWindows::default();
        let busy = TenantId::random();
        let its = (0..WIDE_WINDOWS_MAX).map(|_| flowing(&windows, busy));
        let its: Vec<Flow> = its.collect();
        let wide = its.iter().filter(|flow| flow.is_wide()).count();
        assert_eq!(wide, WIDE_WINDOWS_MAX / 2);
        assert!(flowing(&windows, TenantId::random()).is_wide());
        drop(its);
        assert!(flowing(&windows, busy).is_wide());
    }

    #[test]
    fn when_all_wide_windows_are_held_a_body_that_flows_keeps_its_narrow_one() {
        let windows = WideWindows::default();
        let mut all: Vec<Flow> = (0..WIDE_WINDOWS_MAX)
            .map(|_| flowing(&windows, TenantId::random()))
            .collect();
        assert!(all.iter().all(Flow::is_wide));
        let mut late = flowing(&windows, TenantId::random());
        assert!(!late.is_wide());
        all.pop();
        assert_eq!(late.passed(PIECE), Some(MORE_BYTES));
    }

    #[tokio::test]
    async fn a_body_that_a_guest_gave_up_or_has_read_leaves_its_window_at_once() {
        let windows = WideWindows::default();
        let flow = || flowing(&windows, TenantId::random());
        let given_up = Semaphore::new(0);
        given_up.close();
        flow().end(&given_up).await;
        flow().end(&Semaphore::new(MORE_BYTES as usize)).await;
        // One whose window is narrow waits for nothing.
        let narrow = Flow::of(&windows, TenantId::random());
        narrow.end(&Semaphore::new(0)).await;
        assert_eq!(windows.0.counts(), (0, 0));
    }
}
