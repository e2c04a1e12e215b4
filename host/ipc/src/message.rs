//! The messages between a worker and the broker.

use bytes::Bytes;
use keyway_model::Digest;
use keyway_model::limit::{CallLimits, FRAME_HEADERS_MAX};
use serde::{Deserialize, Serialize};

use crate::bounded::{self, LAYERS_MAX};
use crate::log_line::{self, LogLine};
use crate::outcome::{CallOutcome, Trap, Usage};
use crate::scratch::{ScratchCall, ScratchRefusal};
use crate::state::StateRefusal;

/// Names one guest call on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CallId(pub u64);

/// Names one host call inside one guest call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u32);

/// From the broker to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// Compiled code, in the sealed memory file that comes with this message.
    Load {
        /// The component's digest: its name from now on.
        artifact: Digest,
        /// The length of the compiled code.
        length: u64,
    },
    /// Compiled code is no longer needed.
    Unload {
        /// Which.
        artifact: Digest,
    },
    /// Run a guest.
    Invoke(Box<Invoke>),
    /// The answer to a host call.
    Reply {
        /// Which guest call.
        call: CallId,
        /// Which of its host calls.
        request: RequestId,
        /// The answer.
        reply: HostReply,
    },
    /// More of a response body.
    Chunk {
        /// Which guest call.
        call: CallId,
        /// Which of its host calls.
        request: RequestId,
        /// The bytes.
        bytes: Bytes,
    },
    /// The end of a response body; with a reason if it ended early.
    ChunkEnd {
        /// Which guest call.
        call: CallId,
        /// Which of its host calls.
        request: RequestId,
        /// Why it ended early.
        failed: Option<Refusal>,
    },
    /// The broker took so many bytes of a request body.
    Credit {
        /// Which guest call.
        call: CallId,
        /// Which of its host calls.
        request: RequestId,
        /// How many more bytes may be sent.
        bytes: u32,
    },
    /// End a guest call: its deadline has passed, or nobody waits for it.
    Cancel {
        /// Which.
        call: CallId,
        /// Why, for the trap's text.
        reason: Trap,
    },
}

/// From a worker to the broker.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToBroker {
    /// The worker stands ready.
    Ready(Standing),
    /// Whether compiled code could be loaded.
    Loaded {
        /// Which.
        artifact: Digest,
        /// Why not.
        failed: Option<String>,
    },
    /// A guest asks the host for something.
    Host {
        /// Which guest call.
        call: CallId,
        /// Names the answer; a [`HostCall::Log`] gets none.
        request: RequestId,
        /// What it asks for.
        host_call: HostCall,
    },
    /// More of a request body. It takes its bytes and
    /// [`PART_BYTES`](crate::PART_BYTES) of what may be sent.
    Chunk {
        /// Which guest call.
        call: CallId,
        /// Which of its host calls.
        request: RequestId,
        /// The bytes.
        bytes: Bytes,
    },
    /// The end of a request body; `false` if the guest gave it up.
    ChunkEnd {
        /// Which guest call.
        call: CallId,
        /// Which of its host calls.
        request: RequestId,
        /// Whether it is complete.
        complete: bool,
    },
    /// The guest took so many bytes of a response body.
    Credit {
        /// Which guest call.
        call: CallId,
        /// Which of its host calls.
        request: RequestId,
        /// How many more bytes may be sent.
        bytes: u32,
    },
    /// The guest no longer wants a response body.
    Forget {
        /// Which guest call.
        call: CallId,
        /// Which of its host calls.
        request: RequestId,
    },
    /// A guest call has ended.
    Done {
        /// Which.
        call: CallId,
        /// How.
        outcome: CallOutcome,
        /// What it consumed.
        usage: Usage,
    },
}

/// How a worker stands when it is ready for its first call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whether instances are reset the quick way.
    pub quick_reset: bool,
    /// Its layers of confinement, in the order in which they were taken.
    #[serde(deserialize_with = "bounded::at_most::<_, _, LAYERS_MAX>")]
    pub layers: Vec<LayerReport>,
}

/// A layer of confinement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerReport {
    /// Its name.
    pub layer: String,
    /// How it stands.
    pub state: LayerState,
}

/// How a layer of confinement stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerState {
    /// It holds.
    Held,
    /// It holds in part, or not, and another layer covers what is missing.
    Covered(String),
    /// The kernel or the container refuses it.
    Refused(String),
}

/// One guest call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invoke {
    /// Names it on this link.
    pub call: CallId,
    /// Calls of one group share one turn on a processor: those of one tenant,
    /// by a number that says nothing else.
    pub group: u64,
    /// Which component.
    pub artifact: Digest,
    /// Which of its functions, with what.
    pub entrance: Entrance,
    /// What it may consume.
    pub limits: CallLimits,
    /// Linear memory of all calls of its group in one worker, in bytes.
    pub memory_bytes_per_workspace_max: u64,
    /// Headers that the guest may not set: the credential's slot, lower-case.
    pub reserved_headers: Vec<String>,
    /// The connection's parameters, if the call is granted them: decided when
    /// the invocation opened, so that reading one is no round trip. `None`
    /// leaves the answer to the broker, which denies and counts.
    pub parameters: Option<Vec<(String, String)>>,
}

/// Which export is called.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Entrance {
    /// `actions.invoke`.
    Action {
        /// The action's name.
        name: String,
        /// JSON.
        input: String,
    },
    /// `triggers.poll`.
    Poll {
        /// The trigger's name.
        name: String,
        /// JSON.
        input: String,
        /// Where the last poll ended.
        cursor: Option<String>,
    },
    /// `connection-check.check`.
    Check,
    /// `logic.run`.
    Run {
        /// JSON.
        input: String,
    },
    /// `expressions.check`.
    CheckExpressions {
        /// JSON.
        request: String,
    },
}

