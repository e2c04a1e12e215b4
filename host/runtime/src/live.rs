//! One guest call while it lives: what its own task and its lane both hold.
//!
//! A call ends in one way only: [`LiveCall::end`] sets the verdict and wakes
//! whatever the guest waits for; the epoch callback ends a guest that
//! computes. The call's future is never dropped half-way.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every answer but a trap goes to whoever asked"
)]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use keyway_ipc::{CallId, HostCall, HostReply, LogLine, RequestId, Sender, ToBroker, Trap};
use keyway_model::limit::CallLimits;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ledger::Ledger;
use crate::log_book::LogBook;
use crate::mailbox::Mailbox;
use crate::memory::Share;
use crate::meter::Meter;

/// The error by which a host function ends the guest.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Ended(pub(crate) Trap);

/// A trap for a limit of [`CallLimits`].
pub(crate) fn over(name: &str, value: u64) -> Trap {
    Trap::Limit {
        name: name.to_owned(),
        value,
    }
}

pub(crate) struct LiveCall {
    id: CallId,
    pub(crate) limits: CallLimits,
    pub(crate) memory: Share,
    pub(crate) meter: Meter,
    pub(crate) log: Mutex<LogBook>,
    pub(crate) ledger: Ledger,
    broker: Sender<ToBroker>,
    mailboxes: Mutex<Vec<(RequestId, Arc<Mailbox>)>>,
    requests: AtomicU32,
    parameter_reads: AtomicU32,
    bodies_refused: AtomicU32,
    is_ended: AtomicBool,
    verdict: Mutex<Option<Trap>>,
    ending: Notify,
}

impl LiveCall {
    pub(crate) fn new(
        id: CallId,
        limits: CallLimits,
        memory: Share,
        broker: Sender<ToBroker>,
    ) -> Self {
        Self {
            id,
            limits,
            memory,
            meter: Meter::start(),
            log: Mutex::new(LogBook::new(&limits)),
            ledger: Ledger::default(),
            broker,
            mailboxes: Mutex::default(),
            requests: AtomicU32::new(0),
            parameter_reads: AtomicU32::new(0),
            bodies_refused: AtomicU32::new(0),
            is_ended: AtomicBool::new(false),
            verdict: Mutex::default(),
            ending: Notify::new(),
        }
    }

    /// Ends the call; the first verdict counts. The error makes a host
    /// function trap.
    pub(crate) fn end(&self, trap: Trap) -> wasmtime::Error {
        let verdict = self.verdict.lock().get_or_insert(trap).clone();
        self.is_ended.store(true, Ordering::Release);
        self.ending.notify_waiters();
        Ended(verdict).into()
    }

    /// Ends the call if it has lasted as long as it may.
    pub(crate) fn end_if_late(&self) {
        let limit_ms = self.limits.wall_ms_max;
        if self.meter.wall() >= Duration::from_millis(limit_ms) {
            drop(self.end(over("wall_ms_max", limit_ms)));
        }
    }

    /// Why the call was ended, if it was.
    pub(crate) fn verdict(&self) -> Option<Trap> {
        if self.is_ended.load(Ordering::Acquire) {
            self.verdict.lock().clone()
        } else {
            None
        }
    }

