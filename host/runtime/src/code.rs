//! Compiled code in a worker's memory: the broker's sealed file, mapped once to
//! be read and run, never to be written.
//!
//! A worker cannot make memory executable by any other way than to map a file
//! that the broker sent: the engine finds code that runs already, and publishes
//! nothing.
#![expect(
    unsafe_code,
    reason = "mapping a file is unsafe as such; the broker sealed it, so it cannot change"
)]

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use wasmtime::CustomCodeMemory;

/// The size of a page of this processor, by which code is aligned.
const PAGE_BYTES: usize = 4_096;

/// A file that is mapped to run. Unmapped when it is dropped.
#[derive(Debug)]
struct Map {
    start: usize,
    bytes: usize,
    /// Whether the engine still runs code of it.
    is_in_use: bool,
}

impl Map {
    fn holds(&self, start: usize, bytes: usize) -> bool {
        let end = start.checked_add(bytes);
        start >= self.start && end.is_some_and(|end| end <= self.start + self.bytes)
    }
}

/// Every file that is mapped to run.
#[derive(Debug, Default)]
pub(crate) struct Maps(Mutex<Vec<Map>>);

impl Maps {
    /// Maps a sealed file, whose length is `bytes`. Files that the engine no
    /// longer uses are unmapped on the way: never while it lets go of them.
    pub(crate) fn map(&self, file: OwnedFd, bytes: usize) -> io::Result<NonNull<[u8]>> {
        let mut maps = self.0.lock();
        maps.retain(|map| map.is_in_use);
        // SAFETY: a new mapping at an address of the kernel's choice, of a file
        // that is sealed against every change.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::EXEC,
                MapFlags::PRIVATE,
                &file,
                0,
            )
        }?;
        let start = NonNull::new(start.cast::<u8>())
            .ok_or_else(|| io::Error::other("the kernel mapped nothing"))?;
        maps.push(Map {
            start: start.addr().get(),
            bytes,
            is_in_use: true,
        });
        Ok(NonNull::slice_from_raw_parts(start, bytes))
    }

    /// Notes that a map whose code was refused is not used.
    pub(crate) fn give_back(&self, map: NonNull<[u8]>) {
        self.mark(map.cast::<u8>().addr().get());
    }

    fn mark(&self, start: usize) {
        let mut maps = self.0.lock();
        if let Some(map) = maps.iter_mut().find(|map| map.holds(start, 0)) {
            map.is_in_use = false;
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: mapped in `Maps::map` with this length, and the engine has
        // unpublished it: no code of it runs or is looked at any more.
        let unmapped = unsafe { munmap(self.start as *mut _, self.bytes) };
        debug_assert!(unmapped.is_ok(), "a map that was made can be unmade");
    }
}

/// What the engine asks when it wants code to run.
pub(crate) struct CodeOfTheBroker(pub(crate) Arc<Maps>);

impl CustomCodeMemory for CodeOfTheBroker {
    fn required_alignment(&self) -> usize {
        PAGE_BYTES
    }

    fn publish_executable(&self, start: *const u8, bytes: usize) -> wasmtime::Result<()> {
        let is_ours = self
            .0
            .0
            .lock()
            .iter()
            .any(|map| map.holds(start.addr(), bytes));
        if is_ours {
            Ok(())
        } else {
            Err(wasmtime::Error::msg(
                "only code in a sealed file of the broker's runs here",
            ))
        }
    }

    fn unpublish_executable(&self, start: *const u8, _bytes: usize) -> wasmtime::Result<()> {
        self.0.mark(start.addr());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_is_not_in_a_map_of_the_brokers_is_not_run() {
        let code = CodeOfTheBroker(Arc::default());
        let own = [0_u8; 16];
        assert!(code.publish_executable(own.as_ptr(), own.len()).is_err());
    }

    #[test]
    fn a_map_is_unmapped_at_the_next_load_after_its_code_was_let_go() -> io::Result<()> {
        let maps = Arc::new(Maps::default());
        let sealed = |bytes: &[u8]| crate::sealed::seal(bytes).map_err(io::Error::other);
        let first = maps.map(sealed(b"first")?, 5)?;
        let code = CodeOfTheBroker(Arc::clone(&maps));
        let start = first.cast::<u8>().as_ptr().cast_const();
        assert!(code.publish_executable(start, 5).is_ok());
        assert!(code.unpublish_executable(start, 5).is_ok());
        assert_eq!(maps.0.lock().len(), 1);
        maps.map(sealed(b"other")?, 5)?;
        assert_eq!(maps.0.lock().len(), 1);
        Ok(())
    }
}
