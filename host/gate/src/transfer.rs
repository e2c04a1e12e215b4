//! Parts of bodies, on their way between a worker and the host call that they
//! belong to.

use std::collections::HashMap;
use std::sync::Arc;

use keyway_ipc::RequestId;
use tokio::sync::{Semaphore, mpsc};

use crate::http::BodyPart;
use crate::lane::Event;

/// What reaches an HTTP host call while it runs.
#[derive(Debug)]
pub(crate) struct Transfer {
    body: mpsc::UnboundedSender<BodyPart>,
    credit: Arc<Semaphore>,
}

/// The host call's own ends of a [`Transfer`].
#[derive(Debug)]
pub(crate) struct TransferEnds {
    pub(crate) body: mpsc::UnboundedReceiver<BodyPart>,
    pub(crate) credit: Arc<Semaphore>,
}

impl Transfer {
    pub(crate) fn new() -> (Self, TransferEnds) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let credit = Arc::new(Semaphore::new(
            keyway_model::limit::STREAM_WINDOW_BYTES as usize,
        ));
        let ends = TransferEnds {
            body: receiver,
            credit: Arc::clone(&credit),
        };
        (
            Self {
                body: sender,
                credit,
            },
            ends,
        )
    }
}

/// Hands a part of a body to the host call that it belongs to. What belongs
/// to none is dropped: the host call has ended.
pub(crate) fn forward(transfers: &mut HashMap<RequestId, Transfer>, event: Event) {
    match event {
        Event::Body(request, Some(bytes)) => send_part(transfers, request, BodyPart::Bytes(bytes)),
        Event::Body(request, None) => send_part(transfers, request, BodyPart::End),
        Event::BodyAborted(request) => send_part(transfers, request, BodyPart::Aborted),
        Event::Credit(request, bytes) => {
            if let Some(transfer) = transfers.get(&request) {
                let room = Semaphore::MAX_PERMITS - transfer.credit.available_permits();
                transfer.credit.add_permits((bytes as usize).min(room));
            }
        }
        Event::Forget(request) => {
            if let Some(transfer) = transfers.get(&request) {
                transfer.credit.close();
            }
        }
        Event::Host(..) | Event::Done(..) => {}
    }
}

fn send_part(transfers: &HashMap<RequestId, Transfer>, request: RequestId, part: BodyPart) {
    if let Some(transfer) = transfers.get(&request) {
        // A host call that has stopped reading its body needs no more of it.
        drop(transfer.body.send(part));
    }
}
