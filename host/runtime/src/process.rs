//! The body of a worker process.

use std::io;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use keyway_confine::{Confinement, Limits};
use keyway_ipc::End;
use keyway_ipc::fair::{self, Arriving, ToLong, run_long};
use tokio::runtime::Runtime;

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
    /// A thread, a runtime or a descriptor cannot be had.
    #[error("a lane of the worker cannot be set up")]
    Lane(#[from] io::Error),
    /// A lane has panicked.
    #[error("a lane of the worker broke off")]
    Broken,
}

/// Threads of each lane: its own, and those of long and of late calls.
const THREADS_PER_LANE: usize = 3;

/// The body of a worker process, which has so much time on processors over its
/// life: three threads for each lane, until the broker
/// has closed them all. Every thread that the process will ever have exists,
/// with its event queue, when the last layer of confinement is put on; the
/// first message is read after that. A layer that was refused is for the
/// broker to decide about: it is told before it sends anything.
///
/// # Errors
///
/// [`ProcessError`], if the machine cannot give threads, memory or descriptors, or
/// if a lane has panicked.
pub fn run_process(
    lanes: Vec<End>,
    size: &PoolSize,
    cpu_max: Duration,
    confinement: Confinement,
) -> Result<(), ProcessError> {
    let worker = Worker::new(size)?;
    let limits = Limits {
        threads: lanes.len(),
        data_bytes_more: size.data_bytes_more(),
        cpu_max: Some(cpu_max),
    };
    let threaded = confinement.before_threads();
    worker.start_clock()?;
    // Once when all have what they need, once more when all are confined.
    let together = Arc::new(Barrier::new(THREADS_PER_LANE * lanes.len() + 1));
    let mut threads = Vec::with_capacity(THREADS_PER_LANE * lanes.len());
    for (number, end) in lanes.into_iter().enumerate() {
        let (to_long, [long, late]) = fair::long();
        let (worker, all) = (Arc::clone(&worker), Arc::clone(&together));
        let lane = thread::Builder::new()
            .name(format!("keyway-lane-{number}"))
            .spawn(move || run_lane(worker, end, to_long, &all))?;
        threads.push(lane);
        let beside = [
            ("long", long, keyway_confine::stand_back_for_all as fn()),
            ("late", late, keyway_confine::stand_back),
        ];
        for (name, arriving, stand_back) in beside {
            let all = Arc::clone(&together);
            let thread = thread::Builder::new()
                .name(format!("keyway-{name}-{number}"))
                .spawn(move || run_beside(arriving, stand_back, &all))?;
            threads.push(thread);
        }
    }
    together.wait();
    worker.confined(confine::layers(&threaded.close(&limits)));
    together.wait();
    drop(worker);
    for thread in threads {
        thread.join().map_err(|_| ProcessError::Broken)??;
    }
    Ok(())
}

fn run_lane(worker: Arc<Worker>, end: End, long: ToLong, together: &Barrier) -> io::Result<()> {
    let prepared = prepare(end);
    together.wait();
    together.wait();
    let (runtime, link) = prepared?;
    runtime.block_on(serve_beside(worker, link, Some(long)));
    Ok(())
}

/// Goes on with the calls of one lane that compute for long, as long as the
/// lane is there. It waits for calls and for time, and so holds no descriptor.
fn run_beside(arriving: Arriving, stand_back: fn(), together: &Barrier) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    // Of this thread alone. Where it may not, it is as important as a lane.
    stand_back();
    together.wait();
    together.wait();
    runtime?.block_on(run_long(arriving));
    Ok(())
}

type Link = keyway_ipc::Link<keyway_ipc::ToBroker, keyway_ipc::ToWorker>;

/// Everything of a lane that needs the kernel to make something.
fn prepare(end: End) -> io::Result<(Runtime, Link)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()?;
    let link = {
        let _inside = runtime.enter();
        keyway_ipc::over_pipes(end)?
    };
    Ok((runtime, link))
}
