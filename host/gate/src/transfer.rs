//! Parts of bodies, on their way between a worker and the host call that they
//! belong to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keyway_ipc::{PART_BYTES, RequestId};
use keyway_model::limit::STREAM_WINDOW_BYTES;
use tokio::sync::{Semaphore, mpsc};

use crate::http::BodyPart;
use crate::lane::Event;

/// What reaches an HTTP host call while it runs.
#[derive(Debug)]
pub(crate) struct Transfer {
    body: mpsc::UnboundedSender<BodyPart>,
    credit: Arc<Semaphore>,
    window: Arc<Window>,
    /// Whether the body has come to its end.
    is_over: bool,
}

/// A worker sent more of a body than it was let: it does not keep the protocol,
/// as no worker does that is still itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BeyondWindow;

/// What a worker may still send of one request body.
#[derive(Debug)]
pub(crate) struct Window(AtomicU64);

impl Window {
    fn new() -> Self {
        Self(AtomicU64::new(STREAM_WINDOW_BYTES.into()))
    }

    /// Takes what one part of so many bytes costs.
    fn take(&self, bytes: usize) -> Result<(), BeyondWindow> {
        let left = |window: u64| window.checked_sub((bytes + PART_BYTES) as u64);
        match self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(BeyondWindow),
        }
    }

    /// Gives back what a part of so many bytes took, and so many more, before the
    /// worker is told so; says how much that is.
    pub(crate) fn widen(&self, bytes: usize, more: Option<u32>) -> usize {
        let room = bytes + PART_BYTES + more.unwrap_or(0) as usize;
        self.0.fetch_add(room as u64, Ordering::Relaxed);
        room
    }
}

/// The host call's own ends of a [`Transfer`].
#[derive(Debug)]
pub(crate) struct TransferEnds {
    pub(crate) body: mpsc::UnboundedReceiver<BodyPart>,
    pub(crate) credit: Arc<Semaphore>,
    pub(crate) window: Arc<Window>,
}

impl Transfer {
    pub(crate) fn new() -> (Self, TransferEnds) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let credit = Arc::new(Semaphore::new(STREAM_WINDOW_BYTES as usize));
        let window = Arc::new(Window::new());
        let ends = TransferEnds {
            body: receiver,
            credit: Arc::clone(&credit),
            window: Arc::clone(&window),
        };
        (
            Self {
                body: sender,
                credit,
                window,
                is_over: false,
            },
            ends,
        )
    }
}

/// Hands a part of a body to the host call that it belongs to. What belongs
/// to none is dropped: the host call has ended.
pub(crate) fn forward(
    transfers: &mut HashMap<RequestId, Transfer>,
    event: Event,
) -> Result<(), BeyondWindow> {
    match event {
        Event::Body(request, Some(bytes)) => {
            if let Some(transfer) = transfers.get(&request) {
                // Each part costs memory, an empty one, too, which no worker sends.
                if bytes.is_empty() || transfer.is_over {
                    return Err(BeyondWindow);
                }
                transfer.window.take(bytes.len())?;
                transfer.send(BodyPart::Bytes(bytes));
            }
        }
        Event::Body(request, None) => end(transfers, request, BodyPart::End)?,
        Event::BodyAborted(request) => end(transfers, request, BodyPart::Aborted)?,
        Event::Credit(request, bytes) => {
            if let Some(transfer) = transfers.get(&request) {
                give(&transfer.credit, bytes);
            }
        }
        Event::Forget(request) => {
            if let Some(transfer) = transfers.get(&request) {
                transfer.credit.close();
            }
        }
        Event::Host(..) | Event::Done(..) => {}
    }
    Ok(())
}

/// Gives credit for so many bytes more. A worker that gives more than there is, has no
/// more for it.
pub(crate) fn give(credit: &Semaphore, bytes: u32) {
    let room = Semaphore::MAX_PERMITS - credit.available_permits();
    credit.add_permits((bytes as usize).min(room));
}

impl Transfer {
    fn send(&self, part: BodyPart) {
        // A host call that has stopped reading its body needs no more of it.
        drop(self.body.send(part));
    }
}

/// A body ends once.
fn end(
    transfers: &mut HashMap<RequestId, Transfer>,
    request: RequestId,
    part: BodyPart,
) -> Result<(), BeyondWindow> {
    if let Some(transfer) = transfers.get_mut(&request) {
        if std::mem::replace(&mut transfer.is_over, true) {
            return Err(BeyondWindow);
        }
        transfer.send(part);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST_PART: usize = STREAM_WINDOW_BYTES as usize - PART_BYTES;

    #[test]
    fn a_worker_may_send_a_window_and_then_as_much_as_was_taken() {
        let window = Window::new();
        assert_eq!(window.take(LARGEST_PART), Ok(()));
        assert_eq!(window.take(1), Err(BeyondWindow));
        assert_eq!(window.widen(10, None), 10 + PART_BYTES);
        assert_eq!(window.take(11), Err(BeyondWindow));
        assert_eq!(window.take(10), Ok(()));
    }

    #[test]
    fn a_window_of_single_bytes_is_a_few_thousand_parts() {
        let window = Window::new();
        let parts = (0..=STREAM_WINDOW_BYTES).take_while(|_| window.take(1).is_ok());
        assert_eq!(
            parts.count(),
            STREAM_WINDOW_BYTES as usize / (1 + PART_BYTES)
        );
    }

    #[test]
    fn empty_parts_and_parts_behind_the_end_are_not_handed_on() {
        let (transfer, _ends) = Transfer::new();
        let mut transfers = HashMap::from([(RequestId(1), transfer)]);
        let body = |bytes| Event::Body(RequestId(1), Some(bytes));
        let empty = body(bytes::Bytes::new());
        assert_eq!(forward(&mut transfers, empty), Err(BeyondWindow));
        let piece = bytes::Bytes::from_static(b"piece");
        assert_eq!(forward(&mut transfers, body(piece.clone())), Ok(()));
        let end = || Event::Body(RequestId(1), None);
        assert_eq!(forward(&mut transfers, end()), Ok(()));
        assert_eq!(forward(&mut transfers, body(piece)), Err(BeyondWindow));
        assert_eq!(forward(&mut transfers, end()), Err(BeyondWindow));
        let aborted = Event::BodyAborted(RequestId(1));
        assert_eq!(forward(&mut transfers, aborted), Err(BeyondWindow));
    }

    #[test]
    fn more_than_the_window_is_not_handed_on() {
        let (transfer, mut ends) = Transfer::new();
        let mut transfers = HashMap::from([(RequestId(1), transfer)]);
        let piece = bytes::Bytes::from(vec![0; LARGEST_PART]);
        let body = |bytes| Event::Body(RequestId(1), Some(bytes));
        assert_eq!(forward(&mut transfers, body(piece.clone())), Ok(()));
        assert_eq!(forward(&mut transfers, body(piece)), Err(BeyondWindow));
        assert!(ends.body.try_recv().is_ok());
        assert!(ends.body.try_recv().is_err());
    }
}
