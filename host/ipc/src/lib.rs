//! What a worker and the gate say to each other, and how it travels.
//!
//! [`message`] is the protocol: every message that a confined worker and the
//! broker exchange. [`link`] carries messages between tasks of one process or
//! over pipes; both ends are the same types, so neither side can tell.
//! [`fair`] is how both ends take turns between tenants.
//!
//! Never decides and never holds a secret that the guest may not see: what is
//! in a message to a worker is what the sandbox may know.

mod beside;
mod bounded;
mod end;
pub mod fair;
mod frame;
mod link;
mod log_line;
mod message;
mod outcome;
mod pipe;
pub mod processor;
mod scratch;
mod state;

pub use beside::Message;
pub use bounded::PART_BYTES;
pub use end::{End, pair};
pub use link::{Closed, Incoming, Link, Receiver, Sender, in_process};
pub use log_line::{LOG_LINES_TOGETHER_MAX, LogLevel, LogLine};
pub use message::{
    BodyStart, CallId, Entrance, HostCall, HostReply, HttpReply, HttpRequest, Invoke, LayerReport,
    LayerState, Refusal, RequestId, Standing, ToBroker, ToWorker,
};
pub use outcome::{CallOutcome, PollBatch, PollEvent, Trap, Usage};
pub use pipe::over_pipes;
pub use scratch::{ScratchCall, ScratchRefusal};
pub use state::StateRefusal;
