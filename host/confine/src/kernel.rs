//! The four requests to the kernel that no safe library makes.
#![expect(
    unsafe_code,
    reason = "system calls without a safe form; none of them touches memory of this process"
)]

use std::io;

use seccompiler::BpfProgram;

/// The first descriptor after standard input, output and error.
const FIRST_OWN_DESCRIPTOR: libc::c_uint = 3;

/// `prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN)`, since Linux 6.3.
const SET_MDWE: libc::c_int = 65;
const REFUSE_EXEC_GAIN: libc::c_ulong = 1;

/// `seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, …)`.
const SET_MODE_FILTER: libc::c_ulong = 1;
const ALL_THREADS: libc::c_ulong = 1;

/// Closes every descriptor but the three standard ones. Only for a process that
/// has opened nothing yet.
pub(crate) fn close_inherited() -> io::Result<()> {
    // SAFETY: nothing in this process owns a descriptor above the standard ones yet.
    let closed = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST_OWN_DESCRIPTOR,
            libc::c_uint::MAX,
            0 as libc::c_uint,
        )
    };
    outcome(closed)
}

/// No memory becomes executable that was not so when it was mapped.
pub(crate) fn refuse_exec_gain() -> io::Result<()> {
    // SAFETY: takes numbers alone.
    let set = unsafe { libc::prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0_u64, 0_u64, 0_u64) };
    outcome(set.into())
}

/// This thread computes when hardly any other thread would.
pub(crate) fn only_when_idle() -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: `priority` lives beyond the call; 0 is the thread that calls.
    let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const priority) };
    outcome(set.into())
}

/// Puts a filter over all threads of this process.
pub(crate) fn install(program: &BpfProgram) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let filter = libc::sock_fprog {
        len: length,
        // The kernel reads it; its type has no `const`. The two libraries'
        // instructions have the kernel's own layout.
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `filter` points to `length` instructions, which live beyond the call.
    let installed = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SET_MODE_FILTER,
            ALL_THREADS,
            std::ptr::from_ref(&filter),
        )
    };
    match installed {
        0 => Ok(()),
        thread if thread > 0 => Err(io::Error::other("a thread does not take the filter")),
        _ => Err(io::Error::last_os_error()),
    }
}

fn outcome(returned: libc::c_long) -> io::Result<()> {
    if returned == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
