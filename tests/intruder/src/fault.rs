//! A fault of memory in a worker's place: code that reads where no memory is, and no guest's
//! either, while the engine's handlers are installed. They know nothing of that place and give
//! the signal back, so that the kernel ends the process when the read is made again. If the
//! filter of system calls kept them from that, it would be made again for ever.
#![expect(
    unsafe_code,
    reason = "the fault is what is tried; and no safe call has the kernel end what stands still"
)]

use std::io;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use keyway_confine::{Confinement, Limits, Start};
use keyway_runtime::{PoolSize, Worker};

/// What goes on for ever is ended by another signal than the fault's: after this time on a
/// processor by `SIGXCPU`, and after so many seconds on the wall by `SIGALRM`.
const CPU_MAX: Duration = Duration::from_secs(5);
const WALL_SECONDS_MAX: libc::c_uint = 60;

/// The second page, which nothing may be mapped at.
const NOWHERE: usize = 4_096;

/// Locks itself in as a worker does, between the same steps, and has a thread like those of
/// lanes read where nothing is. Comes back only if that did not end the process.
pub(crate) fn run(limits: &Limits) -> io::Result<()> {
    // SAFETY: takes a number.
    unsafe { libc::alarm(WALL_SECONDS_MAX) };
    let start = Start {
        user: Some(65_534),
        broker: std::os::unix::process::parent_id(),
    };
    let limits = Limits {
        cpu_max: Some(CPU_MAX),
        ..*limits
    };
    let size = PoolSize {
        instances_max: 1,
        ..PoolSize::default()
    };
    let confinement = Confinement::begin(start);
    let worker = Worker::new(&size).map_err(io::Error::other)?;
    let threaded = confinement.before_threads();
    worker.start_clock().map_err(io::Error::other)?;
    let together = Arc::new(Barrier::new(2));
    let all = Arc::clone(&together);
    let lane = thread::Builder::new()
        .name("keyway-lane-0".to_owned())
        .spawn(move || {
            all.wait();
            all.wait();
            read_nowhere()
        })?;
    together.wait();
    let report = threaded.close(&limits);
    if let Some((layer, why)) = report.refused().next() {
        let refused = format!("not confined: {layer}: {why}");
        return Err(io::Error::other(refused));
    }
    together.wait();
    let read = lane.join();
    Err(io::Error::other(format!("it goes on: {read:?}")))
}

/// By an instruction, of which no compiler thinks that it cannot be.
fn read_nowhere() -> usize {
    let read: usize;
    // SAFETY: there is no such memory, and so nobody's is read.
    unsafe {
        std::arch::asm!(
            "mov {read}, qword ptr [{place}]",
            read = out(reg) read,
            place = in(reg) NOWHERE,
            options(nostack, readonly),
        );
    }
    read
}
