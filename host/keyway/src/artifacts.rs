//! Compiled code: made in a child process, kept under a MAC, handed to
//! workers as sealed memory files, never by path.

mod cache;
mod compiler;
mod stock;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
mod turns;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use keyway_gate::{Presence, Room};
use keyway_model::limit::CODE_BYTES_MAX;
use keyway_model::{Digest, TenantId};
use keyway_runtime::Compiled;
use tokio::sync::mpsc;

use crate::confined::Confined;
use cache::Cache;
use stock::{Stock, off_thread};
use turns::Turns;

pub(crate) use turns::Install;

/// Compiled code of every component that runs.
pub(crate) struct Artifacts {
    confined: Confined,
    /// What is at hand or in the cache; what is not is compiled again.
    stock: Arc<Stock>,
    turns: Turns,
}

impl std::fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Artifacts")
            .field("dir", &self.stock.dir())
            .finish_non_exhaustive()
    }
}

/// Where compiled code is kept, and how much of it.
#[derive(Debug)]
pub(crate) struct Keeping {
    /// The directory of the cache.
    pub(crate) dir: PathBuf,
    /// Under which its files are trusted.
    pub(crate) key: Vec<u8>,
    /// Bytes of its files.
    pub(crate) cached_bytes_max: u64,
    /// What is at hand.
    pub(crate) room: Room,
}

/// Compiled code in a sealed memory file.
#[derive(Debug)]
pub(crate) struct Code {
    file: OwnedFd,
    length: u64,
}

impl Code {
    /// The file, for one worker, and the code's length.
    ///
    /// # Errors
    ///
    /// The operating system's, if it has no more descriptors.
    pub(crate) fn share(&self) -> io::Result<(OwnedFd, u64)> {
        Ok((self.file.try_clone()?, self.length))
    }
}

/// Why a component has no compiled code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CompileError {
    /// The component was refused, in the compiler's words.
    #[error("{0}")]
    Refused(String),
    /// The compiler ended without an answer.
    #[error("the compiler ended without an answer ({0}): the component may be made to break it")]
    Died(String),
    /// No compiler of ours says what it said.
    #[error(
        "the compiler's answer is not one (too many imports or exports, or a name that none can have): the component may be made to break it"
    )]
    Nonsense,
    /// It took too long.
    #[error(
        "compiling takes longer than the limit compile_wall_seconds_max = {0}; make the component smaller"
    )]
    WallTime(u64),
    /// It computed too long.
    #[error(
        "compiling takes more than the limit compile_cpu_seconds_max = {0}; make the component smaller"
    )]
    CpuTime(u64),
    /// It took too much memory.
    #[error(
        "compiling takes more than the limit compile_memory_bytes_max = {0}; make the component smaller"
    )]
    Memory(u64),
    /// Its code is too long.
    #[error(
        "the compiled code is longer than the limit code_bytes_max = {CODE_BYTES_MAX}; make the component smaller"
    )]
    TooLong,
    /// Too many wait.
    #[error("{name} = {value} components {whose}wait to be compiled; try again in a while")]
    Busy {
        /// Whose, with a space behind it; nothing if it is everybody's.
        whose: &'static str,
        /// The limit.
        name: &'static str,
        /// Its value.
        value: usize,
    },
    /// Whoever asked went away.
    #[error("nobody waits for the component any more")]
    Cancelled,
    /// Reading or writing failed.
    #[error("compiled code cannot be kept: {0}")]
    Io(#[from] io::Error),
}

impl Artifacts {
    /// A cache, and a compiler that is started as `confined` says. Components
    /// whose code in the cache was changed by somebody else come out of the
    /// receiver: it is not used, and they are compiled again.
    ///
    /// # Errors
    ///
    /// The operating system's, if the directory cannot be made.
    pub(crate) fn new(
        confined: Confined,
        keeping: Keeping,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Digest>)> {
        let Keeping {
            dir,
            key,
            cached_bytes_max,
            room,
        } = keeping;
        let fingerprint = keyway_runtime::fingerprint().map_err(io::Error::other)?;
        let (forged, told) = mpsc::unbounded_channel();
        let cache = Cache::new(dir, &key, fingerprint, cached_bytes_max)?;
        let artifacts = Self {
            confined,
            stock: Arc::new(Stock::new(cache, room, forged)),
            turns: Turns::new(),
        };
        Ok((artifacts, told))
    }

    /// The compiled code of a component for a call of `tenant`: at hand, from the
    /// cache, or newly compiled from what `component` gives. It counts for the
    /// tenant where it was not at hand.
    ///
    /// # Errors
    ///
    /// [`CompileError`].
    pub(crate) async fn code<F>(
        &self,
        tenant: TenantId,
        digest: Digest,
        component: F,
    ) -> Result<Arc<Code>, CompileError>
    where
        F: AsyncFnOnce() -> Result<Vec<u8>, CompileError>,
    {
        let turn = loop {
            if let Some(code) = self.stock.code(tenant, digest).await? {
                return Ok(code);
            }
            let turn = self.turns.turn(tenant).await;
            // It may be what was compiled just now. Nobody waits for a read while
            // it is its turn: others wait for the compiler.
            if !self.stock.has(digest) {
                break turn;
            }
        };
        let component = component().await?;
        let (confined, stock) = (self.confined.clone(), Arc::clone(&self.stock));
        // In a task of its own: when nobody waits for the call any more, its turn
        // lasts until the compiler has ended.
        let (_waiting, presence) = Presence::of_a_caller();
        let compiling = tokio::spawn(async move {
            let compiled = compiler::run(&confined, &component, &presence).await?;
            let kept = off_thread(turn, move || {
                stock.keep(digest, tenant, &compiled.code)?;
                stock.put_at_hand(digest, tenant, &compiled.code)
            });
            Ok(kept.await?)
        });
        compiling.await.map_err(io::Error::other)?
    }

    /// Notes that a worker that has a component is about to run it, so that its
    /// code is not what goes next.
    pub(crate) fn note_use(&self, digest: Digest) {
        self.stock.note_use(digest);
    }

    /// Begins an install: one of a few that a workspace has under way at once.
    ///
    /// # Errors
    ///
    /// [`CompileError::Busy`].
    pub(crate) fn begin_install(&self, tenant: TenantId) -> Result<Install, CompileError> {
        self.turns.begin(tenant)
    }

    /// Compiles a component when it is its workspace's turn, and keeps its code
    /// for the first call. When nobody waits for it any more, it gives its turn
    /// back, and the compiler is ended before another begins.
    ///
    /// # Errors
    ///
    /// [`CompileError`].
    pub(crate) async fn compile(
        &self,
        install: &Install,
        digest: Digest,
        component: &[u8],
        presence: &Presence,
    ) -> Result<Compiled, CompileError> {
        let tenant = install.tenant();
        let turn = tokio::select! {
            turn = self.turns.turn(tenant) => turn,
            () = presence.gone() => return Err(CompileError::Cancelled),
        };
        let compiled = compiler::run(&self.confined, component, presence).await?;
        let stock = Arc::clone(&self.stock);
        let kept = off_thread(turn, move || {
            stock.keep(digest, tenant, &compiled.code)?;
            Ok(compiled)
        });
        Ok(kept.await?)
    }
}
