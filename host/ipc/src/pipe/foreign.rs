//! A peer that does not keep to the protocol.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::Errno;

use super::over_pipes;
use crate::end::{pair, receive_descriptor, send_descriptor};
use crate::link::{Closed, Link};
use crate::{Standing, ToBroker, ToWorker, frame};

/// Whatever is at the other end of a broker's link.
struct Peer {
    writing: File,
    descriptors: OwnedFd,
}

fn peer() -> io::Result<(Link<ToWorker, ToBroker>, Peer)> {
    let (ours, theirs) = pair()?;
    let peer = Peer {
        writing: theirs.writing.into(),
        descriptors: theirs.descriptors,
    };
    Ok((over_pipes(ours)?, peer))
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
        theirs
            .writing
            .write_all(&[ready(), ready().split_at(cut).0.to_vec()].concat())?;
        drop(theirs);
        assert!(matches!(link.receiver.receive().await, Ok(Some(_))));
        assert!(
            matches!(link.receiver.receive().await, Err(Closed)),
            "{cut}"
        );
    }
    let (mut link, mut theirs) = peer()?;
    theirs.writing.write_all(&ready())?;
    drop(theirs);
    assert!(matches!(link.receiver.receive().await, Ok(Some(_))));
    assert!(matches!(link.receiver.receive().await, Ok(None)));
    Ok(())
}

#[tokio::test]
async fn a_worker_cannot_send_a_descriptor() -> io::Result<()> {
    let (_link, theirs) = peer()?;
    let (reader, mut writer) = io::pipe()?;
    let sent = send_descriptor(&theirs.descriptors, reader.as_fd());
    assert_eq!(sent, Err(Errno::PIPE));
    // Nothing else holds it: the pipe has no reader.
    drop(reader);
    let written = writer.write_all(b"x").map_err(|error| error.kind());
    assert_eq!(written, Err(io::ErrorKind::BrokenPipe));
    Ok(())
}

#[tokio::test]
async fn a_message_whose_descriptor_is_not_there_comes_without_one() -> io::Result<()> {
    let (ours, theirs) = pair()?;
    let mut link: Link<ToBroker, ToWorker> = over_pipes(ours)?;
    let mut bytes = Vec::new();
    let load = ToWorker::Load {
        artifact: keyway_model::Digest::of(b"code"),
        length: 1,
    };
    assert!(frame::encode(&load, &mut bytes).is_ok());
    let mut writing = File::from(theirs.writing);
    writing.write_all(&bytes)?;
    let first = link.receiver.receive().await.map_err(io::Error::other)?;
    assert!(first.is_some_and(|incoming| incoming.descriptor.is_none()));
    let (reader, _writer) = io::pipe()?;
    send_descriptor(&theirs.descriptors, reader.as_fd())?;
    writing.write_all(&bytes)?;
    let second = link.receiver.receive().await.map_err(io::Error::other)?;
    assert!(second.is_some_and(|incoming| incoming.descriptor.is_some()));
    Ok(())
}

#[test]
fn a_byte_without_a_descriptor_is_none() -> io::Result<()> {
    let (ours, theirs) = pair()?;
    rustix::io::write(&theirs.descriptors, b"D")?;
    assert!(receive_descriptor(&ours.descriptors)?.is_none());
    Ok(())
}
