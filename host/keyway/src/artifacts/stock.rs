//! Code at hand, and code that has to be read from the disk first.
//!
//! Megabytes are read, hashed and sealed on threads that may wait, never on the
//! broker's own: other calls go on meanwhile. One piece of each workspace at a
//! time, by turns of workspaces, and each piece once, however many calls want it.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use keyway_fair::{Admission, Place, Wish};
use keyway_gate::{Room, Shelf};
use keyway_model::limit::CODE_READS_MAX;
use keyway_model::{Digest, TenantId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::Code;
use super::cache::{Cache, Cached, note_on_disk};

/// All code that needs no compiler.
pub(super) struct Stock {
    cache: Cache,
    shelf: Mutex<Shelf<Arc<Code>>>,
    /// Places for those who read from the disk.
    readers: Admission<()>,
    /// What is being read: it is on the shelf before it is no longer here.
    reading: Mutex<HashMap<Digest, Read>>,
    /// Components whose code in the cache was not ours.
    forged: mpsc::UnboundedSender<Digest>,
}

/// What came of a read, once it is over.
type Read = watch::Receiver<Option<Result<Option<Arc<Code>>, Arc<io::Error>>>>;

/// Where code is that needs no new read.
enum Found {
    AtHand(Arc<Code>),
    Read(Read),
}

/// Does what takes long on a thread that may wait. `place` is taken until it is
/// done, even if nobody waits for it any more.
pub(super) async fn off_thread<T: Send + 'static>(
    place: Place<()>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let working = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(place);
        done
    });
    working.await.map_err(io::Error::other)?
}

impl Stock {
    pub(super) fn new(cache: Cache, room: Room, forged: mpsc::UnboundedSender<Digest>) -> Self {
        Self {
            cache,
            shelf: Mutex::new(Shelf::within(room)),
            readers: Admission::of(CODE_READS_MAX),
            reading: Mutex::default(),
            forged,
        }
    }

    pub(super) fn dir(&self) -> &Path {
        self.cache.dir()
    }

    /// The code of a component, if it is at hand or in the cache.
    pub(super) async fn code(
        self: &Arc<Self>,
        tenant: TenantId,
        digest: Digest,
    ) -> io::Result<Option<Arc<Code>>> {
        let found = match self.find(digest) {
            Some(found) => found,
            None => {
                let place = self.readers.enter(one_of(tenant)).await;
                // It may be what was read just now.
                match self.find(digest) {
                    Some(found) => found,
                    None => Found::Read(self.read(place, tenant, digest)),
                }
            }
        };
        match found {
            Found::AtHand(code) => {
                self.note_on_disk(digest);
                Ok(Some(code))
            }
            Found::Read(read) => end_of(read).await,
        }
    }

    /// Whether [`Stock::code`] is likely to have it.
    pub(super) fn has(&self, digest: Digest) -> bool {
        self.shelf.lock().owner(&digest).is_some() || self.cache.has(digest)
    }

    fn find(&self, digest: Digest) -> Option<Found> {
        if let Some(read) = self.reading.lock().get(&digest) {
            return Some(Found::Read(read.clone()));
        }
        let mut shelf = self.shelf.lock();
        shelf
            .find(&digest)
            .map(|code| Found::AtHand(Arc::clone(code)))
    }

    /// Begins to read. It goes on to its end, whoever waits for it.
    fn read(self: &Arc<Self>, place: Place<()>, tenant: TenantId, digest: Digest) -> Read {
        let (over, read) = watch::channel(None);
        self.reading.lock().insert(digest, read.clone());
        let stock = Arc::clone(self);
        let reading = off_thread(place, move || stock.read_now(tenant, digest));
        let stock = Arc::clone(self);
        tokio::spawn(async move {
            let result = reading.await.map_err(Arc::new);
            stock.reading.lock().remove(&digest);
            over.send_replace(Some(result));
        });
        read
    }

    /// Waits for the disk.
    fn read_now(&self, tenant: TenantId, digest: Digest) -> io::Result<Option<Arc<Code>>> {
        match self.cache.read(digest)? {
            Cached::Code(bytes) => self.put_at_hand(digest, tenant, &bytes).map(Some),
            Cached::Nothing => Ok(None),
            Cached::Foreign => {
                tracing::error!(%digest, "compiled code in the cache is not ours; compiling again");
                // Nobody listens while the deployment ends.
                self.forged.send(digest).ok();
                Ok(None)
            }
        }
    }

    /// Keeps code in the cache, for a workspace. Waits for the disk.
    pub(super) fn keep(&self, digest: Digest, owner: TenantId, code: &[u8]) -> io::Result<()> {
        self.cache.keep(digest, owner, code)
    }

    /// Seals code for the workers. Copies megabytes.
    pub(super) fn put_at_hand(
        &self,
        digest: Digest,
        owner: TenantId,
        code: &[u8],
    ) -> io::Result<Arc<Code>> {
        let length = code.len() as u64;
        let file = keyway_runtime::seal(code).map_err(io::Error::other)?;
        let code = Arc::new(Code { file, length });
        let gone = self
            .shelf
            .lock()
            .put(digest, owner, Arc::clone(&code), length);
        // Closed with its last user, which frees megabytes: not under the lock.
        drop(gone);
        Ok(code)
    }

    /// Notes that code is used that a worker has.
    pub(super) fn note_use(&self, digest: Digest) {
        self.shelf.lock().find(&digest);
        self.note_on_disk(digest);
    }

    fn note_on_disk(&self, digest: Digest) {
        if let Some(path) = self.cache.note_use(digest, Instant::now()) {
            drop(tokio::task::spawn_blocking(move || note_on_disk(&path)));
        }
    }
}

const fn one_of(tenant: TenantId) -> Wish<()> {
    Wish {
        tenant,
        tenant_max: 1,
        line: (),
        line_max: 1,
    }
}

async fn end_of(mut read: Read) -> io::Result<Option<Arc<Code>>> {
    let over = read.wait_for(Option::is_some).await;
    let over = over.map_err(io::Error::other)?.clone();
    // It waits for nothing else.
    over.unwrap_or(Ok(None))
        .map_err(|error| io::Error::new(error.kind(), error))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
