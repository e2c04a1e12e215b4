//! The ipc link, in both directions: a peer that writes any bytes, in any
//! pieces, with descriptors whenever it likes.
//!
//! What is received is what a slow reader of the same bytes finds, message by
//! message; bytes that are no message, or that end inside of one, end the link
//! with an error and not as if all were well; memory stays in proportion to
//! what was sent; no descriptor outlives the link.

use std::fmt::Debug;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;

use bytes::Bytes;
use keyway_ipc::{CallId, Link, Message, RequestId, ToBroker, ToWorker, over_pipes, pair};
use keyway_model::limit::FRAME_BYTES_MAX;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Target;
use crate::input::Input;

pub(super) const TARGET: Target = Target {
    name: "frame",
    run,
    tokens: &[
        "\x00\x00\x00\x00",
        "\x01\x00\x00\x00\x00",
        "\x7f\x00\x00",
        "\u{0}\u{0}\u{8}\u{0}",
        "\x02\x00",
        "\x03\x00\x00\x00\x00\x01",
        "aaaaaaaa",
        "\x01",
        "\x00",
        "https://a.example/",
        "\x03\x00\x00@\x00\x40\x00\x00",
        "\x00\x40\x00\x00",
    ],
    input_bytes_max: 8 << 10,
    memory_bytes_max: 4 << 20,
    test_inputs: 4_000,
};

/// Set in a length: another follows, of what is on the socket for long ones.
const ASIDE: u32 = 1 << 30;

/// From this length on a message goes there, and no shorter one does.
const LONG_BYTES: usize = 16 << 10;

/// How a stream of messages ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Between two messages.
    Clean,
    /// Anywhere else.
    Broken,
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let way = input.byte();
    let pieces: Vec<u16> = (0..input.below(4)).map(|_| input.u16()).collect();
    let descriptors = if way & 2 == 0 { 0 } else { input.below(4) };
    let aside = if way & 4 == 0 {
        0
    } else {
        usize::from(input.u16())
    };
    // A piece of a body that is long goes before them, since no input is.
    let length = if way & 8 == 0 {
        0
    } else {
        usize::from(input.u16())
    };
    let rest = input.rest();
    let (long, stream) = rest.split_at(aside.min(rest.len()));
    let is_to_worker = way & 1 == 0;
    let front = match (length, is_to_worker) {
        (0, _) => Vec::new(),
        (_, true) => front(&piece_to_worker(), length),
        (_, false) => front(&piece_to_broker(), length),
    };
    let sent = Sent {
        stream: &[&front, stream].concat(),
        pieces: &pieces,
        long: &[&vec![7; length], long].concat(),
        descriptors,
    };
    if is_to_worker {
        compare::<ToWorker>(&sent);
    } else {
        compare::<ToBroker>(&sent);
    }
}

/// A message of which so much is on the socket.
fn front<M: Serialize>(message: &M, aside: usize) -> Vec<u8> {
    let message = postcard::to_stdvec(message).unwrap();
    let length = u32::try_from(message.len()).unwrap() | ASIDE;
    let aside = u32::try_from(aside).unwrap();
    [&length.to_le_bytes(), &aside.to_le_bytes(), &*message].concat()
}

fn piece_to_worker() -> ToWorker {
    ToWorker::Chunk {
        call: CallId(1),
        request: RequestId(1),
        bytes: Bytes::new(),
    }
}

fn piece_to_broker() -> ToBroker {
    ToBroker::Chunk {
        call: CallId(1),
        request: RequestId(1),
        bytes: Bytes::new(),
    }
}

/// What a peer writes.
struct Sent<'a> {
    /// Into the pipe.
    stream: &'a [u8],
    /// Where that is cut.
    pieces: &'a [u16],
    /// Into the socket for long pieces of bodies.
    long: &'a [u8],
    /// With each piece.
    descriptors: usize,
}

fn compare<M: DeserializeOwned + Message + Debug + Send + 'static>(sent: &Sent<'_>) {
    let (expected, end) = slowly::<M>(sent.stream, sent.long);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (found, found_end) = runtime.block_on(received::<M>(sent));
    assert_eq!(found, expected);
    assert_eq!(found_end, end, "after {} messages", found.len());
}

