//! One file, sealed page by page.
//!
//! On the disk a page is its ciphertext and tag, at a place that follows from
//! its number. How long the file is, which inode it is, and which seal each
//! page has is known in memory alone, so that whoever else can write to the
//! directory can spoil a file and nothing more: a link, another file, an older
//! page or a page of elsewhere is found out, and what it leads to is not given
//! out. Never follows a link, and never waits for whoever reads or writes a
//! pipe that was put there.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use keyway_vault::{PAGE_OVERHEAD_BYTES, PageKey, PagePlace, Seal};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::ScratchError;
use super::room::flags;

/// Bytes of one page before it is sealed: what a small write costs.
pub(super) const PAGE_BYTES: u64 = 16 << 10;

/// What a page takes on the disk.
const SLOT_BYTES: u64 = PAGE_BYTES + PAGE_OVERHEAD_BYTES as u64;

pub(super) struct PagedFile {
    number: u64,
    inode: (u64, u64),
    bytes: u64,
    seals: Vec<Seal>,
}

impl PagedFile {
    /// Makes an empty file, which must not be there yet.
    pub(super) fn make(dir: &Dir, number: u64) -> Result<Self, ScratchError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let made = dir.open_with(name(number), &options);
        let inode = made.and_then(|file| inode_of(&file.into_std()));
        Ok(Self {
            number,
            inode: inode.map_err(failed("make"))?,
            bytes: 0,
            seals: Vec::new(),
        })
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn read(
        &self,
        dir: &Dir,
        key: &PageKey,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, ScratchError> {
        let Some(rest) = self.bytes.checked_sub(offset) else {
            return Err(ScratchError::BehindEnd);
        };
        let end = offset + rest.min(length.into());
        let mut out = Vec::with_capacity(usize::try_from(end - offset).unwrap_or(0));
        if offset == end {
            return Ok(out);
        }
        let file = self.open(dir, OpenOptions::new().read(true))?;
        for number in offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
            let page = self.page(&file, key, number)?;
            let start = number * PAGE_BYTES;
            let from = offset.saturating_sub(start);
            let part = page.get(within(from)..within(end - start).min(page.len()));
            out.extend_from_slice(part.ok_or(ScratchError::Tampered)?);
        }
        Ok(out)
    }

    /// Writes at an offset that is not behind the end.
    pub(super) fn write(
        &mut self,
        dir: &Dir,
        key: &mut PageKey,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), ScratchError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let file = self.open(dir, OpenOptions::new().read(true).write(true))?;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let (number, from) = (at / PAGE_BYTES, within(at % PAGE_BYTES));
            let room = within(PAGE_BYTES) - from;
            let (now, later) = rest.split_at(rest.len().min(room));
            self.write_page(&file, key, number, from, now)?;
            (at, rest) = (at + now.len() as u64, later);
        }
        Ok(())
    }

    fn write_page(
        &mut self,
        file: &File,
        key: &mut PageKey,
        number: u64,
        from: usize,
        bytes: &[u8],
    ) -> Result<(), ScratchError> {
        let until = from + bytes.len();
        let is_replaced = from == 0 && until >= self.page_length(number);
        let mut page = match is_replaced {
            true => Vec::with_capacity(until + PAGE_OVERHEAD_BYTES),
            false => self.page(file, key, number)?,
        };
        page.resize(page.len().max(until), 0);
        let part = page.get_mut(from..until).ok_or(ScratchError::Tampered)?;
        part.copy_from_slice(bytes);
        let end = number * PAGE_BYTES + page.len() as u64;
        let seal = key.seal(self.place(number), &mut page)?;
        file.write_all_at(&page, number * SLOT_BYTES)
            .map_err(failed("write"))?;
        match self.seals.get_mut(within(number)) {
            Some(known) => *known = seal,
            None => self.seals.push(seal),
        }
        self.bytes = self.bytes.max(end);
        Ok(())
    }

    pub(super) fn remove(&self, dir: &Dir) -> Result<(), ScratchError> {
        match dir.remove_file(name(self.number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove")(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The page as it was last written.
    fn page(&self, file: &File, key: &PageKey, number: u64) -> Result<Vec<u8>, ScratchError> {
        let seal = self.seals.get(within(number));
        let seal = *seal.ok_or(ScratchError::Tampered)?;
        let mut page = vec![0; self.page_length(number) + PAGE_OVERHEAD_BYTES];
        match file.read_exact_at(&mut page, number * SLOT_BYTES) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(ScratchError::Tampered);
            }
            Err(error) => return Err(failed("read")(error)),
        }
        key.open(self.place(number), seal, &mut page)
            .map_err(|_| ScratchError::Tampered)?;
        Ok(page)
    }

    fn page_length(&self, number: u64) -> usize {
        let rest = self.bytes.saturating_sub(number * PAGE_BYTES);
        within(rest.min(PAGE_BYTES))
    }

    const fn place(&self, number: u64) -> PagePlace {
        PagePlace {
            file: self.number,
            page: number,
        }
    }

    /// Opens the file that was made, and nothing that stands in its place.
    fn open(&self, dir: &Dir, options: &mut OpenOptions) -> Result<File, ScratchError> {
        options.custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY));
        let opened = dir.open_with(name(self.number), options);
        let file = opened.map_err(not_opened)?.into_std();
        let found = inode_of(&file).map_err(failed("examine"))?;
        if found == self.inode {
            Ok(file)
        } else {
            Err(ScratchError::Tampered)
        }
    }
}

/// Whatever stands there now and cannot be opened is not what was made, unless
/// this process has no room to open anything.
fn not_opened(error: io::Error) -> ScratchError {
    let no_room = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    match Errno::from_io_error(&error) {
        Some(errno) if no_room.contains(&errno) => failed("open")(error),
        Some(_) | None => ScratchError::Tampered,
    }
}

/// Device and inode of a regular file that has one name; zeros for anything else.
fn inode_of(file: &File) -> io::Result<(u64, u64)> {
    let about = file.metadata()?;
    let is_plain = about.is_file() && about.nlink() == 1;
    Ok(match is_plain {
        true => (about.dev(), about.ino()),
        false => (0, 0),
    })
}

/// What a file is called on the disk.
fn name(number: u64) -> String {
    format!("{number:016x}")
}

/// An offset inside a file of a few megabytes.
fn within(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> ScratchError {
    move |source| ScratchError::Io { doing, source }
}
