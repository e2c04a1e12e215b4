//! Compiled code: made in a child process, kept under a MAC, handed to
//! workers as sealed memory files, never by path.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use keyway_model::Digest;
use keyway_model::limit::{CODE_BYTES_MAX, COMPILE_WALL_SECONDS_MAX, INSTALLS_WAITING_MAX};
use keyway_runtime::{CompileLimits, Compiled};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::confined::{Confined, report};

/// How long compiling one component may take.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(COMPILE_WALL_SECONDS_MAX);

/// Bytes of the MAC before the compiled code in a cache file.
const MAC_BYTES: usize = 32;

/// Compiled code of every component that runs.
pub(crate) struct Artifacts {
    confined: Confined,
    dir: PathBuf,
    key: hmac::Key,
    fingerprint: String,
    loaded: Mutex<HashMap<Digest, Arc<Code>>>,
    one_at_a_time: tokio::sync::Mutex<()>,
    /// Room for those who wait for their turn to install.
    waiting: Semaphore,
}

impl std::fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Artifacts")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
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
    /// It took too long.
    #[error(
        "compiling takes longer than the limit compile_wall_seconds_max = {COMPILE_WALL_SECONDS_MAX}; make the component smaller"
    )]
    WallTime,
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
    #[error(
        "installs_waiting_max = {INSTALLS_WAITING_MAX} components wait to be compiled; try again in a while"
    )]
    Busy,
    /// Reading or writing failed.
    #[error("compiled code cannot be kept: {0}")]
    Io(#[from] io::Error),
}

/// What the compiler's answer may have: the code, and names of imports and exports.
const ANSWER_BYTES_MAX: u64 = CODE_BYTES_MAX + (1 << 20);

/// What the end of a compiler without an answer says.
fn died(status: ExitStatus, limits: &CompileLimits) -> CompileError {
    match status.signal() {
        Some(libc::SIGXCPU) => CompileError::CpuTime(limits.cpu_seconds_max),
        // An allocation that the limit on memory refuses ends in `abort`.
        Some(libc::SIGABRT) => CompileError::Memory(limits.memory_bytes_max),
        _ => CompileError::Died(status.to_string()),
    }
}

impl Artifacts {
    /// A cache in `dir` whose files are trusted only under `key`.
    ///
    /// # Errors
    ///
    /// The operating system's, if `dir` cannot be made.
    pub(crate) fn new(confined: Confined, dir: PathBuf, key: &[u8]) -> io::Result<Self> {
        let fingerprint = keyway_runtime::fingerprint().map_err(io::Error::other)?;
        fs::create_dir_all(&dir)?;
        Ok(Self {
            confined,
            dir,
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            fingerprint,
            loaded: Mutex::default(),
            one_at_a_time: tokio::sync::Mutex::default(),
            waiting: Semaphore::new(INSTALLS_WAITING_MAX),
        })
    }

    /// The compiled code of a component: from memory, from the cache, or newly
    /// compiled from what `component` gives.
    ///
    /// # Errors
    ///
    /// [`CompileError`].
    pub(crate) async fn code<F>(
        &self,
        digest: Digest,
        component: F,
    ) -> Result<Arc<Code>, CompileError>
    where
        F: AsyncFnOnce() -> Result<Vec<u8>, CompileError>,
    {
        if let Some(code) = self.loaded.lock().get(&digest) {
            return Ok(Arc::clone(code));
        }
        if let Some(bytes) = self.cached(digest) {
            return self.share(digest, &bytes);
        }
        let _one = self.one_at_a_time.lock().await;
        // It may be what was compiled just now.
        if let Some(bytes) = self.cached(digest) {
            return self.share(digest, &bytes);
        }
        let compiled = self.run_compiler(&component().await?).await?;
        self.keep(digest, &compiled.code)?;
        self.share(digest, &compiled.code)
    }

    /// Seals code for the workers, unless another call was as quick.
    fn share(&self, digest: Digest, code: &[u8]) -> Result<Arc<Code>, CompileError> {
        let code = Arc::new(seal(code)?);
        let mut loaded = self.loaded.lock();
        Ok(Arc::clone(loaded.entry(digest).or_insert(code)))
    }

