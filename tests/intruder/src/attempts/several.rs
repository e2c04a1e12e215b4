//! Attempts of several system calls, of which the filter would end the first: they get as far
//! as the layers behind it. What they are about is said where others have their path.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::FromRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::str::FromStr;

use super::{PAGE, Prepared, ZERO};

/// A number that is said in the path's place.
fn said<T: FromStr>(p: &Prepared) -> io::Result<T> {
    let text = p.path.to_str().map_err(io::Error::other)?;
    text.parse()
        .map_err(|_| io::Error::other("this attempt takes a number"))
}

/// A port of this machine that somebody listens on.
#[expect(
    clippy::disallowed_methods,
    reason = "that it is dialled is what is tried"
)]
pub(super) fn connect_port(p: &Prepared) -> io::Result<()> {
    let port: u16 = said(p)?;
    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).map(drop)
}

pub(super) fn listen_port(p: &Prepared) -> io::Result<()> {
    let port: u16 = said(p)?;
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).map(drop)
}

/// A socket that has no file, and so no file's rights.
pub(super) fn connect_abstract(p: &Prepared) -> io::Result<()> {
    let address = UnixAddress::from_abstract_name(p.path.as_bytes())?;
    UnixStream::connect_addr(&address).map(drop)
}

/// Asks whether a process could be sent a signal, and sends none.
pub(super) fn signal(p: &Prepared) -> io::Result<()> {
    let process: libc::c_long = said(p)?;
    call!(SYS_kill, process, ZERO)
}

/// A memory file with room for code, which could be written and then mapped to run.
pub(super) fn memory_file(_: &Prepared) -> io::Result<()> {
    // SAFETY: the name lives beyond the call.
    let file = unsafe { libc::memfd_create(c"intruder".as_ptr(), 0) };
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was made just now, and is nobody else's.
    let file = unsafe { File::from_raw_fd(file) };
    file.set_len(PAGE.unsigned_abs())
}

/// Stands still until its standard input ends, so that others can look at it.
pub(super) fn wait() -> io::Result<()> {
    eprintln!("waits");
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