    /// Waits for `future`, unless the call is ended meanwhile.
    pub(crate) async fn wait<F: Future>(&self, future: F) -> wasmtime::Result<F::Output> {
        let mut ending = pin!(self.ending.notified());
        if let Some(verdict) = self.verdict() {
            return Err(Ended(verdict).into());
        }
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            ending
                .as_mut()
                .poll(cx)
                .map(|()| Err(self.end(Trap::Cancelled(String::new()))))
        })
        .await
    }

    /// Sends to the broker; waits while it is far behind.
    pub(crate) async fn say(&self, message: ToBroker) -> wasmtime::Result<()> {
        match self.wait(self.broker.send(message)).await? {
            Ok(()) => Ok(()),
            Err(_) => Err(self.end(Trap::Host("the broker is gone".to_owned()))),
        }
    }

    /// Sends to the broker from where nothing can wait. Only for what is
    /// bounded otherwise: by the broker's credit, or one for each host call.
    pub(crate) fn say_aside(&self, message: ToBroker) {
        // A closed link means that the broker is gone, and the call with it.
        self.broker.send_now(message).ok();
    }

    /// Sends a host call, behind the log lines that came before it.
    pub(crate) async fn say_host_call(
        &self,
        request: RequestId,
        host_call: HostCall,
    ) -> wasmtime::Result<()> {
        self.tell_log().await?;
        self.say(ToBroker::Host {
            call: self.id,
            request,
            host_call,
        })
        .await
    }

    /// Sends the log lines that have gathered.
    pub(crate) async fn tell_log(&self) -> wasmtime::Result<()> {
        // Counted before they are taken: if that ends the call, they are sent all the same.
        let uncounted = self.log.lock().take_uncounted();
        for _ in 0..uncounted {
            self.count()?;
        }
        loop {
            let Some(lines) = self.log.lock().take_unsent() else {
                return Ok(());
            };
            self.say(self.log_message(lines)).await?;
        }
    }

    /// Sends what is left of the log of a call that has ended, however it ended.
    pub(crate) async fn tell_rest_of_log(&self) {
        let uncounted = {
            let mut log = self.log.lock();
            log.finish_all();
            log.take_uncounted()
        };
        self.requests.fetch_add(uncounted, Ordering::Relaxed);
        loop {
            let Some(lines) = self.log.lock().take_unsent() else {
                return;
            };
            if self.broker.send(self.log_message(lines)).await.is_err() {
                return;
            }
        }
    }

    fn log_message(&self, lines: Vec<LogLine>) -> ToBroker {
        ToBroker::Host {
            call: self.id,
            request: RequestId(self.host_calls()),
            host_call: HostCall::Log(lines),
        }
    }

    /// Sends a host call and waits for its answer.
    pub(crate) async fn ask(&self, host_call: HostCall) -> wasmtime::Result<HostReply> {
        let (request, mailbox) = self.open()?;
        let reply = match self.say_host_call(request, host_call).await {
            Ok(()) => self.wait(poll_fn(|cx| mailbox.poll_reply(cx))).await,
            Err(ended) => Err(ended),
        };
        self.close(request);
        match reply? {
            HostReply::Trap(trap) => Err(self.end(trap)),
            reply => Ok(reply),
        }
    }

    /// The answer does not belong to the question: a defect of the host.
    pub(crate) fn misanswered(&self) -> wasmtime::Error {
        self.end(Trap::Host(
            "an answer does not belong to its host call".to_owned(),
        ))
    }

    /// Counts one host call.
    pub(crate) fn count(&self) -> wasmtime::Result<RequestId> {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        if request >= self.limits.host_calls_max {
            return Err(self.end(over("host_calls_max", self.limits.host_calls_max.into())));
        }
        Ok(RequestId(request))
    }

    /// Counts one read of a parameter, which is a host call, too.
    pub(crate) fn count_parameter(&self) -> wasmtime::Result<()> {
        self.count()?;
        self.parameter_reads.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How many parameters were read.
    pub(crate) fn parameter_reads(&self) -> u32 {
        self.parameter_reads.load(Ordering::Relaxed)
    }

    /// Counts one request body that is longer than it may be.
    pub(crate) fn refuse_body(&self) {
        self.bodies_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How many request bodies were.
    pub(crate) fn bodies_refused(&self) -> u32 {
        self.bodies_refused.load(Ordering::Relaxed)
    }

    /// How many host calls there were.
    pub(crate) fn host_calls(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Counts one host call and gives it a mailbox.
    pub(crate) fn open(&self) -> wasmtime::Result<(RequestId, Arc<Mailbox>)> {
        let request = self.count()?;
        let mailbox = Arc::new(Mailbox::default());
        self.mailboxes.lock().push((request, Arc::clone(&mailbox)));
        Ok((request, mailbox))
    }

    /// Forgets a mailbox; what still arrives for it is dropped.
    pub(crate) fn close(&self, request: RequestId) {
        self.mailboxes.lock().retain(|(open, _)| *open != request);
    }

    /// The mailbox of a host call that is not over.
    pub(crate) fn mailbox(&self, request: RequestId) -> Option<Arc<Mailbox>> {
        let mailboxes = self.mailboxes.lock();
        mailboxes
            .iter()
            .find(|(open, _)| *open == request)
            .map(|(_, mailbox)| Arc::clone(mailbox))
    }

    pub(crate) const fn id(&self) -> CallId {
        self.id
    }
}
