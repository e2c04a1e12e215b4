//! Bodies that are too long for one frame: streamed, with a window, so that a
//! slow reader slows the writer and nothing piles up in the broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use keyway_egress::EgressError;
use keyway_ipc::{PART_BYTES, RequestId, ToWorker};
use keyway_model::limit::{CallLimits, FRAME_BODY_BYTES_MAX};
use tokio::sync::mpsc;

use crate::deliver::Delivery;
use crate::flow::Flow;
use crate::http::BodyPart;
use crate::lane::Line;
use crate::mask::ReplyStream;
use crate::over::{Over, Traffic};
use crate::transfer::{Window, give};

/// Why a request body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The guest gave it up.
    #[error("the guest gave the request body up")]
    Aborted,
    /// Over a limit.
    #[error(transparent)]
    Over(#[from] Over),
}

/// What the bodies of one guest call are counted against.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    pub(crate) limits: CallLimits,
    pub(crate) traffic: Arc<Traffic>,
    /// Bytes of one body that egress has taken.
    pub(crate) left: Arc<AtomicU64>,
}

/// Lets the worker send more of one request body.
#[derive(Clone, Debug)]
pub(crate) struct Credit {
    pub(crate) line: Line,
    pub(crate) request: RequestId,
    pub(crate) window: Arc<Window>,
}

impl Credit {
    /// Gives back what a part of so many bytes took, and so many more if the window is
    /// to be wider.
    async fn give(&self, bytes: usize, more: Option<u32>) {
        let bytes = self.window.widen(bytes, more);
        self.line
            .send(ToWorker::Credit {
                call: self.line.call,
                request: self.request,
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            })
            .await;
    }
}

/// A guest's request body, as its parts arrive.
pub(crate) fn request(
    first: Bytes,
    rest: mpsc::UnboundedReceiver<BodyPart>,
    allowance: Allowance,
    credit: Credit,
    flow: Flow,
) -> UnsyncBoxBody<Bytes, keyway_egress::BodyError> {
    let start = (Some(BodyPart::Bytes(first)), rest, 0_u64, credit, flow);
    let parts = futures_util::stream::unfold(start, move |state| {
        let (ready, mut rest, so_far, credit, mut flow) = state;
        let Allowance {
            limits,
            traffic,
            left,
        } = allowance.clone();
        async move {
            let part = match ready {
                Some(part) => Some(part),
                None => {
                    let part = rest.recv().await;
                    // What egress takes makes room for as much.
                    if let Some(BodyPart::Bytes(bytes)) = &part {
                        credit.give(bytes.len(), flow.passed(bytes.len())).await;
                    }
                    part
                }
            };
            match part {
                Some(BodyPart::End) => None,
                Some(BodyPart::Bytes(bytes)) => {
                    let so_far = so_far + bytes.len() as u64;
                    let counted = traffic.sent(bytes.len(), so_far, &limits);
                    let item = match counted {
                        Ok(()) => {
                            left.store(so_far, Ordering::Relaxed);
                            Ok(Frame::data(bytes))
                        }
                        Err(over) => Err(failed(over.into())),
                    };
                    Some((item, (None, rest, so_far, credit, flow)))
                }
                Some(BodyPart::Aborted) | None => Some((
                    Err(failed(BodyError::Aborted)),
                    (None, rest, so_far, credit, flow),
                )),
            }
        }
    });
    StreamBody::new(parts).boxed_unsync()
}

fn failed(error: BodyError) -> keyway_egress::BodyError {
    Box::new(error)
}

/// How a streamed reply ended.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) bytes_in: u64,
    pub(crate) failed: Option<Broken>,
}

/// Why a reply is not given to the guest, or not to its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It did not come.
    Egress(EgressError),
    /// It is over a limit.
    Over(Over),
}

impl Broken {
    /// For operators.
    pub(crate) fn operator_text(&self) -> String {
        match self {
            Self::Egress(error) => error.operator_text(),
            Self::Over(over) => over.to_string(),
        }
    }
}

/// Streams the rest of a reply to the guest, searched, within its window. A
/// guest that wants no more of it ends the stream. One whose window is wide ends when no
/// more of it is unread than a narrow one lets be: then another may have it.
pub(crate) async fn stream(
    to: &Delivery<'_>,
    mut flow: Flow,
    first: Vec<u8>,
    body: &mut (impl Body<Data = Bytes, Error = EgressError> + Unpin),
    searched: &mut ReplyStream<'_>,
    count: impl FnMut(usize) -> Result<(), Over>,
) -> Streamed {
    let streamed = all_of(to, &mut flow, first, body, searched, count).await;
    flow.end(to.credit).await;
    streamed
}

