//! What the broker answers: mostly what fits the question, with content that
//! upstreams choose; sometimes another kind, nothing, or what nobody asked for.

use bytes::Bytes;
use keyway_ipc::{
    BodyStart, CallId, HostCall, HostReply, HttpReply, Refusal, RequestId, ScratchCall,
    ScratchRefusal, StateRefusal, ToWorker, Trap,
};

use crate::input::Input;

/// Messages to a worker that asks for `asked`.
pub(super) fn to(
    call: CallId,
    request: RequestId,
    asked: &HostCall,
    answers: &mut Input<'_>,
) -> Vec<ToWorker> {
    if matches!(asked, HostCall::Log(_)) {
        return Vec::new();
    }
    let reply = match answers.below(16) {
        13 => HostReply::Trap(Trap::Host("no".to_owned())),
        14 => HostReply::Scopes(vec!["a".to_owned(); answers.below(20)]),
        15 => {
            return vec![
                ToWorker::Credit {
                    call,
                    request,
                    bytes: u32::MAX,
                },
                cancel(call),
            ];
        }
        _ => fitting(asked, answers),
    };
    let streams = matches!(
        &reply,
        HostReply::Http(Ok(HttpReply {
            body: BodyStart::Stream { .. },
            ..
        }))
    );
    let mut messages = vec![ToWorker::Credit {
        call,
        request,
        bytes: u32::from(answers.u16()),
    }];
    messages.push(ToWorker::Reply {
        call,
        request,
        reply,
    });
    if streams {
        for _ in 0..answers.below(4) {
            let bytes = Bytes::copy_from_slice(answers.piece(64));
            messages.push(ToWorker::Chunk {
                call,
                request,
                bytes,
            });
        }
        let failed = (answers.below(3) == 0).then_some(Refusal::Connection);
        messages.push(ToWorker::ChunkEnd {
            call,
            request,
            failed,
        });
    }
    messages
}

fn cancel(call: CallId) -> ToWorker {
    ToWorker::Cancel {
        call,
        reason: Trap::Cancelled("nobody waits".to_owned()),
    }
}

fn fitting(asked: &HostCall, answers: &mut Input<'_>) -> HostReply {
    let text = |answers: &mut Input<'_>| String::from_utf8_lossy(answers.piece(40)).into_owned();
    let is_refused = answers.below(4) == 0;
    match asked {
        HostCall::Http(_) if is_refused => HostReply::Http(Err(*answers.choose(&[
            Refusal::Denied,
            Refusal::Timeout,
            Refusal::Connection,
            Refusal::TooLarge,
            Refusal::Protocol,
        ]))),
        HostCall::Http(_) => HostReply::Http(Ok(http(answers))),
        HostCall::Parameter => HostReply::Parameter((!is_refused).then(|| text(answers))),
        HostCall::Scopes => {
            HostReply::Scopes((0..answers.below(5)).map(|_| text(answers)).collect())
        }
        HostCall::StateGet { .. } if is_refused => HostReply::State(Err(StateRefusal::Denied)),
        HostCall::StateGet { .. } => HostReply::State(Ok(Some(text(answers)))),
        HostCall::StateSet { .. } | HostCall::StateDelete { .. } => {
            HostReply::Stored(if is_refused {
                Err(StateRefusal::Limit(text(answers)))
            } else {
                Ok(())
            })
        }
        HostCall::Scratch(_) if is_refused => {
            let refused = ScratchRefusal::Limit(text(answers));
            HostReply::Scratch(Err(refused))
        }
        HostCall::Scratch(ScratchCall::Read { .. }) => {
            HostReply::ScratchBytes(Ok(Bytes::copy_from_slice(answers.piece(64))))
        }
        HostCall::Scratch(ScratchCall::List) => {
            let files = (0..answers.below(5)).map(|length| (text(answers), length as u64));
            HostReply::ScratchFiles(Ok(files.collect()))
        }
        HostCall::Scratch(
            ScratchCall::Open { .. } | ScratchCall::Write { .. } | ScratchCall::Remove { .. },
        ) => HostReply::Scratch(Ok(u64::from(answers.u16()))),
        HostCall::Log(_) => HostReply::Scopes(Vec::new()),
    }
}

fn http(answers: &mut Input<'_>) -> HttpReply {
    // The broker vouches for what HTTP itself can carry, so statuses and names are those of HTTP.
    let status = 100 + answers.u16() % 900;
    let names = [
        "content-type",
        "content-length",
        "x-a",
        "set-cookie",
        "location",
    ];
    let headers = (0..answers.below(4))
        .map(|_| {
            (
                (*answers.choose(&names)).to_owned(),
                Bytes::copy_from_slice(answers.piece(20)),
            )
        })
        .collect();
    let first = Bytes::copy_from_slice(answers.piece(64));
    let body = match answers.below(3) {
        0 => BodyStart::Stream {
            first,
            length: None,
        },
        1 => BodyStart::Stream {
            first,
            length: Some(u64::from(answers.u16())),
        },
        _ => BodyStart::Whole(first),
    };
    HttpReply {
        status,
        headers,
        body,
    }
}