impl Entrance {
    /// Bytes of what the guest is given.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Action { name, input } => name.len() + input.len(),
            Self::Poll {
                name,
                input,
                cursor,
            } => name.len() + input.len() + cursor.as_ref().map_or(0, String::len),
            Self::Check => 0,
            Self::Run { input } => input.len(),
            Self::CheckExpressions { request } => request.len(),
        }
    }
}

/// What a guest asks of the host.
#[derive(Debug, Serialize, Deserialize)]
pub enum HostCall {
    /// `wasi:http/outgoing-handler.handle`.
    Http(HttpRequest),
    /// `keyway:host/log.write`, and what is printed: lines that gathered since
    /// the host call before.
    Log(#[serde(deserialize_with = "log_line::bounded")] Vec<LogLine>),
    /// `keyway:host/connection.parameter`, of a guest whose call came without
    /// parameters: then there is none, whatever its name.
    Parameter,
    /// `keyway:host/connection.scopes`.
    Scopes,
    /// `keyway:host/state.get`.
    StateGet {
        /// Under which key.
        key: String,
    },
    /// `keyway:host/state.set`.
    StateSet {
        /// Under which key.
        key: String,
        /// What.
        value: String,
    },
    /// `keyway:host/state.delete`.
    StateDelete {
        /// Under which key.
        key: String,
    },
    /// `keyway:host/scratch`.
    Scratch(ScratchCall),
}

impl HostCall {
    /// Bytes of what the guest gave, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Http(request) => request.bytes(),
            Self::Log(lines) => lines.iter().map(LogLine::bytes).sum(),
            Self::Parameter | Self::Scopes => 0,
            Self::StateGet { key } | Self::StateDelete { key } => key.len(),
            Self::StateSet { key, value } => key.len() + value.len(),
            Self::Scratch(call) => call.bytes(),
        }
    }
}

/// What a header costs beside its content.
const HEADER_BYTES: usize = 64;

impl HttpRequest {
    fn bytes(&self) -> usize {
        let (BodyStart::Whole(body) | BodyStart::Stream { first: body, .. }) = &self.body;
        let headers = self.header_bytes() + HEADER_BYTES * self.headers.len();
        self.method.len() + self.url.len() + headers + body.len()
    }

    /// Bytes of the names and values of all headers.
    pub fn header_bytes(&self) -> usize {
        let headers = self.headers.iter();
        headers.map(|(name, value)| name.len() + value.len()).sum()
    }
}

/// A request as the guest made it. Nothing in it has been checked.
#[derive(Debug, Serialize, Deserialize)]
pub struct HttpRequest {
    /// The method, as the guest wrote it.
    pub method: String,
    /// The URL, as the guest wrote it.
    pub url: String,
    /// Header names and values, as the guest wrote them.
    #[serde(deserialize_with = "bounded::at_most::<_, _, FRAME_HEADERS_MAX>")]
    pub headers: Vec<(String, Bytes)>,
    /// The body, or its beginning.
    pub body: BodyStart,
    /// How long the guest would wait for the first byte, in milliseconds.
    pub first_byte_ms: Option<u64>,
}

/// A body, or how it begins.
#[derive(Debug, Serialize, Deserialize)]
pub enum BodyStart {
    /// All of it.
    Whole(Bytes),
    /// What is there so far; the rest comes as chunks.
    Stream {
        /// The beginning.
        first: Bytes,
        /// Its whole length, if that was said.
        length: Option<u64>,
    },
}

/// The answer to a host call.
#[derive(Debug, Serialize, Deserialize)]
pub enum HostReply {
    /// To [`HostCall::Http`].
    Http(Result<HttpReply, Refusal>),
    /// To [`HostCall::Parameter`].
    Parameter(Option<String>),
    /// To [`HostCall::Scopes`].
    Scopes(Vec<String>),
    /// To [`HostCall::StateGet`].
    State(Result<Option<String>, StateRefusal>),
    /// To [`HostCall::StateSet`] and [`HostCall::StateDelete`].
    Stored(Result<(), StateRefusal>),
    /// To [`ScratchCall::Open`], [`ScratchCall::Write`] and
    /// [`ScratchCall::Remove`]: how long the file is afterwards.
    Scratch(Result<u64, ScratchRefusal>),
    /// To [`ScratchCall::Read`].
    ScratchBytes(Result<Bytes, ScratchRefusal>),
    /// To [`ScratchCall::List`]: names and lengths.
    ScratchFiles(Result<Vec<(String, u64)>, ScratchRefusal>),
    /// The call must end: the guest broke a limit, or nothing may be done for
    /// it any more.
    Trap(Trap),
}

/// A reply from the outside, as the guest may see it.
#[derive(Debug, Serialize, Deserialize)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// The headers, searched for secrets.
    pub headers: Vec<(String, Bytes)>,
    /// The body, or its beginning, searched for secrets.
    pub body: BodyStart,
}

/// Why a request did not end in a reply, in as many words as a guest may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Not granted, not resolvable, not a public address: all the same to a
    /// guest, so that it cannot look around.
    Denied,
    /// The upstream took too long.
    Timeout,
    /// The connection could not be made, or broke.
    Connection,
    /// A body or header over a limit.
    TooLarge,
    /// The upstream does not speak HTTP properly.
    Protocol,
    /// Over a rate or a share of the connector's, or over how much may be under
    /// way: it may try again later.
    Busy,
}
