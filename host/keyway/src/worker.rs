//! `keyway worker`: the process that runs guests. It is handed its lanes over
//! standard input, and holds nothing else.

use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use keyway_runtime::PoolSize;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::cli::WorkerOptions;

/// Lanes of one worker, at most.
const LANES_MAX: usize = 64;

/// Runs a worker, or compiles one component.
pub(crate) fn main(options: &WorkerOptions) -> Result<ExitCode> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("asking to end with the broker")?;
    if options.compile {
        return compile_one();
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
        ..default
    };
    keyway_runtime::run_process(lanes, &pool)?;
    Ok(ExitCode::SUCCESS)
}

fn compile_one() -> Result<ExitCode> {
    let mut component = Vec::new();
    io::stdin()
        .lock()
        .take(keyway_model::limit::ARTIFACT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut component)?;
    let answer = keyway_runtime::compile(&component).map_err(|error| error.to_string());
    io::stdout()
        .lock()
        .write_all(&postcard::to_stdvec(&answer)?)?;
    Ok(ExitCode::SUCCESS)
}

/// One descriptor with each byte, until the other side has sent all.
fn receive_lanes(control: &OwnedFd) -> io::Result<Vec<OwnedFd>> {
    let mut lanes = Vec::new();
    loop {
        let mut byte = [0; 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut message = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            control,
            &mut [IoSliceMut::new(&mut byte)],
            &mut message,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if received.bytes == 0 || lanes.len() == LANES_MAX {
            return Ok(lanes);
        }
        for part in message.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = part {
                lanes.extend(descriptors);
            }
        }
    }
}
