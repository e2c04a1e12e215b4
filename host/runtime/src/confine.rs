//! What a worker gives up before it reads its first message: what the kernel
//! takes from a process for the asking, without a filter of its system calls.
//!
//! In this order, after the engine exists (which opens `/proc/self/pagemap`)
//! and before any thread does. Never asks for anything back: each of these is
//! for good.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

/// Descriptors that a worker has at once: those of the process and of code that
/// is being loaded, and for each lane its socket and its event queues.
const DESCRIPTORS_OWN: u64 = 32;
const DESCRIPTORS_PER_LANE: u64 = 8;

/// How much a worker stands back (`nice`) when processors are short: guests do
/// not keep the broker from serving other guests, people and the disk.
const STANDS_BACK: i32 = 10;

/// Gives up what a worker with so many lanes never needs.
pub(crate) fn give_up_rights(lanes: usize) -> io::Result<()> {
    // No program that it might start would have more rights than it has.
    rustix::thread::set_no_new_privs(true)?;
    // Its memory is not for other processes of the same user, nor for a dump.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // It does not outlive the broker's thread that started it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    limit(Resource::Core, 0)?;
    let lanes = u64::try_from(lanes).unwrap_or(u64::MAX);
    let descriptors = lanes.saturating_mul(DESCRIPTORS_PER_LANE);
    limit(
        Resource::Nofile,
        descriptors.saturating_add(DESCRIPTORS_OWN),
    )?;
    limit(Resource::Memlock, 0)?;
    limit(Resource::Msgqueue, 0)?;
    rustix::process::nice(STANDS_BACK)?;
    Ok(())
}

/// The last of them, when every thread exists that the process will have.
pub(crate) fn give_up_processes() -> io::Result<()> {
    limit(Resource::Nproc, 0)
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(rustix::process::setrlimit(resource, limit)?)
}
