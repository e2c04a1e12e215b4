//! The ends of a link between two processes: a pipe for each direction, a socket
//! for long pieces of bodies, and one for the descriptors that go along.
//!
//! A short message over a pipe costs two thirds of what it costs over a socket; a
//! long piece twice as much, since a pipe takes a page for each 4 KiB. The pipe says
//! of each message what of it is on the socket, and so in which order they come. A
//! descriptor is on its socket before its message is in the pipe, so whoever has read
//! the message finds it there.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Bytes that are under way in one direction before the writer waits.
const PIPE_BYTES: usize = 256 << 10;

/// One process's end of a link.
#[derive(Debug)]
pub struct End {
    pub(crate) reading: OwnedFd,
    pub(crate) writing: OwnedFd,
    pub(crate) long: OwnedFd,
    pub(crate) descriptors: OwnedFd,
}

impl End {
    /// How many descriptors an end is.
    pub const DESCRIPTORS: usize = 4;

    /// What it is made of, to be sent to the process that it is for.
    pub fn as_descriptors(&self) -> [BorrowedFd<'_>; Self::DESCRIPTORS] {
        [
            self.reading.as_fd(),
            self.writing.as_fd(),
            self.long.as_fd(),
            self.descriptors.as_fd(),
        ]
    }

    /// The end that was sent as these.
    pub fn from_descriptors(descriptors: [OwnedFd; Self::DESCRIPTORS]) -> Self {
        let [reading, writing, long, descriptors] = descriptors;
        Self {
            reading,
            writing,
            long,
            descriptors,
        }
    }
}

/// Both ends of a link, for a broker and the worker that it starts.
///
/// # Errors
///
/// The operating system's, if it has no more descriptors.
pub fn pair() -> io::Result<(End, End)> {
    let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
    let (our_reading, their_writing) = pipe_with(flags)?;
    let (their_reading, our_writing) = pipe_with(flags)?;
    for pipe in [&their_writing, &our_writing] {
        // Where a user has too many of them already, it stays as short as it is.
        fcntl_setpipe_size(pipe, PIPE_BYTES).ok();
    }
    let (our_long, their_long) = sockets()?;
    let (our_descriptors, their_descriptors) = sockets()?;
    let ours = End {
        reading: our_reading,
        writing: our_writing,
        long: our_long,
        descriptors: our_descriptors,
    };
    let theirs = End {
        reading: their_reading,
        writing: their_writing,
        long: their_long,
        descriptors: their_descriptors,
    };
    Ok((ours, theirs))
}

fn sockets() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    Ok((ours.into(), theirs.into()))
}

/// Sends one descriptor, on a byte of its own.
pub(crate) fn send_descriptor(socket: &OwnedFd, descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
    let borrowed = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&borrowed));
    let byte = [IoSlice::new(b"D")];
    sendmsg(socket, &byte, &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// The next descriptor; none, if none is there or the byte came without one.
pub(crate) fn receive_descriptor(socket: &OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    let mut byte = [0; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    loop {
        let mut buffer = [IoSliceMut::new(&mut byte)];
        match recvmsg(socket, &mut buffer, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(_) => break,
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    let mut received = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut rights) = message {
            received = rights.next();
        }
    }
    Ok(received)
}
