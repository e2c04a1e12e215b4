//! A process in a worker's place that has every layer but the filter of system calls, so that
//! the layers behind it answer. The steps are the worker's own, in their order; the last one
//! finds a kernel that seems to have no such filter.
#![expect(
    unsafe_code,
    reason = "asking the kernel what it has is system calls; none takes a pointer"
)]

use std::io;

use keyway_confine::{Confinement, Layer, Limits};

use crate::without;

/// `landlock_create_ruleset(…, LANDLOCK_CREATE_RULESET_VERSION)`.
const VERSION: libc::c_long = 1;

/// `prctl(PR_GET_MDWE)`, since Linux 6.3.
const GET_MDWE: libc::c_int = 66;

/// Takes every layer but the filter. An error, if another is missing.
pub(crate) fn lock_in(limits: &Limits) -> io::Result<()> {
    let threaded = Confinement::begin(crate::start()).before_threads();
    // Now, since what hides the filter sets it, too.
    // SAFETY: takes numbers alone.
    if unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0_u64, 0_u64, 0_u64, 0_u64) } != 1 {
        return Err(io::Error::other("not confined: privileges can be had"));
    }
    without::hide("filter")?;
    let report = threaded.close(limits);
    let refused: Vec<Layer> = report.refused().map(|(layer, _)| layer).collect();
    if refused == [Layer::Filter] {
        Ok(())
    } else {
        let not = format!("not confined as it should be: {report:?}");
        Err(io::Error::other(not))
    }
}

/// Says on standard error what the kernel has, a line for each: the version of Landlock, and
/// whether memory is written or run (`mdwe`, 0 or more). What it has not is -1.
pub(crate) fn kernel() {
    // SAFETY: no rules are given, and so no memory.
    let landlock = unsafe {
        let (rules, bytes) = (0_usize, 0_usize);
        libc::syscall(libc::SYS_landlock_create_ruleset, rules, bytes, VERSION)
    };
    // SAFETY: takes numbers alone.
    let mdwe = unsafe { libc::prctl(GET_MDWE, 0_u64, 0_u64, 0_u64, 0_u64) };
    eprintln!("landlock {landlock}\nmdwe {mdwe}");
}