    /// Compiles a component, when no other is being compiled, and keeps its code
    /// for the first call.
    ///
    /// # Errors
    ///
    /// [`CompileError`].
    pub(crate) async fn compile(&self, component: &[u8]) -> Result<Compiled, CompileError> {
        let _waits = self.waiting.try_acquire().map_err(|_| CompileError::Busy)?;
        let _one = self.one_at_a_time.lock().await;
        let compiled = self.run_compiler(component).await?;
        self.keep(Digest::of(component), &compiled.code)?;
        Ok(compiled)
    }

    /// Runs the compiler in a process of its own. Whoever calls holds the turn.
    async fn run_compiler(&self, component: &[u8]) -> Result<Compiled, CompileError> {
        let limits = self.confined.compile;
        let mut child = self
            .confined
            .command()
            .arg("--compile")
            // The allocator would else set a gibibyte aside at its start, which
            // the limit on memory would have to let it keep.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .arg(format!("--cpu-seconds-max={}", limits.cpu_seconds_max))
            .arg(format!(
                "--memory-total-bytes-max={}",
                limits.memory_bytes_max
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(report(stderr, child.id()));
        }
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let exchange = async {
            let write = async {
                if let Some(mut stdin) = stdin {
                    // A child that ended early says why on its standard output.
                    drop(stdin.write_all(component).await);
                }
            };
            let read = async {
                let mut answer = Vec::new();
                if let Some(stdout) = stdout {
                    stdout
                        .take(ANSWER_BYTES_MAX + 1)
                        .read_to_end(&mut answer)
                        .await?;
                }
                Ok::<_, io::Error>(answer)
            };
            let ((), answer) = tokio::join!(write, read);
            let answer = answer?;
            if answer.len() as u64 > ANSWER_BYTES_MAX {
                return Err(CompileError::TooLong);
            }
            Ok((answer, child.wait().await?))
        };
        let (answer, status) = tokio::time::timeout(COMPILE_TIMEOUT, exchange)
            .await
            .map_err(|_| CompileError::WallTime)??;
        match postcard::from_bytes::<Result<Compiled, String>>(&answer) {
            Ok(Ok(compiled)) if status.success() => Ok(compiled),
            Ok(Err(refused)) => Err(CompileError::Refused(refused)),
            Ok(Ok(_)) | Err(_) => Err(died(status, &limits)),
        }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let name = hex::encode(digest.as_bytes());
        self.dir.join(format!("{name}-{}.code", self.fingerprint))
    }

    /// The cached code, if its MAC holds for this digest and engine.
    fn cached(&self, digest: Digest) -> Option<Vec<u8>> {
        let file = fs::read(self.path(digest)).ok()?;
        let (mac, code) = file.split_at_checked(MAC_BYTES)?;
        match hmac::verify(&self.key, &self.bound(digest, code), mac) {
            Ok(()) => Some(code.to_vec()),
            Err(_) => {
                tracing::warn!(%digest, "a cache file does not carry our MAC; compiling again");
                None
            }
        }
    }

    fn keep(&self, digest: Digest, code: &[u8]) -> io::Result<()> {
        let mac = hmac::sign(&self.key, &self.bound(digest, code));
        let path = self.path(digest);
        let unfinished = path.with_extension("new");
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(mac.as_ref())?;
        file.write_all(code)?;
        fs::rename(unfinished, path)
    }

    /// What the MAC is over: the digest, the engine, and the code.
    fn bound(&self, digest: Digest, code: &[u8]) -> Vec<u8> {
        let code = Digest::of(code);
        [
            digest.as_bytes().as_slice(),
            code.as_bytes(),
            self.fingerprint.as_bytes(),
        ]
        .concat()
    }
}

/// Puts code into a memory file that nobody can change any more.
fn seal(code: &[u8]) -> io::Result<Code> {
    Ok(Code {
        file: keyway_runtime::seal(code).map_err(io::Error::other)?,
        length: code.len() as u64,
    })
}
