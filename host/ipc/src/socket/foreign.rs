//! A peer that does not keep to the protocol.

use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::{over_socket, pair};
use crate::link::{Closed, Link};
use crate::{Standing, ToBroker, ToWorker, frame};

/// A broker's end, and the raw socket of whatever is at the other.
fn peer() -> io::Result<(Link<ToWorker, ToBroker>, UnixStream)> {
    let (ours, theirs) = pair()?;
    Ok((over_socket(ours.into())?, theirs))
}

fn ready() -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoded = frame::encode(&ToBroker::Ready(Standing::default()), &mut bytes);
    assert!(encoded.is_ok());
    bytes
}

#[tokio::test]
async fn a_link_that_ends_inside_a_message_does_not_end_as_if_all_were_well() -> io::Result<()> {
    for cut in 1..ready().len() {
        let (mut link, mut theirs) = peer()?;
        theirs.write_all(&[ready(), ready().split_at(cut).0.to_vec()].concat())?;
        drop(theirs);
        assert!(matches!(link.receiver.receive().await, Ok(Some(_))));
        assert!(
            matches!(link.receiver.receive().await, Err(Closed)),
            "{cut}"
        );
    }
    let (mut link, mut theirs) = peer()?;
    theirs.write_all(&ready())?;
    drop(theirs);
    assert!(matches!(link.receiver.receive().await, Ok(Some(_))));
    assert!(matches!(link.receiver.receive().await, Ok(None)));
    Ok(())
}

#[tokio::test]
async fn a_descriptor_that_no_message_brings_ends_the_link() -> io::Result<()> {
    let (mut link, theirs) = peer()?;
    let (reader, mut writer) = io::pipe()?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sending = [reader.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&sending));
    let bytes = ready();
    sendmsg(
        &theirs,
        &[IoSlice::new(&bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    assert!(matches!(link.receiver.receive().await, Err(Closed)));
    // Nothing holds the descriptor any more: the pipe has no reader.
    drop(link);
    drop(reader);
    let written = writer.write_all(b"x").map_err(|error| error.kind());
    assert_eq!(written, Err(io::ErrorKind::BrokenPipe));
    Ok(())
}
