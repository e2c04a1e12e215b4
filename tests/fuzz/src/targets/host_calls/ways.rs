//! How a guest comes by handles: which functions it calls before, with what.
//!
//! What a function gives goes to the next register, from 0 on; what it writes goes
//! to registers that are named here: a handle stands 4 bytes behind what says that
//! there is one, or 8 where errors with numbers could stand in its place.

use super::by_itself::{NUMBER, POINTER, REGISTER};

/// A function, by its name, and its arguments.
pub(super) type Step = (&'static str, &'static [u8]);

/// A way to a handle.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) resource: &'static str,
    pub(super) steps: &'static [&'static [Step]],
    /// Where the handle is then.
    pub(super) register: u8,
}

const FIELDS: &[Step] = &[("[constructor]fields", &[])];
/// Its headers were in register 0; the texts of its authority and path stand where
/// the driver has them.
const REQUEST: &[Step] = &[
    ("[constructor]fields", &[]),
    ("[constructor]outgoing-request", &[REGISTER, 0]),
    (
        "[method]outgoing-request.set-authority",
        &[REGISTER, 1, NUMBER, 1, POINTER, 68, NUMBER, 14],
    ),
    (
        "[method]outgoing-request.set-path-with-query",
        &[REGISTER, 1, NUMBER, 1, POINTER, 106, NUMBER, 1],
    ),
];
const BODY: &[Step] = &[("[method]outgoing-request.body", &[REGISTER, 1, POINTER, 16])];
const WRITE: &[Step] = &[("[method]outgoing-body.write", &[REGISTER, 17, POINTER, 18])];
const SENT: &[Step] = &[("handle", &[REGISTER, 1, NUMBER, 0, NUMBER, 0, POINTER, 16])];
const REPLY: &[Step] = &[
    (
        "[method]future-incoming-response.subscribe",
        &[REGISTER, 18],
    ),
    ("[method]pollable.block", &[REGISTER, 4]),
    (
        "[method]future-incoming-response.get",
        &[REGISTER, 18, POINTER, 24],
    ),
];
const CONSUME: &[Step] = &[(
    "[method]incoming-response.consume",
    &[REGISTER, 30, POINTER, 32],
)];
const FINISH: &[Step] = &[("[static]incoming-body.finish", &[REGISTER, 33])];
const STREAM: &[Step] = &[("[method]incoming-body.stream", &[REGISTER, 33, POINTER, 34])];
const BREAK: &[Step] = &[(
    "[method]input-stream.blocking-read",
    &[REGISTER, 35, NUMBER, 16, POINTER, 36],
)];

/// Every way; where there are two, streams lead to two different ends.
pub(super) const WAYS: &[Way] = &[
    Way {
        resource: "pollable",
        steps: &[&[("subscribe-duration", &[NUMBER, 0])]],
        register: 0,
    },
    Way {
        resource: "input-stream",
        steps: &[&[("get-stdin", &[])]],
        register: 0,
    },
    Way {
        resource: "input-stream",
        steps: &[REQUEST, SENT, REPLY, CONSUME, STREAM],
        register: 35,
    },
    // With an input in register 1, from which something could be spliced.
    Way {
        resource: "output-stream",
        steps: &[&[("get-stdout", &[]), ("get-stdin", &[])]],
        register: 0,
    },
    Way {
        resource: "output-stream",
        steps: &[REQUEST, BODY, WRITE, SENT],
        register: 19,
    },
    Way {
        resource: "error",
        steps: &[REQUEST, SENT, REPLY, CONSUME, STREAM, BREAK],
        register: 38,
    },
    Way {
        resource: "fields",
        steps: &[FIELDS],
        register: 0,
    },
    Way {
        resource: "request-options",
        steps: &[&[("[constructor]request-options", &[])]],
        register: 0,
    },
    Way {
        resource: "outgoing-request",
        steps: &[REQUEST],
        register: 1,
    },
    Way {
        resource: "outgoing-body",
        steps: &[REQUEST, BODY],
        register: 17,
    },
    Way {
        resource: "outgoing-body",
        steps: &[REQUEST, BODY, SENT],
        register: 17,
    },
    Way {
        resource: "outgoing-response",
        steps: &[
            FIELDS,
            &[("[constructor]outgoing-response", &[REGISTER, 0])],
        ],
        register: 1,
    },
    Way {
        resource: "future-incoming-response",
        steps: &[REQUEST, SENT],
        register: 18,
    },
    Way {
        resource: "incoming-response",
        steps: &[REQUEST, SENT, REPLY],
        register: 30,
    },
    Way {
        resource: "incoming-body",
        steps: &[REQUEST, SENT, REPLY, CONSUME],
        register: 33,
    },
    Way {
        resource: "future-trailers",
        steps: &[REQUEST, SENT, REPLY, CONSUME, FINISH],
        register: 5,
    },
];

/// What waits for the reply to the request that `handle` was called with: else a
/// guest that ends at once takes it with it before it is sent.
pub(super) const AFTER_HANDLE: &[Step] = &[
    (
        "[method]future-incoming-response.subscribe",
        &[REGISTER, 10],
    ),
    ("[method]pollable.block", &[REGISTER, 4]),
];
