//! Messages over pipes, in order and whole.

use std::time::Duration;

use bytes::Bytes;
use keyway_model::Digest;

use super::*;
use crate::end::pair;
use crate::{CallId, Incoming, RequestId, ToBroker, ToWorker};

/// More than fits into a pipe at once, and less, in an order without a pattern.
fn sizes() -> impl Iterator<Item = usize> {
    (0_u32..200).map(|number| {
        let digest = Digest::of(&number.to_be_bytes());
        let [first, second, third, ..] = *digest.as_bytes();
        (usize::from(first) << 8 | usize::from(second)) * usize::from(third & 7) + 1
    })
}

#[tokio::test]
async fn messages_of_every_size_arrive_in_order_in_both_directions() -> io::Result<()> {
    let (ours, theirs) = pair()?;
    let near: Link<ToWorker, ToWorker> = over_pipes(ours)?;
    // The other end has a runtime of its own, as a worker does.
    let echo = std::thread::spawn(move || -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut far: Link<ToWorker, ToWorker> = over_pipes(theirs)?;
            while let Ok(Some(incoming)) = far.receiver.receive().await {
                let sent = far.sender.send(incoming.message).await;
                sent.map_err(io::Error::other)?;
            }
            Ok(())
        })
    });
    let Link {
        sender,
        mut receiver,
    } = near;
    let sending = tokio::spawn(async move {
        for size in sizes() {
            let chunk = ToWorker::Chunk {
                call: CallId(size as u64),
                request: RequestId(0),
                bytes: Bytes::from(vec![7; size]),
            };
            sender.send(chunk).await?;
        }
        Ok::<_, Closed>(())
    });
    for size in sizes() {
        let incoming = receiver.receive().await.map_err(io::Error::other)?;
        let Some(Incoming {
            message: ToWorker::Chunk { call, bytes, .. },
            ..
        }) = incoming
        else {
            return Err(io::Error::other("the link ended early"));
        };
        assert_eq!((call.0, bytes.len()), (size as u64, size));
    }
    assert!(sending.await?.is_ok());
    drop(receiver);
    // Joined elsewhere, since this runtime has to close its end meanwhile.
    let ended = tokio::task::spawn_blocking(move || echo.join()).await?;
    assert!(ended.is_ok_and(|ended| ended.is_ok()));
    Ok(())
}

#[tokio::test]
async fn another_threads_messages_arrive_in_order_behind_those_before() -> io::Result<()> {
    let (ours, theirs) = pair()?;
    let near: Link<ToWorker, ToWorker> = over_pipes(ours)?;
    let mut far: Link<ToWorker, ToWorker> = over_pipes(theirs)?;
    // Each seventh goes over the socket.
    let size = |call: u64| {
        if call.is_multiple_of(7) {
            frame::LONG_BYTES
        } else {
            1
        }
    };
    let message = move |call: u64| ToWorker::Chunk {
        call: CallId(call),
        request: RequestId(0),
        bytes: Bytes::from(vec![7; size(call)]),
    };
    let sender = near.sender;
    for call in 0..100 {
        sender.send(message(call)).await.map_err(io::Error::other)?;
    }
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            // A request, and parts of its body from where nothing can wait.
            for call in 100..1_000 {
                if call % 3 == 0 {
                    sender.send(message(call)).await.map_err(io::Error::other)?;
                } else {
                    sender.send_now(message(call)).map_err(io::Error::other)?;
                }
            }
            Ok::<_, io::Error>(sender)
        })
    });
    for expected in 0..1_000 {
        let incoming = far.receiver.receive().await.map_err(io::Error::other)?;
        let Some(Incoming {
            message: ToWorker::Chunk { call, bytes, .. },
            ..
        }) = incoming
        else {
            return Err(io::Error::other("the link ended early"));
        };
        assert_eq!((call.0, bytes.len()), (expected, size(expected)));
    }
    assert!(elsewhere.join().is_ok_and(|sent| sent.is_ok()));
    Ok(())
}

#[test]
fn what_was_written_leaves_no_more_room_than_usually_waits() {
    let mut queue = Queue {
        bytes: Vec::with_capacity(4 * HIGH_WATER_BYTES),
        ..Queue::default()
    };
    queue.bytes.extend([7; 100]);
    queue.written();
    assert!(queue.bytes.is_empty() && queue.bytes.capacity() <= HIGH_WATER_BYTES);
    let kept = queue.bytes.as_ptr();
    queue.bytes.extend([7; 100]);
    queue.written();
    assert_eq!(queue.bytes.as_ptr(), kept, "it is used again");
}

#[tokio::test]
async fn more_descriptors_than_a_socket_holds_arrive_each_with_its_message() -> io::Result<()> {
    const LOADS: u64 = 400;
    // All of them must fit into what may wait.
    let is_before_a_long_one = |load: u64| load.is_multiple_of(8);
    let (ours, theirs) = pair()?;
    let near: Link<ToWorker, ToBroker> = over_pipes(ours)?;
    let mut far: Link<ToBroker, ToWorker> = over_pipes(theirs)?;
    let (reader, _writer) = io::pipe()?;
    let artifact = |load: u64| Digest::of(&load.to_be_bytes());
    for load in 0..LOADS {
        let message = ToWorker::Load {
            artifact: artifact(load),
            length: load,
        };
        let sent = near.sender.send_with(message, reader.try_clone()?.into());
        sent.await.map_err(io::Error::other)?;
        // Long ones between them, whose place they must not take.
        if is_before_a_long_one(load) {
            let sent = near.sender.send(ToWorker::Chunk {
                call: CallId(load),
                request: RequestId(0),
                bytes: Bytes::from(vec![7; frame::LONG_BYTES]),
            });
            sent.await.map_err(io::Error::other)?;
        }
    }
    for load in 0..LOADS {
        let receiving = tokio::time::timeout(Duration::from_secs(10), far.receiver.receive());
        let incoming = receiving.await?.map_err(io::Error::other)?;
        let Some(Incoming {
            message: ToWorker::Load { length, .. },
            descriptor: Some(_),
        }) = incoming
        else {
            return Err(io::Error::other("a message came without its descriptor"));
        };
        assert_eq!(length, load);
        if is_before_a_long_one(load) {
            let receiving = tokio::time::timeout(Duration::from_secs(10), far.receiver.receive());
            let incoming = receiving.await?.map_err(io::Error::other)?;
            let is_next = matches!(
                incoming,
                Some(Incoming { message: ToWorker::Chunk { call, .. }, descriptor: None }) if call.0 == load
            );
            assert!(is_next);
        }
    }
    Ok(())
}
