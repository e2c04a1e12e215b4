//! Components that a worker has: loaded when they are called, let go when there
//! is no room for the next.

use std::collections::hash_map::Entry;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use keyway_ipc::ToWorker;
use keyway_model::{Digest, TenantId};

use super::{Lane, WorkerGone};

/// Characters of a worker's reason why it cannot load code that are logged.
const LOAD_FAILURE_CHARS_MAX: usize = 300;

/// A lane whose worker has a component, and keeps it until this is dropped.
#[derive(Debug)]
#[must_use = "the worker may let the component go when this is dropped"]
pub struct Held {
    lane: Arc<Lane>,
    artifact: Digest,
}

impl Deref for Held {
    type Target = Arc<Lane>;

    fn deref(&self) -> &Arc<Lane> {
        &self.lane
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lane.shelf.lock().give_back(&self.artifact);
    }
}

impl Lane {
    /// Keeps the worker from letting a component go, if it has it.
    pub fn hold(self: &Arc<Self>, artifact: Digest) -> Option<Held> {
        let has = self.shelf.lock().take(&artifact);
        has.then(|| Held {
            lane: Arc::clone(self),
            artifact,
        })
    }

    /// Makes sure that the worker has a component, which counts for `owner` where
    /// it has to be loaded. `code` is asked for the sealed memory file with the
    /// compiled code, at most once.
    ///
    /// # Errors
    ///
    /// [`WorkerGone`], or the error of `code`.
    pub async fn load<E: From<WorkerGone>>(
        self: &Arc<Self>,
        owner: TenantId,
        artifact: Digest,
        code: impl FnOnce() -> Result<(OwnedFd, u64), E>,
    ) -> Result<Held, E> {
        let mut unloading = self.unloading.lock().await;
        // It may be what was loaded just now.
        if let Some(held) = self.hold(artifact) {
            return Ok(held);
        }
        let (descriptor, length) = code()?;
        let gone = self.shelf.lock().make_room(owner, length);
        unloading.extend(gone.into_iter().map(|unused| unused.digest));
        while let Some(unused) = unloading.last() {
            let unload = ToWorker::Unload { artifact: *unused };
            self.in_time(self.sender.send(unload)).await?;
            unloading.pop();
        }
        let load = ToWorker::Load { artifact, length };
        *self.loading.lock().entry(artifact).or_default() += 1;
        self.in_time(self.sender.send_with(load, descriptor))
            .await?;
        let mut shelf = self.shelf.lock();
        let gone = shelf.put(artifact, owner, (), length);
        unloading.extend(gone.into_iter().map(|unused| unused.digest));
        shelf.take(&artifact);
        drop(shelf);
        Ok(Held {
            lane: Arc::clone(self),
            artifact,
        })
    }

    /// What the worker says of a component that it was told to load.
    pub(super) fn note_loaded(&self, artifact: Digest, failed: Option<String>) {
        let was_told = match self.loading.lock().entry(artifact) {
            Entry::Vacant(_) => false,
            Entry::Occupied(mut times) => {
                *times.get_mut() -= 1;
                if *times.get() == 0 {
                    times.remove();
                }
                true
            }
        };
        if !was_told {
            tracing::error!("a worker does not keep the protocol: it was not told to load");
            self.give_up();
        } else if let Some(reason) = failed {
            // A worker that was taken over could say anything.
            let reason: String = reason.escape_debug().take(LOAD_FAILURE_CHARS_MAX).collect();
            tracing::error!(%artifact, %reason, "a worker cannot load compiled code");
            self.shelf.lock().remove(&artifact);
        }
    }
}