/// Frame by frame, as the protocol says.
fn slowly<M: DeserializeOwned + Message + Debug>(
    mut bytes: &[u8],
    mut long: &[u8],
) -> (Vec<String>, End) {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        match slow_step::<M>(&mut bytes, &mut long) {
            Some(message) => messages.push(message),
            None => return (messages, End::Broken),
        }
    }
    (messages, End::Clean)
}

/// One frame.
fn slow_step<M: DeserializeOwned + Message + Debug>(
    bytes: &mut &[u8],
    long: &mut &[u8],
) -> Option<String> {
    let announced = u32::from_le_bytes(*bytes.split_off(..4)?.first_chunk()?);
    let length = (announced & !ASIDE) as usize;
    let aside = if announced & ASIDE == 0 {
        None
    } else {
        Some(u32::from_le_bytes(*bytes.split_off(..4)?.first_chunk()?) as usize)
    };
    let all = length + aside.unwrap_or(0);
    let body = bytes.split_off(..length)?;
    let (mut message, behind) = postcard::take_from_bytes::<M>(body).ok()?;
    let is_well_formed = behind.is_empty()
        && all <= FRAME_BYTES_MAX
        && aside.is_none_or(|aside| aside >= LONG_BYTES);
    if !is_well_formed {
        return None;
    }
    match (aside, message.body()) {
        (Some(aside), Some(body)) if body.is_empty() => {
            *body = Bytes::copy_from_slice(long.split_off(..aside)?);
        }
        (Some(_), _) => return None,
        (None, Some(body)) if body.len() >= LONG_BYTES => return None,
        (None, _) => {}
    }
    Some(format!("{message:?}"))
}

async fn received<M: DeserializeOwned + Message + Debug + Send + 'static>(
    sent: &Sent<'_>,
) -> (Vec<String>, End) {
    let (ours, theirs) = pair().unwrap();
    let link: Link<ToBroker, M> = over_pipes(ours).unwrap();
    write(&theirs, sent);
    drop(theirs);
    let mut receiver = link.receiver;
    let mut messages = Vec::new();
    loop {
        match receiver.receive().await {
            Ok(Some(incoming)) => {
                let asked_for = incoming.message.brings_descriptor();
                assert!(
                    asked_for || incoming.descriptor.is_none(),
                    "{:?}",
                    incoming.message
                );
                messages.push(format!("{:?}", incoming.message));
            }
            Ok(None) => return (messages, End::Clean),
            Err(_) => return (messages, End::Broken),
        }
    }
}

/// Writes all of it, what goes into the pipe in pieces, each after as many descriptors.
/// What is written fits into pipe and socket.
fn write(far: &keyway_ipc::End, sent: &Sent<'_>) {
    let Sent {
        mut stream,
        pieces,
        long,
        descriptors,
    } = *sent;
    let [_, pipe, aside, socket] = far.as_descriptors();
    assert_eq!(rustix::io::write(aside, long), Ok(long.len()), "it fits");
    let (reader, _writer) = std::io::pipe().unwrap();
    let sending = vec![reader.as_fd(); descriptors];
    let cuts = pieces
        .iter()
        .map(|piece| usize::from(*piece))
        .chain([stream.len()]);
    for cut in cuts {
        let (piece, rest) = stream.split_at(cut.min(stream.len()));
        stream = rest;
        if piece.is_empty() {
            continue;
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if descriptors > 0 {
            control.push(SendAncillaryMessage::ScmRights(&sending));
        }
        let byte = [IoSlice::new(b"D")];
        let sent = sendmsg(socket, &byte, &mut control, SendFlags::NOSIGNAL);
        // A broker takes none.
        assert!(matches!(sent, Ok(1) | Err(Errno::PIPE)), "{sent:?}");
        let written = rustix::io::write(pipe, piece);
        assert_eq!(written, Ok(piece.len()), "it fits into the pipe");
    }
}
