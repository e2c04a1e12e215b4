//! `keyway worker`: the process that runs guests, or compiles one. It is handed
//! its lanes over standard input, and holds nothing else.
//!
//! What comes before the lock-down must stay short, start no thread and open
//! nothing: the process is not confined yet.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use keyway_confine::{Confinement, Start};
use keyway_ipc::End;
use keyway_model::limit::{WORKER_CPU_SECONDS_MAX, WORKER_LANES_MAX};
use keyway_runtime::{CompileLimits, PoolSize, Weaker};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::cli::WorkerOptions;

/// Runs a worker, or compiles one component.
pub(crate) fn main(options: &WorkerOptions) -> Result<ExitCode> {
    let confinement = Confinement::begin(Start {
        user: options.user,
        broker: options.broker,
    });
    if options.compile {
        let weaker = if options.weaker {
            Weaker::Allowed
        } else {
            Weaker::Refused
        };
        let default = CompileLimits::default();
        let limits = CompileLimits {
            cpu_seconds_max: options.cpu_seconds_max.unwrap_or(default.cpu_seconds_max),
            memory_bytes_max: options
                .worker_memory_bytes_max
                .unwrap_or(default.memory_bytes_max),
            guest_memory_bytes_max: options
                .memory_bytes_max
                .map_or(default.guest_memory_bytes_max, |bytes| bytes as u64),
            guest_table_elements_max: options
                .table_elements_max
                .map_or(default.guest_table_elements_max, |elements| elements as u64),
        };
        let (input, output) = (io::stdin().lock(), io::stdout().lock());
        keyway_runtime::compile_process(confinement, &limits, weaker, input, output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let lanes = receive_lanes(&io::stdin().as_fd().try_clone_to_owned()?)?;
    if lanes.is_empty() {
        bail!("`keyway worker` is started by `keyway serve`, which hands it its lanes");
    }
    let default = PoolSize::default();
    let pool = PoolSize {
        memory_bytes_max: options.memory_bytes_max.unwrap_or(default.memory_bytes_max),
        table_elements_max: options
            .table_elements_max
            .unwrap_or(default.table_elements_max),
        worker_memory_bytes_max: options
            .worker_memory_bytes_max
            .unwrap_or(default.worker_memory_bytes_max),
        ..default
    };
    let cpu_seconds_max = options.cpu_seconds_max.unwrap_or(WORKER_CPU_SECONDS_MAX);
    let cpu_max = Duration::from_secs(cpu_seconds_max);
    keyway_runtime::run_process(lanes, &pool, cpu_max, confinement)?;
    Ok(ExitCode::SUCCESS)
}

/// The descriptors of one lane with each byte, until the other side has sent all.
fn receive_lanes(control: &OwnedFd) -> io::Result<Vec<End>> {
    let mut lanes = Vec::new();
    loop {
        let mut byte = [0; 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(End::DESCRIPTORS))];
        let mut message = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            control,
            &mut [IoSliceMut::new(&mut byte)],
            &mut message,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if received.bytes == 0 || lanes.len() == WORKER_LANES_MAX {
            return Ok(lanes);
        }
        for part in message.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = part {
                let descriptors: Vec<_> = descriptors.collect();
                let descriptors = descriptors.try_into();
                let lost = |_| io::Error::other("a lane came without all of its descriptors");
                lanes.push(End::from_descriptors(descriptors.map_err(lost)?));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::os::unix::net::UnixStream;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    /// Hands over the far end of a lane.
    fn hand_over(control: &UnixStream, end: &End) -> io::Result<()> {
        let descriptors = end.as_descriptors();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(End::DESCRIPTORS))];
        let mut message = SendAncillaryBuffer::new(&mut space);
        message.push(SendAncillaryMessage::ScmRights(&descriptors));
        let byte = [IoSlice::new(b"L")];
        sendmsg(control, &byte, &mut message, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    #[test]
    fn a_worker_takes_so_many_lanes_and_no_more() -> io::Result<()> {
        let (control, theirs) = UnixStream::pair()?;
        for _ in 0..=WORKER_LANES_MAX {
            let (_, far) = keyway_ipc::pair()?;
            hand_over(&control, &far)?;
        }
        drop(control);
        let lanes = receive_lanes(&theirs.into())?;
        assert_eq!(lanes.len(), WORKER_LANES_MAX);
        Ok(())
    }
}
