//! The directory `scratch` inside the data directory, one directory in it for
//! each call that has files, and how much all of them may hold.
//!
//! The only place where scratch files get their authority: everything below
//! works on a [`Dir`] that was handed out here, and names nothing but numbers.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};
use keyway_model::limit::{SCRATCH_TOTAL_BYTES_MAX, SCRATCH_WORKSPACE_BYTES_MAX};
use keyway_model::{Scope, TenantId};
use parking_lot::Mutex;
use rustix::fs::OFlags;

use super::ScratchError;
use crate::home::HomeError;
use crate::keys::fresh_bytes;

/// The directory's name inside the data directory.
const SCRATCH: &str = "scratch";

/// How often a directory is tried to be removed at once.
const REMOVALS_MAX: usize = 32;

/// Where calls have their directories.
pub(crate) struct Room {
    base: Dir,
    held: Mutex<Held>,
    /// Directories of calls that have ended which could not be removed yet.
    left: Mutex<Vec<String>>,
}

/// Bytes of all calls that run.
#[derive(Default)]
struct Held {
    total: u64,
    by_tenant: HashMap<TenantId, u64>,
}

impl Room {
    /// Makes the directory if it is not there, and empties it: whatever is in
    /// it belongs to calls of a process that is gone, and opens no more.
    pub(crate) fn open(data: &Path) -> Result<Arc<Self>, HomeError> {
        let path = data.join(SCRATCH);
        let base = open_base(data).and_then(|base| again(|| sweep(&base)).map(|()| base));
        let base = base.map_err(|source| HomeError::Io {
            doing: "empty",
            path,
            source,
        })?;
        Ok(Arc::new(Self {
            base,
            held: Mutex::default(),
            left: Mutex::default(),
        }))
    }

    /// A directory for one call.
    pub(crate) fn call_dir(self: &Arc<Self>, scope: Scope) -> io::Result<CallDir> {
        self.remove_left();
        let name = hex::encode(*fresh_bytes());
        self.base.create_dir_with(&name, &private())?;
        Ok(CallDir {
            dir: open_dir(&self.base, &name)?,
            room: Arc::clone(self),
            name,
            tenant: scope.tenant,
            bytes: 0,
        })
    }

    fn remove_left(&self) {
        let left = std::mem::take(&mut *self.left.lock());
        let still_there = |name: &String| remove_tree(&self.base, name.as_ref()).is_err();
        let left: Vec<String> = left.into_iter().filter(still_there).collect();
        self.left.lock().extend(left);
    }

    fn hold(&self, tenant: TenantId, bytes: u64) -> Result<(), ScratchError> {
        let mut held = self.held.lock();
        let own = held.by_tenant.get(&tenant).copied().unwrap_or_default();
        let own = own.saturating_add(bytes);
        if own > SCRATCH_WORKSPACE_BYTES_MAX {
            return Err(ScratchError::Limit {
                name: "SCRATCH_WORKSPACE_BYTES_MAX",
                value: SCRATCH_WORKSPACE_BYTES_MAX,
            });
        }
        let total = held.total.saturating_add(bytes);
        // As much as it has itself stays free for the others.
        if total.saturating_add(own) > SCRATCH_TOTAL_BYTES_MAX {
            return Err(ScratchError::Limit {
                name: "SCRATCH_TOTAL_BYTES_MAX",
                value: SCRATCH_TOTAL_BYTES_MAX,
            });
        }
        held.by_tenant.insert(tenant, own);
        held.total = total;
        Ok(())
    }

    fn free(&self, tenant: TenantId, bytes: u64) {
        let mut held = self.held.lock();
        held.total = held.total.saturating_sub(bytes);
        let own = held.by_tenant.entry(tenant).or_default();
        *own = own.saturating_sub(bytes);
        if *own == 0 {
            held.by_tenant.remove(&tenant);
        }
    }
}

/// The directory of one call. Dropping it removes it, which waits for the disk.
pub(crate) struct CallDir {
    dir: Dir,
    room: Arc<Room>,
    name: String,
    tenant: TenantId,
    bytes: u64,
}

impl CallDir {
    pub(super) const fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Takes so many bytes of what the workspace and the deployment may hold.
    pub(crate) fn hold(&mut self, bytes: u64) -> Result<(), ScratchError> {
        self.room.hold(self.tenant, bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives so many of them back.
    pub(crate) fn free(&mut self, bytes: u64) {
        self.room.free(self.tenant, bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Drop for CallDir {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::error!(%error, "scratch files of a call that has ended are left; the next call tries again");
            self.room.left.lock().push(std::mem::take(&mut self.name));
        }
        self.room.free(self.tenant, self.bytes);
    }
}

impl CallDir {
    fn remove(&self) -> io::Result<()> {
        // Through the directory itself, in case somebody moved it away.
        let emptied = again(|| sweep(&self.dir));
        remove_tree(&self.room.base, self.name.as_ref())?;
        emptied
    }
}

/// Opens the directory itself, never what a link in its place leads to.
fn open_base(data: &Path) -> io::Result<Dir> {
    let data = Dir::open_ambient_dir(data, ambient_authority())?;
    match data.create_dir_with(SCRATCH, &private()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    open_dir(&data, SCRATCH)
}

fn open_dir(parent: &Dir, name: &str) -> io::Result<Dir> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(flags(OFlags::DIRECTORY | OFlags::NOFOLLOW));
    let opened = parent.open_with(name, &options)?;
    Ok(Dir::from_std_file(opened.into_std()))
}

/// Removes what is in `dir`; a link is removed and not followed.
fn sweep(dir: &Dir) -> io::Result<()> {
    for entry in dir.entries()? {
        remove_tree(dir, &entry?.file_name())?;
    }
    Ok(())
}

/// Removes a file, or a directory with all that is in it, until it is gone.
fn remove_tree(parent: &Dir, name: &OsStr) -> io::Result<()> {
    again(|| {
        let is_dir = match parent.symlink_metadata(name) {
            Ok(about) => about.is_dir(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let removed = match is_dir {
            true => parent.remove_dir_all(name),
            false => parent.remove_file(name),
        };
        // What was not found may have been something inside, which moves.
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match parent.symlink_metadata(name) {
                    Err(_) => Ok(()),
                    Ok(_) => Err(error),
                }
            }
            other => other,
        }
    })
}

/// Tries more than once: somebody else may be renaming what is removed.
fn again(mut work: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let mut tried = work();
    for _ in 1..REMOVALS_MAX {
        if tried.is_ok() {
            break;
        }
        tried = work();
    }
    tried
}

fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Flags in the form that the standard library takes them.
pub(super) const fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}
