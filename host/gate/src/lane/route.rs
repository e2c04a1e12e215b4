//! What a worker says, on its way to whoever waits for it: read, bounded, handed on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use keyway_ipc::{CallId, Receiver, Standing, ToBroker};
use keyway_model::limit::{CALL_EVENTS_MAX, LANE_EVENT_BYTES_MAX};

use super::{Event, Lane, Readiness};

/// What a report of a worker's standing takes, about.
const STANDING_BYTES: usize = 1 << 10;

/// What becomes of a worker's word that a call has ended.
enum End {
    /// Whoever waits for the call hears of it: once.
    News,
    /// The call was cancelled, and nobody waits for it.
    Awaited,
    /// There is no such call, or it had ended.
    Stray,
}

impl Lane {
    pub(super) async fn read(self: Arc<Self>, mut receiver: Receiver<ToBroker>) {
        while let Ok(Some(incoming)) = receiver.receive().await {
            self.route(incoming.message);
            // A worker that never stops talking does not keep others from going on.
            tokio::task::coop::consume_budget().await;
        }
        self.open.store(false, Ordering::Release);
        let left = self.present();
        self.tell_loss(&left);
        *self.left.lock() = left;
        // From here on those who wait for the calls know.
        self.calls.lock().clear();
        self.ending.lock().clear();
        self.ready.send_if_modified(|state| {
            // A worker that has to be killed stays so.
            let is_news = *state != Readiness::Wedged;
            if is_news {
                *state = Readiness::Gone;
            }
            is_news
        });
        self.is_over.send_replace(true);
    }

    /// Notes that a call has ended. Whoever drops it looks under the same lock, so
    /// an end is never missed.
    fn note_end(&self, call: CallId) -> End {
        let mut calls = self.calls.lock();
        let ending = self.ending.lock().remove(&call);
        let (end, component) = match (calls.get_mut(&call), ending) {
            (Some(queue), _) if !queue.is_over => {
                queue.is_over = true;
                (End::News, queue.artifact)
            }
            (None, Some(component)) => (End::Awaited, component),
            (Some(_), _) | (None, None) => return End::Stray,
        };
        self.ran.lock().note(component, Instant::now());
        end
    }

    /// What the worker says of itself counts once, before its first call: after
    /// that, a guest may speak through it.
    fn stand(&self, standing: Standing) {
        let is_first = self.ready.send_if_modified(|state| {
            let is_first = *state == Readiness::Starting;
            if is_first {
                *state = Readiness::Ready(Arc::new(standing));
            }
            is_first
        });
        if !is_first {
            self.note_stray(STANDING_BYTES);
        }
    }

    fn route(&self, message: ToBroker) {
        match message {
            ToBroker::Ready(standing) => self.stand(standing),
            ToBroker::Loaded { artifact, failed } => self.note_loaded(artifact, failed),
            ToBroker::Host {
                call,
                request,
                host_call,
            } => self.post(call, Event::Host(request, host_call)),
            ToBroker::Chunk {
                call,
                request,
                bytes,
            } => self.post(call, Event::Body(request, Some(bytes))),
            ToBroker::ChunkEnd {
                call,
                request,
                complete: true,
            } => self.post(call, Event::Body(request, None)),
            ToBroker::ChunkEnd {
                call,
                request,
                complete: false,
            } => {
                self.post(call, Event::BodyAborted(request));
            }
            ToBroker::Credit {
                call,
                request,
                bytes,
            } => self.post(call, Event::Credit(request, bytes)),
            ToBroker::Forget { call, request } => self.post(call, Event::Forget(request)),
            ToBroker::Done {
                call,
                outcome,
                usage,
            } => {
                let done = Event::Done(outcome, usage);
                match self.note_end(call) {
                    End::News => self.post(call, done),
                    End::Awaited => {}
                    End::Stray => self.note_stray(done.bytes()),
                }
            }
        }
    }

    /// Hands an event to the task that waits for its call. An event of a call
    /// that nobody waits for is dropped; a call with too many loses its queue,
    /// which ends it.
    pub(super) fn post(&self, call: CallId, event: Event) {
        let mut calls = self.calls.lock();
        let Some(queue) = calls.get(&call) else {
            // One that has to end within its grace may go on until then.
            let is_ending = self.ending.lock().contains_key(&call);
            drop(calls);
            if !is_ending {
                self.note_stray(event.bytes());
            }
            return;
        };
        let waiting = queue.said.waiting.fetch_add(1, Ordering::Relaxed);
        let bytes = event.bytes();
        let waiting_bytes = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting_bytes + bytes > LANE_EVENT_BYTES_MAX || event.is_swollen() {
            drop(calls);
            tracing::error!("a worker does not keep the protocol: it says more than it was let");
            self.give_up();
        } else if waiting >= CALL_EVENTS_MAX || queue.events.send(event).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            if !queue.is_over {
                self.ending.lock().insert(call, queue.artifact);
            }
            calls.remove(&call);
        }
    }

    /// Counts what belongs to no call: a worker that says too much of it is given up.
    fn note_stray(&self, bytes: usize) {
        let are_too_many = self.strays.lock().count(bytes, Instant::now());
        if are_too_many && self.is_open() {
            tracing::error!("a worker does not keep the protocol: it talks of calls that are not");
            self.give_up();
        }
    }
}
