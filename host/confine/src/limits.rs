//! Limits that the kernel keeps.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

/// Descriptors that a process has at once: its own and those of code that is
/// being loaded, and for each thread its pipes, its sockets and its event queues.
const DESCRIPTORS_OWN: u64 = 32;
const DESCRIPTORS_PER_THREAD: u64 = 8;

/// What a confined process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Threads that have descriptors of their own.
    pub threads: usize,
    /// Writable memory beside what it has when it is locked in, in bytes
    /// (`RLIMIT_DATA`): an allocator may have set a great deal aside by then.
    pub data_bytes_more: u64,
    /// Time on a processor over its whole life.
    pub cpu_max: Option<Duration>,
}

impl Limits {
    /// Sets them; `data_bytes_now` is what [`data_bytes`] said last.
    pub(crate) fn set(&self, data_bytes_now: u64) -> io::Result<()> {
        let threads = u64::try_from(self.threads).unwrap_or(u64::MAX);
        let descriptors = threads.saturating_mul(DESCRIPTORS_PER_THREAD);
        for (resource, most) in [
            (Resource::Core, 0),
            // Hits memory files as well: nothing is written but to pipes and sockets.
            (Resource::Fsize, 0),
            (
                Resource::Nofile,
                descriptors.saturating_add(DESCRIPTORS_OWN),
            ),
            // Those that run now stay; for a user that is not root, no more come.
            (Resource::Nproc, 0),
            (Resource::Memlock, 0),
            (Resource::Msgqueue, 0),
            (Resource::Sigpending, 0),
            (
                Resource::Data,
                data_bytes_now.saturating_add(self.data_bytes_more),
            ),
        ] {
            limit(resource, most, most)?;
        }
        if let Some(cpu) = self.cpu_max {
            // At the first the process is told by a signal that names the reason.
            let seconds = cpu.as_secs().max(1);
            limit(Resource::Cpu, seconds, seconds.saturating_add(1))?;
        }
        Ok(())
    }
}

/// The writable memory of this process, in bytes. Opens a file.
pub(crate) fn data_bytes() -> io::Result<u64> {
    const DATA_FIELD: usize = 5;
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let data = pages.split_whitespace().nth(DATA_FIELD);
    let data: u64 = data
        .and_then(|pages| pages.parse().ok())
        .ok_or_else(|| io::Error::other("/proc/self/statm does not say it"))?;
    let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX);
    Ok(data.saturating_mul(page_bytes))
}

fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(soft),
        maximum: Some(hard),
    };
    Ok(rustix::process::setrlimit(resource, limit)?)
}
