//! A peer that does not keep to the protocol.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use rustix::io::Errno;

use super::over_pipes;
use crate::end::{pair, receive_descriptor, send_descriptor};
use crate::link::{Closed, Incoming, Link};
use crate::{CallId, RequestId, Standing, ToBroker, ToWorker, frame};

/// Whatever is at the other end of a broker's link.
struct Peer {
    reading: Option<OwnedFd>,
    writing: File,
    long: File,
    descriptors: OwnedFd,
}

fn peer() -> io::Result<(Link<ToWorker, ToBroker>, Peer)> {
    let (ours, theirs) = pair()?;
    let peer = Peer {
        reading: Some(theirs.reading),
        writing: theirs.writing.into(),
        long: theirs.long.into(),
        descriptors: theirs.descriptors,
    };
    Ok((over_pipes(ours)?, peer))
}

fn ready() -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoded = frame::encode(&ToBroker::Ready(Standing::default()), 0, &mut bytes);
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

fn chunk(bytes: Vec<u8>) -> ToBroker {
    ToBroker::Chunk {
        call: CallId(0),
        request: RequestId(0),
        bytes: bytes.into(),
    }
}

/// A long piece of a body: what goes to the pipe, and what to the socket.
fn long() -> (Vec<u8>, Vec<u8>) {
    let mut front = Vec::new();
    let encoded = frame::encode(&chunk(Vec::new()), frame::LONG_BYTES, &mut front);
    assert!(encoded.is_ok());
    (front, vec![7; frame::LONG_BYTES])
}

#[tokio::test]
async fn a_link_that_ends_inside_a_long_message_does_not_end_as_if_all_were_well() -> io::Result<()>
{
    let (front, message) = long();
    for cut in 1..front.len() {
        let (mut link, mut theirs) = peer()?;
        theirs.writing.write_all(front.split_at(cut).0)?;
        theirs.long.write_all(&message)?;
        drop(theirs);
        assert!(
            matches!(link.receiver.receive().await, Err(Closed)),
            "{cut}"
        );
    }
    for cut in [0, 1, message.len() / 2, message.len() - 1] {
        let (mut link, mut theirs) = peer()?;
        theirs.writing.write_all(&front)?;
        theirs.long.write_all(message.split_at(cut).0)?;
        drop(theirs);
        assert!(
            matches!(link.receiver.receive().await, Err(Closed)),
            "{cut}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_long_message_comes_when_all_of_it_has_and_those_behind_it_wait() -> io::Result<()> {
    let (front, message) = long();
    let (mut link, mut theirs) = peer()?;
    theirs
        .writing
        .write_all(&[ready(), front, ready()].concat())?;
    let is_ready = |message| {
        matches!(
            message,
            Ok(Some(Incoming {
                message: ToBroker::Ready(_),
                ..
            }))
        )
    };
    assert!(is_ready(link.receiver.receive().await));
    for part in message.chunks(1 + message.len() / 3) {
        // Whoever waits for it reads what has come, may go away, and comes again.
        let mut waiting = pin!(link.receiver.receive());
        for _ in 0..3 {
            assert!(poll!(waiting.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        theirs.long.write_all(part)?;
    }
    let received = link.receiver.receive().await;
    let is_whole = matches!(
        received,
        Ok(Some(Incoming { message: ToBroker::Chunk { bytes, .. }, .. }))
            if bytes == [7; frame::LONG_BYTES].as_slice()
    );
    assert!(is_whole && is_ready(link.receiver.receive().await));
    Ok(())
}

#[tokio::test]
async fn a_long_message_in_the_pipe_ends_the_link() -> io::Result<()> {
    let (_, message) = long();
    let (mut link, mut theirs) = peer()?;
    let mut bytes = Vec::new();
    assert!(frame::encode(&chunk(message), 0, &mut bytes).is_ok());
    theirs.writing.write_all(&bytes)?;
    assert!(matches!(link.receiver.receive().await, Err(Closed)));
    Ok(())
}

#[tokio::test]
async fn a_peer_that_takes_nothing_any_more_is_heard_to_the_end_and_no_further() -> io::Result<()> {
    let sizes = [1, 2 * frame::LONG_BYTES];
    for (closed, size) in ["pipe", "socket"].into_iter().zip(sizes) {
        let (mut link, mut theirs) = peer()?;
        theirs.writing.write_all(&ready())?;
        if closed == "pipe" {
            drop(theirs.reading.take());
        } else {
            let (unused, _) = pair()?;
            theirs.long = unused.long.into();
        }
        let sent = link.sender.send(ToWorker::Chunk {
            call: CallId(0),
            request: RequestId(0),
            bytes: Bytes::from(vec![7; size]),
        });
        sent.await.map_err(io::Error::other)?;
        assert!(matches!(link.receiver.receive().await, Ok(Some(_))));
        let receiving = tokio::time::timeout(Duration::from_secs(10), link.receiver.receive());
        assert!(matches!(receiving.await, Ok(Err(Closed))), "{closed}");
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_cannot_send_a_descriptor() -> io::Result<()> {
    let (mut link, mut theirs) = peer()?;
    let (reader, mut writer) = io::pipe()?;
    let sent = send_descriptor(&theirs.descriptors, reader.as_fd());
    assert_eq!(sent, Err(Errno::PIPE));
    // A confined worker cannot try here; what is read without asking for descriptors
    // comes without them.
    let (front, message) = long();
    theirs.writing.write_all(&front)?;
    let socket = OwnedFd::from(theirs.long.try_clone()?);
    assert_eq!(send_descriptor(&socket, reader.as_fd()), Ok(()));
    theirs
        .long
        .write_all(message.get(1..).unwrap_or_default())?;
    // Its first byte is another than the message's: it need not be one.
    drop(link.receiver.receive().await);
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
    assert!(frame::encode(&load, 0, &mut bytes).is_ok());
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
