//! The body of a worker process.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use keyway_ipc::fair::{ToLong, run_long};
use tokio::sync::mpsc;

use crate::confine;
use crate::engine::{EngineError, PoolSize};
use crate::lane::serve_beside;
use crate::worker::Worker;

/// I/O is looked at after so many tasks; more calls share one look.
const EVENT_INTERVAL: u32 = 31;

/// Why a worker process cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// There is no engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A thread, a runtime or a socket cannot be had.
    #[error("a lane of the worker cannot be set up")]
    Lane(#[from] io::Error),
    /// A lane has panicked.
    #[error("a lane of the worker broke off")]
    Broken,
}

/// The body of a worker process: two threads for each socket, until the broker
/// has closed them all. Every thread that the process will ever have exists
/// when the first message is read.
///
/// # Errors
///
/// [`ProcessError`], if the machine cannot give threads, memory or sockets, or
/// if a lane has panicked.
pub fn run_process(lanes: Vec<OwnedFd>, size: &PoolSize) -> Result<(), ProcessError> {
    let worker = Worker::new(size)?;
    confine::give_up_rights(lanes.len())?;
    let mut threads = Vec::with_capacity(lanes.len());
    for (number, socket) in lanes.into_iter().enumerate() {
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(true)?;
        let worker = Arc::clone(&worker);
        let (long, arriving) = mpsc::unbounded_channel();
        let thread = thread::Builder::new()
            .name(format!("keyway-lane-{number}"))
            .spawn(move || run_lane(worker, stream, long))?;
        threads.push(thread);
        // It waits for calls and for time, and so holds no descriptor.
        let long = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let thread = thread::Builder::new()
            .name(format!("keyway-long-{number}"))
            .spawn(move || {
                long.block_on(run_long(arriving));
                Ok(())
            })?;
        threads.push(thread);
    }
    confine::give_up_processes()?;
    drop(worker);
    for thread in threads {
        thread.join().map_err(|_| ProcessError::Broken)??;
    }
    Ok(())
}

fn run_lane(worker: Arc<Worker>, stream: UnixStream, long: ToLong) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()?;
    runtime.block_on(async {
        let link = keyway_ipc::over_socket(stream.into())?;
        serve_beside(worker, link, Some(long)).await;
        Ok(())
    })
}
