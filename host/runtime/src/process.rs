//! The body of a worker process.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier};
use std::thread;

use keyway_confine::{Confinement, Limits};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::confine;
use crate::engine::{EngineError, PoolSize};
use crate::lane::serve_lane;
use crate::long;
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

/// The body of a worker process: one thread for each socket, until the broker
/// has closed them all. Every thread that the process will ever have exists,
/// with its event queue, when the last layer of confinement is put on; the
/// first message is read after that. A layer that was refused is for the
/// broker to decide about: it is told before it sends anything.
///
/// # Errors
///
/// [`ProcessError`], if the machine cannot give threads, memory or sockets, or
/// if a lane has panicked.
pub fn run_process(
    lanes: Vec<OwnedFd>,
    size: &PoolSize,
    confinement: Confinement,
) -> Result<(), ProcessError> {
    let worker = Worker::new(size)?;
    let limits = Limits {
        threads: lanes.len() + 1,
        data_bytes_more: size.data_bytes_more(),
        cpu_max: None,
    };
    let threaded = confinement.before_threads();
    worker.start_clock()?;
    // Once when all have what they need, once more when all are confined.
    let together = Arc::new(Barrier::new(lanes.len() + 2));
    let (lanes_are_there, no_lane) = oneshot::channel::<()>();
    let long = {
        let (worker, together) = (Arc::clone(&worker), Arc::clone(&together));
        thread::Builder::new()
            .name("keyway-long".to_owned())
            .spawn(move || run_long(&worker, no_lane, &together))?
    };
    let mut threads = Vec::with_capacity(lanes.len());
    for (number, socket) in lanes.into_iter().enumerate() {
        let (worker, together) = (Arc::clone(&worker), Arc::clone(&together));
        let thread = thread::Builder::new()
            .name(format!("keyway-lane-{number}"))
            .spawn(move || run_lane(worker, socket, &together))?;
        threads.push(thread);
    }
    together.wait();
    worker.confined(confine::layers(&threaded.close(&limits)));
    together.wait();
    drop(worker);
    for thread in threads {
        thread.join().map_err(|_| ProcessError::Broken)??;
    }
    drop(lanes_are_there);
    long.join().map_err(|_| ProcessError::Broken)??;
    Ok(())
}

fn run_lane(worker: Arc<Worker>, socket: OwnedFd, together: &Barrier) -> io::Result<()> {
    let prepared = prepare(socket);
    together.wait();
    together.wait();
    let (runtime, link) = prepared?;
    runtime.block_on(serve_lane(worker, link));
    Ok(())
}

/// The thread on which long calls go on, as long as there is a lane.
fn run_long(worker: &Worker, no_lane: oneshot::Receiver<()>, together: &Barrier) -> io::Result<()> {
    let runtime = runtime();
    if let Ok(runtime) = &runtime {
        worker.has_long_thread(runtime.handle().clone());
    }
    // Of this thread alone. Where it may not, it is as important as a lane.
    let _stood_back = rustix::process::nice(long::STANDS_BACK);
    together.wait();
    together.wait();
    // Nobody sends: the end of the sender is what it waits for.
    let _gone = runtime?.block_on(no_lane);
    Ok(())
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
}

type Link = keyway_ipc::Link<keyway_ipc::ToBroker, keyway_ipc::ToWorker>;

/// Everything of a lane that needs the kernel to make something.
fn prepare(socket: OwnedFd) -> io::Result<(Runtime, Link)> {
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(true)?;
    let runtime = runtime()?;
    let link = {
        let _inside = runtime.enter();
        keyway_ipc::over_socket(stream.into())?
    };
    Ok((runtime, link))
}
