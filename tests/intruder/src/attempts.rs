//! What it tries, by name. Each is one system call, or in `several` a few, with
//! arguments that would work for a process that is not confined, or that would
//! fail otherwise than by being refused.
#![expect(
    unsafe_code,
    reason = "the system calls themselves are what is tried; their arguments are valid"
)]

use std::ffi::CString;
use std::io;

/// What the attempts need, made before the lock-down, where memory may be had.
pub(crate) struct Prepared {
    path: CString,
    parent: libc::c_long,
    buffer: Vec<u8>,
}

/// One thing to try.
pub(crate) type Attempt = fn(&Prepared) -> io::Result<()>;

/// Room for whatever a call writes.
const BUFFER_BYTES: usize = 1 << 16;

pub(crate) fn prepare(path: &str) -> Prepared {
    Prepared {
        path: CString::new(path).unwrap_or_default(),
        parent: libc::c_long::from(std::os::unix::process::parent_id()),
        buffer: vec![0; BUFFER_BYTES],
    }
}

impl Prepared {
    /// The same with another path, or whatever else an attempt takes.
    pub(crate) fn with(self, path: &str) -> Self {
        Self {
            path: CString::new(path).unwrap_or_default(),
            ..self
        }
    }
}

pub(crate) fn find(name: &str) -> Option<Attempt> {
    ATTEMPTS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, attempt)| *attempt)
}

/// Makes a system call of up to six numbers.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {{
        // SAFETY: the kernel checks every argument; pointers are to memory of `Prepared`.
        let returned = unsafe { libc::syscall(libc::$number $(, $argument)*) };
        if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }};
}

mod several;
mod table;

use table::ATTEMPTS;

const ZERO: libc::c_long = 0;
const HERE: libc::c_long = libc::AT_FDCWD as libc::c_long;
const INET: libc::c_long = libc::AF_INET as libc::c_long;
const UNIX: libc::c_long = libc::AF_UNIX as libc::c_long;
const STREAM: libc::c_long = libc::SOCK_STREAM as libc::c_long;
const DATAGRAM: libc::c_long = libc::SOCK_DGRAM as libc::c_long;
const PAGE: libc::c_long = 4_096;
const RWX: libc::c_long = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as libc::c_long;
const RX: libc::c_long = (libc::PROT_READ | libc::PROT_EXEC) as libc::c_long;
const RW: libc::c_long = (libc::PROT_READ | libc::PROT_WRITE) as libc::c_long;
const PRIVATE_ANONYMOUS: libc::c_long = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as libc::c_long;

fn map(protection: libc::c_long) -> io::Result<()> {
    call!(
        SYS_mmap,
        ZERO,
        PAGE,
        protection,
        PRIVATE_ANONYMOUS,
        -1_i64,
        ZERO
    )
}

fn protect(number: libc::c_long, p: &Prepared, protection: libc::c_long) -> io::Result<()> {
    let start = p.buffer.as_ptr().addr().next_multiple_of(4_096);
    // SAFETY: one page inside the buffer, whose content nobody reads.
    let returned = unsafe { libc::syscall(number, start, PAGE, protection, -1_i64) };
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn number(number: libc::c_long) -> io::Result<()> {
    // SAFETY: a call without arguments.
    if unsafe { libc::syscall(number) } < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// `getpid` of 32-bit programs, whose numbers are others.
fn old_processor_mode() -> io::Result<()> {
    const GETPID_32: u64 = 20;
    let mut returned = GETPID_32;
    // SAFETY: a system call without arguments, that changes one register.
    unsafe { std::arch::asm!("int 0x80", inout("rax") returned) };
    if returned == 0 {
        Err(io::Error::other("no answer"))
    } else {
        Ok(())
    }
}
