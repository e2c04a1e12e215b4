//! The way of answers to those who wait.
//!
//! To wake a task from another thread is a system call, so the answers of one
//! transaction go over in one piece, and are handed out there.

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::Answer;

/// An answer, and who waits for it.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) waiter: Option<oneshot::Sender<Answer>>,
    pub(super) answer: Answer,
}

impl Answered {
    fn tell(self) {
        let unheard = match self.waiter {
            Some(waiter) => waiter.send(self.answer).err(),
            None => Some(self.answer),
        };
        if let Some(Err(refused)) = unheard {
            tracing::error!(error = %refused.error, writes = refused.writes.len(), "a group nobody waits for was refused");
        }
    }
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct Answers(mpsc::UnboundedSender<Vec<Answered>>);

impl Answers {
    /// To tasks of `runtime`.
    pub(super) fn to(runtime: &Handle) -> Self {
        let (sender, mut arriving) = mpsc::unbounded_channel::<Vec<Answered>>();
        drop(runtime.spawn(async move {
            while let Some(answers) = arriving.recv().await {
                answers.into_iter().for_each(Answered::tell);
            }
        }));
        Self(sender)
    }

    /// Told by the writer's own thread.
    #[cfg(test)]
    pub(super) fn at_once() -> Self {
        Self(mpsc::unbounded_channel().0)
    }

    pub(super) fn send(&self, answers: Vec<Answered>) {
        // Without its runtime, nobody waits there; the log is told all the same.
        if let Err(mpsc::error::SendError(answers)) = self.0.send(answers) {
            answers.into_iter().for_each(Answered::tell);
        }
    }
}
