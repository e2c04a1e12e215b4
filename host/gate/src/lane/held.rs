//! Lanes that calls were given to, and the components that their workers have: loaded
//! when they are called, let go when there is no room for the next.

use std::collections::hash_map::Entry;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use keyway_ipc::ToWorker;
use keyway_model::{Digest, TenantId};

use super::{Lane, WorkerGone};

/// Characters of a worker's reason why it cannot load code that are logged.
const LOAD_FAILURE_CHARS_MAX: usize = 300;

/// A lane that a call was given to. It counts there from then on, also while its code
/// is brought: calls that begin at once go to different workers.
#[derive(Debug)]
#[must_use = "the call counts on its lane until this is dropped"]
pub struct Assigned {
    lane: Arc<Lane>,
}

impl Deref for Assigned {
    type Target = Arc<Lane>;

    fn deref(&self) -> &Arc<Lane> {
        &self.lane
    }
}

impl Drop for Assigned {
    fn drop(&mut self) {
        self.lane.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A lane whose worker has a component for the call that was given to it, and keeps it
/// until this is dropped.
#[derive(Debug)]
#[must_use = "the worker may let the component go when this is dropped"]
pub struct Held {
    assigned: Assigned,
    artifact: Digest,
}

impl Deref for Held {
    type Target = Arc<Lane>;

    fn deref(&self) -> &Arc<Lane> {
        &self.assigned
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shelf.lock().give_back(&self.artifact);
    }
}

impl Lane {
    /// Gives a call to this lane.
    pub fn assign(self: &Arc<Self>) -> Assigned {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Assigned {
            lane: Arc::clone(self),
        }
    }
}

impl Assigned {
    /// Keeps the worker from letting a component go, if it has it.
    ///
    /// # Errors
    ///
    /// The lane itself, if the component has to be loaded.
    pub fn hold(self, artifact: Digest) -> Result<Held, Self> {
        if !self.shelf.lock().take(&artifact) {
            return Err(self);
        }
        Ok(Held {
            assigned: self,
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
        self,
        owner: TenantId,
        artifact: Digest,
        code: impl FnOnce() -> Result<(OwnedFd, u64), E>,
    ) -> Result<Held, E> {
        let lane = Arc::clone(&self);
        let mut unloading = lane.unloading.lock().await;
        // It may be what was loaded just now.
        let assigned = match self.hold(artifact) {
            Ok(held) => return Ok(held),
            Err(assigned) => assigned,
        };
        let (descriptor, length) = code()?;
        let gone = lane.shelf.lock().make_room(owner, length);
        unloading.extend(gone.into_iter().map(|unused| unused.digest));
        while let Some(unused) = unloading.last() {
            let unload = ToWorker::Unload { artifact: *unused };
            lane.in_time(lane.sender.send(unload)).await?;
            unloading.pop();
        }
        let load = ToWorker::Load { artifact, length };
        *lane.loading.lock().entry(artifact).or_default() += 1;
        lane.in_time(lane.sender.send_with(load, descriptor))
            .await?;
        let mut shelf = lane.shelf.lock();
        let gone = shelf.put(artifact, owner, (), length);
        unloading.extend(gone.into_iter().map(|unused| unused.digest));
        shelf.take(&artifact);
        drop(shelf);
        Ok(Held { assigned, artifact })
    }
}

impl Lane {
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
