//! A kernel that seems to lack something: a filter answers a system call as if
//! it were not there, and stays over every program that is started.
#![expect(unsafe_code, reason = "installing the filter is a system call")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What a layer needs, and how a kernel answers that does not have it.
fn call_of(layer: &str) -> Option<(u32, u32)> {
    let (call, answer) = match layer {
        "landlock" => (libc::SYS_landlock_create_ruleset, libc::ENOSYS),
        "filter" => (libc::SYS_seccomp, libc::ENOSYS),
        "user" => (libc::SYS_setresuid, libc::EPERM),
        _ => return None,
    };
    Some((u32::try_from(call).ok()?, answer.unsigned_abs()))
}

/// Runs `program` in this process's place. Comes back only with an error.
pub(crate) fn run(layer: &str, program: &[String]) -> io::Error {
    let Some((call, answer)) = call_of(layer) else {
        return io::Error::other("there is no such layer");
    };
    let [program, arguments @ ..] = program else {
        return io::Error::other("usage: intruder without LAYER PROGRAM [ARGUMENT…]");
    };
    match install(call, answer) {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error,
    }
}

/// `if nr == call { errno } else { allow }`. By `prctl`, so that it can be put
/// over `seccomp` itself.
fn install(call: u32, answer: u32) -> io::Result<()> {
    const LOAD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(LOAD, 0, 0, 0),
        step(JUMP_EQUAL, 0, 1, call),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | answer),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: 4,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: numbers, and a pointer to four instructions that live beyond the call.
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
