//! The files of one call: names, limits, and what they hold.
//!
//! Which names there are is known in memory alone. Works on the disk, so it
//! runs where waiting is allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyway_authz::ScratchEdit;
use keyway_model::limit::{CallLimits, SCRATCH_CHUNK_BYTES_MAX};
use keyway_model::{Scope, ScratchName};
use keyway_vault::PageKey;

use super::ScratchError;
use super::paged::PagedFile;
use super::room::{CallDir, Room};

pub(super) struct Files {
    room: Arc<Room>,
    scope: Scope,
    bytes_max: u64,
    file_bytes_max: u64,
    files_max: u32,
    /// Made with the first file.
    place: Option<Place>,
    files: BTreeMap<ScratchName, PagedFile>,
    bytes: u64,
}

/// Where the files are, and the key that they are sealed under.
struct Place {
    dir: CallDir,
    key: PageKey,
    next_number: u64,
}

impl Files {
    pub(super) const fn new(room: Arc<Room>, scope: Scope, limits: &CallLimits) -> Self {
        Self {
            room,
            scope,
            bytes_max: limits.scratch_bytes_max,
            file_bytes_max: limits.scratch_file_bytes_max,
            files_max: limits.scratch_files_max,
            place: None,
            files: BTreeMap::new(),
            bytes: 0,
        }
    }

    pub(super) fn change(&mut self, edit: &ScratchEdit) -> Result<u64, ScratchError> {
        match edit {
            ScratchEdit::Open(name) => self.open(name),
            ScratchEdit::Write(name, offset, bytes) => self.write(name, *offset, bytes),
            ScratchEdit::Remove(name) => self.remove(name).map(|()| 0),
        }
    }

    fn open(&mut self, name: &ScratchName) -> Result<u64, ScratchError> {
        if let Some(file) = self.files.get(name) {
            return Ok(file.bytes());
        }
        if self.files.len() >= self.files_max as usize {
            return Err(limit("scratch_files_max", self.files_max.into()));
        }
        let place = match &mut self.place {
            Some(place) => place,
            none @ None => none.insert(Place::make(&self.room, self.scope)?),
        };
        let file = PagedFile::make(place.dir.dir(), place.next_number)?;
        place.next_number += 1;
        self.files.insert(name.clone(), file);
        Ok(0)
    }

    pub(super) fn read(
        &self,
        name: &ScratchName,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, ScratchError> {
        if length > SCRATCH_CHUNK_BYTES_MAX {
            return Err(chunk_limit());
        }
        match (self.files.get(name), &self.place) {
            (Some(file), Some(place)) => file.read(place.dir.dir(), &place.key, offset, length),
            (None, _) | (_, None) => Err(ScratchError::NotFound),
        }
    }

    fn write(
        &mut self,
        name: &ScratchName,
        offset: u64,
        bytes: &[u8],
    ) -> Result<u64, ScratchError> {
        if bytes.len() > SCRATCH_CHUNK_BYTES_MAX as usize {
            return Err(chunk_limit());
        }
        let (Some(file), Some(place)) = (self.files.get_mut(name), &mut self.place) else {
            return Err(ScratchError::NotFound);
        };
        let before = file.bytes();
        if offset > before {
            return Err(ScratchError::BehindEnd);
        }
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.file_bytes_max {
            return Err(limit("scratch_file_bytes_max", self.file_bytes_max));
        }
        let growth = end.saturating_sub(before);
        if self.bytes.saturating_add(growth) > self.bytes_max {
            return Err(limit("scratch_bytes_max", self.bytes_max));
        }
        place.dir.hold(growth)?;
        let written = file.write(place.dir.dir(), &mut place.key, offset, bytes);
        let grown = file.bytes().saturating_sub(before);
        self.bytes += grown;
        place.dir.free(growth.saturating_sub(grown));
        written.map(|()| file.bytes())
    }

    fn remove(&mut self, name: &ScratchName) -> Result<(), ScratchError> {
        let (Some(file), Some(place)) = (self.files.get(name), &mut self.place) else {
            return Ok(());
        };
        file.remove(place.dir.dir())?;
        place.dir.free(file.bytes());
        self.bytes = self.bytes.saturating_sub(file.bytes());
        self.files.remove(name);
        Ok(())
    }

    pub(super) fn list(&self) -> Vec<(ScratchName, u64)> {
        let length = |(name, file): (&ScratchName, &PagedFile)| (name.clone(), file.bytes());
        self.files.iter().map(length).collect()
    }

    /// Removes everything, from the disk too.
    pub(super) fn clear(&mut self) {
        self.files.clear();
        self.bytes = 0;
        self.place = None;
    }
}

impl Place {
    fn make(room: &Arc<Room>, scope: Scope) -> Result<Self, ScratchError> {
        let key = PageKey::random()?;
        let dir = room.call_dir(scope).map_err(|source| ScratchError::Io {
            doing: "make the directory of",
            source,
        })?;
        Ok(Self {
            dir,
            key,
            next_number: 0,
        })
    }
}

impl Drop for Files {
    /// A call that nobody waits for any more ends here, on a thread that must
    /// not wait for the disk.
    fn drop(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        match tokio::runtime::Handle::try_current() {
            // Detached; where the runtime ends first, it drops the place itself.
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(place))),
            Err(_) => drop(place),
        }
    }
}

const fn limit(name: &'static str, value: u64) -> ScratchError {
    ScratchError::Limit { name, value }
}

fn chunk_limit() -> ScratchError {
    limit("SCRATCH_CHUNK_BYTES_MAX", SCRATCH_CHUNK_BYTES_MAX.into())
}
