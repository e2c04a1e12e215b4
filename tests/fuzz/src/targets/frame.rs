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

use keyway_ipc::{Link, Message, ToBroker, ToWorker, over_pipes, pair};
use keyway_model::limit::FRAME_BYTES_MAX;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
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
    ],
    input_bytes_max: 8 << 10,
    memory_bytes_max: 4 << 20,
    test_inputs: 4_000,
};

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
    let stream = input.rest();
    if way & 1 == 0 {
        compare::<ToWorker>(stream, &pieces, descriptors);
    } else {
        compare::<ToBroker>(stream, &pieces, descriptors);
    }
}

fn compare<M: DeserializeOwned + Message + Debug + Send + 'static>(
    stream: &[u8],
    pieces: &[u16],
    descriptors: usize,
) {
    let (expected, end) = slowly::<M>(stream);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (found, found_end) = runtime.block_on(received::<M>(stream, pieces, descriptors));
    assert_eq!(found, expected);
    assert_eq!(found_end, end, "after {} messages", found.len());
}

/// Frame by frame, as the protocol says.
fn slowly<M: DeserializeOwned + Debug>(mut bytes: &[u8]) -> (Vec<String>, End) {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
            return (messages, End::Broken);
        };
        let length = u32::from_le_bytes(*length) as usize;
        let Some(body) = rest.get(..length).filter(|_| length <= FRAME_BYTES_MAX) else {
            return (messages, End::Broken);
        };
        match postcard::take_from_bytes::<M>(body) {
            Ok((message, [])) => messages.push(format!("{message:?}")),
            _ => return (messages, End::Broken),
        }
        bytes = &rest[length..];
    }
    (messages, End::Clean)
}

async fn received<M: DeserializeOwned + Message + Debug + Send + 'static>(
    stream: &[u8],
    pieces: &[u16],
    descriptors: usize,
) -> (Vec<String>, End) {
    let (ours, theirs) = pair().unwrap();
    let link: Link<ToBroker, M> = over_pipes(ours).unwrap();
    write(&theirs, stream, pieces, descriptors);
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

/// Writes all of `stream`, in pieces, each after as many descriptors. What is
/// written fits into the pipe.
fn write(far: &keyway_ipc::End, mut stream: &[u8], pieces: &[u16], descriptors: usize) {
    let [_, pipe, socket] = far.as_descriptors();
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
