//! A kernel that counts: each scan of a page map, by a program or whoever it
//! starts, is noted in a file, and then done as if nobody had looked.
#![expect(
    unsafe_code,
    reason = "installing the filter and answering for it are system calls"
)]

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::without::{PAGEMAP_SCAN, steps_over_ioctl};

/// `_IOWR('!', 0, struct seccomp_notif)` and `_IOWR('!', 1, struct seccomp_notif_resp)`.
const RECEIVE: libc::c_ulong = 0xC050_2100;
const SEND: libc::c_ulong = 0xC018_2101;

/// Runs `program` as a child and appends a byte to `file` for each scan, until
/// the child has ended. Comes back only with an error.
pub(crate) fn run(file: &str, program: &[String]) -> io::Error {
    match watch(file, program) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn watch(file: &str, program: &[String]) -> io::Result<std::convert::Infallible> {
    let [program, arguments @ ..] = program else {
        return Err(io::Error::other(
            "usage: intruder watch FILE PROGRAM [ARGUMENT…]",
        ));
    };
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    let listener = install()?;
    let mut command = Command::new(program);
    command.args(arguments);
    // SAFETY: one system call between fork and exec, with numbers.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            },
        );
    }
    let mut child = command.spawn()?;
    std::thread::spawn(move || {
        let code = child.wait().ok().and_then(|status| status.code());
        std::process::exit(code.unwrap_or(1));
    });
    loop {
        let id = receive(&listener)?;
        file.write_all(b".")?;
        go_on(&listener, id)?;
    }
}

/// From here on, scans of this process's children wait until they are let on.
fn install() -> io::Result<OwnedFd> {
    let steps = steps_over_ioctl(PAGEMAP_SCAN, libc::SECCOMP_RET_USER_NOTIF);
    let mut steps = steps.ok_or_else(|| io::Error::other("no filter can be written"))?;
    let filter = libc::sock_fprog {
        len: u16::try_from(steps.len()).map_err(io::Error::other)?,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: numbers, and a pointer to instructions that live beyond the call;
    // the descriptor that comes back is nobody else's.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        let listener = libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &filter,
        );
        match i32::try_from(listener) {
            Ok(listener) if listener >= 0 => Ok(OwnedFd::from_raw_fd(listener)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Waits for the next scan.
fn receive(listener: &OwnedFd) -> io::Result<u64> {
    loop {
        // SAFETY: the kernel wants zeros, and fills the structure.
        let (done, notice) = unsafe {
            let mut notice: libc::seccomp_notif = std::mem::zeroed();
            let done = libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut notice);
            (done, notice)
        };
        if done == 0 {
            return Ok(notice.id);
        }
        let error = io::Error::last_os_error();
        // Whoever asked may be gone by now.
        if !matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOENT)) {
            return Err(error);
        }
    }
}

/// Lets the kernel do what was asked.
fn go_on(listener: &OwnedFd, id: u64) -> io::Result<()> {
    let mut answer = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: 0,
        flags: u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).map_err(io::Error::other)?,
    };
    // SAFETY: the structure is the kernel's, and lives beyond the call.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut answer) };
    match done {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            // A process that has ended waits for no answer.
            gone if gone.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            error => Err(error),
        },
    }
}