async fn all_of(
    to: &Delivery<'_>,
    flow: &mut Flow,
    first: Vec<u8>,
    body: &mut (impl Body<Data = Bytes, Error = EgressError> + Unpin),
    searched: &mut ReplyStream<'_>,
    mut count: impl FnMut(usize) -> Result<(), Over>,
) -> Streamed {
    let mut streamed = Streamed {
        bytes_in: 0,
        failed: None,
    };
    if pass(to, flow, first).await.is_err() {
        return streamed;
    }
    loop {
        let (clean, ended) = match body.frame().await {
            None => (searched.finish(), true),
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                streamed.bytes_in += data.len() as u64;
                if let Err(over) = count(data.len()) {
                    streamed.failed = Some(Broken::Over(over));
                    return streamed;
                }
                (searched.push(&data), false)
            }
            Some(Err(error)) => {
                streamed.failed = Some(Broken::Egress(error));
                return streamed;
            }
        };
        if pass(to, flow, clean).await.is_err() || ended {
            return streamed;
        }
    }
}

/// The guest wants no more.
struct Unwanted;

async fn pass(to: &Delivery<'_>, flow: &mut Flow, bytes: Vec<u8>) -> Result<(), Unwanted> {
    let mut rest = Bytes::from(bytes);
    while !rest.is_empty() {
        // So that a window has room for as many as go into it.
        let part = rest.split_to(rest.len().min(FRAME_BODY_BYTES_MAX - PART_BYTES));
        let length = part.len();
        let cost = u32::try_from(length + PART_BYTES).unwrap_or(u32::MAX);
        to.credit
            .acquire_many(cost)
            .await
            .map_err(|_| Unwanted)?
            .forget();
        to.line.chunk(to.request, part).await;
        if let Some(more) = flow.passed(length) {
            give(to.credit, more);
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::HashMap;
    use std::pin::pin;
    use std::sync::OnceLock;

    use futures_util::future::BoxFuture;
    use futures_util::{FutureExt, poll};
    use http_body_util::Full;
    use keyway_ipc::{CallId, Entrance, Invoke, Link, ToBroker};
    use keyway_model::limit::{STREAM_WIDE_WINDOW_BYTES, STREAM_WINDOW_BYTES};
    use keyway_model::{Digest, TenantId};

    use super::*;
    use crate::flow::WideWindows;
    use crate::lane::{Event, Lane, LaneSetup, RunningCall};
    use crate::transfer::{BeyondWindow, Transfer, TransferEnds, forward};

    /// The largest piece of a reply, and what it costs.
    const LARGEST: usize = FRAME_BODY_BYTES_MAX - PART_BYTES;
    const COST: usize = FRAME_BODY_BYTES_MAX;

    fn invoke() -> Invoke {
        Invoke {
            call: CallId(0),
            group: 0,
            artifact: Digest::of(b"component"),
            entrance: Entrance::Check,
            limits: CallLimits::default(),
            memory_bytes_per_workspace_max: 1 << 30,
            reserved_headers: Vec::new(),
            parameters: None,
        }
    }

    /// A call with one request of which bodies may stream.
    struct Started {
        worker: Link<ToBroker, ToWorker>,
        line: Line,
        transfer: Transfer,
        ends: TransferEnds,
        running: RunningCall,
        reader: BoxFuture<'static, ()>,
    }

    async fn started() -> Started {
        let (broker, mut worker) = keyway_ipc::in_process();
        let (lane, reader) = Lane::over(broker, LaneSetup::default());
        let running = lane.start(invoke()).await.unwrap();
        assert_eq!(come(&mut worker, 1).await, 0, "the call itself");
        let (transfer, ends) = Transfer::new();
        Started {
            worker,
            line: running.line(),
            transfer,
            ends,
            running,
            reader: reader.boxed(),
        }
    }

    fn to<'a>(line: &'a Line, ends: &'a TransferEnds) -> Delivery<'a> {
        Delivery {
            line,
            request: RequestId(1),
            credit: &ends.credit,
        }
    }

    /// Bytes of the body that have come, in pieces of a frame.
    async fn come(worker: &mut Link<ToBroker, ToWorker>, pieces: usize) -> usize {
        let mut come = 0;
        for _ in 0..pieces {
            let incoming = worker.receiver.receive().await.unwrap().unwrap();
            if let ToWorker::Chunk { bytes, .. } = incoming.message {
                come += bytes.len();
            }
        }
        come
    }

    #[tokio::test]
    async fn of_a_body_that_a_guest_does_not_read_a_window_goes_out_and_the_rest_waits() {
        let Started {
            worker, line, ends, ..
        } = &mut started().await;
        let to = to(line, ends);
        let window = STREAM_WINDOW_BYTES as usize;
        let mut flow = Flow::of(&WideWindows::default(), TenantId::random());
        let content = window / COST * LARGEST;
        let mut passing = pin!(pass(&to, &mut flow, vec![7; content + 10]));
        assert!(poll!(passing.as_mut()).is_pending());
        assert_eq!(come(worker, window / COST).await, content);
        // Not before there is room for all of the next piece.
        ends.credit.add_permits(9 + PART_BYTES);
        assert!(poll!(passing.as_mut()).is_pending());
        ends.credit.add_permits(1);
        assert!(poll!(passing).is_ready());
        assert_eq!(come(worker, 1).await, 10);
    }

    #[tokio::test]
    async fn a_body_that_flows_has_a_wide_window_and_ends_when_a_narrow_one_holds_the_rest() {
        let Started {
            worker, line, ends, ..
        } = &mut started().await;
        let to = to(line, ends);
        let [narrow, wide] = [STREAM_WINDOW_BYTES, STREAM_WIDE_WINDOW_BYTES];
        let [narrow, wide] = [narrow, wide].map(|bytes| bytes as usize);
        let flow = Flow::of(&WideWindows::default(), TenantId::random());
        // The guest takes more than a window of it, and then nothing more.
        let (read, pieces) = (narrow + COST, (narrow + COST + wide) / COST);
        let content = Bytes::from(vec![7; pieces * LARGEST + 1]);
        let mut body = Full::new(content).map_err(|never| match never {});
        let (mask, first) = (OnceLock::new(), Vec::new());
        let mut searched = ReplyStream::under(&mask);
        let stream = stream(&to, flow, first, &mut body, &mut searched, |_| Ok(()));
        let mut stream = pin!(stream);
        assert!(poll!(stream.as_mut()).is_pending());
        let before = narrow / COST;
        assert_eq!(come(worker, before).await, before * LARGEST);
        ends.credit.add_permits(read);
        assert!(poll!(stream.as_mut()).is_pending());
        let behind = pieces - before;
        assert_eq!(come(worker, behind).await, behind * LARGEST);
        let last = 1 + PART_BYTES;
        ends.credit.add_permits(last);
        assert!(poll!(stream.as_mut()).is_pending());
        assert_eq!(come(worker, 1).await, 1);
        // All of it has come, and there is as much unread as a wide window lets be.
        ends.credit.add_permits(wide - narrow - 1);
        assert!(poll!(stream.as_mut()).is_pending());
        ends.credit.add_permits(1);
        assert!(poll!(stream).is_ready());
    }

    #[tokio::test]
    async fn an_upload_that_flows_may_have_a_wide_window_under_way() {
        let Started {
            mut worker,
            line,
            transfer,
            ends,
            running: _running,
            reader: _reader,
        } = started().await;
        let mut transfers = HashMap::from([(RequestId(1), transfer)]);
        let allowance = Allowance {
            limits: CallLimits::default(),
            traffic: Arc::default(),
            left: Arc::default(),
        };
        let credit = Credit {
            line,
            request: RequestId(1),
            window: ends.window,
        };
        let flow = Flow::of(&WideWindows::default(), TenantId::random());
        let mut body = request(Bytes::new(), ends.body, allowance, credit, flow);
        // What the worker may still send.
        let mut window = STREAM_WINDOW_BYTES as usize;
        let cost = FRAME_BODY_BYTES_MAX + PART_BYTES;
        let mut send = |window: &mut usize, bytes: usize| {
            let part = Event::Body(RequestId(1), Some(vec![7; bytes].into()));
            *window = window.saturating_sub(bytes + PART_BYTES);
            forward(&mut transfers, part)
        };
        body.frame().await.unwrap().unwrap();
        for _ in 0..2 * STREAM_WINDOW_BYTES as usize / FRAME_BODY_BYTES_MAX {
            assert_eq!(send(&mut window, FRAME_BODY_BYTES_MAX), Ok(()));
            body.frame().await.unwrap().unwrap();
            let incoming = worker.receiver.receive().await.unwrap().unwrap();
            if let ToWorker::Credit { bytes, .. } = incoming.message {
                window += bytes as usize;
            }
        }
        assert_eq!(window, STREAM_WIDE_WINDOW_BYTES as usize);
        while window > cost {
            assert_eq!(send(&mut window, FRAME_BODY_BYTES_MAX), Ok(()));
        }
        let rest = window - PART_BYTES;
        assert_eq!(send(&mut window, rest), Ok(()));
        assert_eq!(send(&mut window, 1), Err(BeyondWindow));
    }
}
