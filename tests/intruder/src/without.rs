//! A kernel that seems to lack something: a filter answers a system call as if
//! it were not there, and stays over every program that is started.
#![expect(unsafe_code, reason = "installing the filter is a system call")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// `ioctl(PAGEMAP_SCAN)`, by which instances are reset the quick way.
pub(crate) const PAGEMAP_SCAN: u32 = 0xC060_6610;

/// The filter over what a layer needs, which answers as a kernel does that does
/// not have it.
fn filter_over(layer: &str) -> Option<Vec<libc::sock_filter>> {
    let errno = |errno: libc::c_int| libc::SECCOMP_RET_ERRNO | errno.unsigned_abs();
    let (call, answer) = match layer {
        "landlock" => (libc::SYS_landlock_create_ruleset, libc::ENOSYS),
        "filter" => (libc::SYS_seccomp, libc::ENOSYS),
        "user" => (libc::SYS_setresuid, libc::EPERM),
        "scan" => return steps_over_ioctl(PAGEMAP_SCAN, errno(libc::ENOTTY)),
        _ => return None,
    };
    Some(steps_over(u32::try_from(call).ok()?, errno(answer)))
}

/// Runs `program` in this process's place. Comes back only with an error.
pub(crate) fn run(layer: &str, program: &[String]) -> io::Error {
    let Some(filter) = filter_over(layer) else {
        return io::Error::other("there is no such layer");
    };
    let [program, arguments @ ..] = program else {
        return io::Error::other("usage: intruder without LAYER PROGRAM [ARGUMENT…]");
    };
    match install(filter) {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error,
    }
}

const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

const fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// `if nr == call { answer } else { allow }`.
fn steps_over(call: u32, answer: u32) -> Vec<libc::sock_filter> {
    vec![
        step(LOAD, 0, 0, 0),
        step(JUMP_EQUAL, 0, 1, call),
        step(RETURN, 0, 0, answer),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

/// `if nr == ioctl && args[1] == request { answer } else { allow }`.
pub(crate) fn steps_over_ioctl(request: u32, answer: u32) -> Option<Vec<libc::sock_filter>> {
    /// Where the low half of the second argument is.
    const REQUEST_AT: u32 = 24;
    let call = u32::try_from(libc::SYS_ioctl).ok()?;
    Some(vec![
        step(LOAD, 0, 0, 0),
        step(JUMP_EQUAL, 0, 3, call),
        step(LOAD, 0, 0, REQUEST_AT),
        step(JUMP_EQUAL, 0, 1, request),
        step(RETURN, 0, 0, answer),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ])
}

/// Puts a filter over this process. By `prctl`, so that it can be put over
/// `seccomp` itself.
fn install(mut steps: Vec<libc::sock_filter>) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(steps.len()).map_err(io::Error::other)?,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: numbers, and a pointer to instructions that live beyond the call.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) == 0
    };
    if installed {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
