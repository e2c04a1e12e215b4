//! Every limit, in one place, with its default and its unit.
//!
//! Exceeding one gives an error that names the limit by the field's name here
//! and its value.

use serde::{Deserialize, Serialize};

/// What one guest call may consume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallLimits {
    /// Linear memory, in bytes.
    pub memory_bytes_max: u64,
    /// Elements over all tables.
    pub table_elements_max: u32,
    /// Resource handles that the guest may hold at once.
    pub handles_max: u32,
    /// Host calls (of our own interfaces and HTTP) in one guest call.
    pub host_calls_max: u32,
    /// Bytes that the guest may pass in one host call.
    pub host_call_bytes_max: u32,
    /// Time from start to end, waiting included, in milliseconds.
    pub wall_ms_max: u64,
    /// Time on a processor, in milliseconds.
    pub cpu_ms_max: u64,
    /// Input and output of the call, each, in bytes.
    pub value_bytes_max: u32,
    /// Log lines in one guest call.
    pub log_lines_max: u32,
    /// Bytes of one log line.
    pub log_line_bytes_max: u32,
    /// Bytes of one request body.
    pub request_body_bytes_max: u64,
    /// Bytes of one response body, after decoding.
    pub response_body_bytes_max: u64,
    /// Bytes of one state value.
    pub state_value_bytes_max: u32,
    /// Keys of state for one connection.
    pub state_keys_max: u32,
    /// Bytes of all scratch files of the call.
    pub scratch_bytes_max: u64,
    /// Bytes of one scratch file.
    pub scratch_file_bytes_max: u64,
    /// Scratch files that the call may have at once.
    pub scratch_files_max: u32,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 << 20,
            table_elements_max: 20_000,
            handles_max: 1_024,
            host_calls_max: 10_000,
            host_call_bytes_max: 4 << 20,
            wall_ms_max: 30_000,
            cpu_ms_max: 5_000,
            value_bytes_max: 1 << 20,
            log_lines_max: 1_000,
            log_line_bytes_max: 4 << 10,
            request_body_bytes_max: 64 << 20,
            response_body_bytes_max: 64 << 20,
            state_value_bytes_max: 64 << 10,
            state_keys_max: 1_000,
            scratch_bytes_max: 64 << 20,
            scratch_file_bytes_max: 32 << 20,
            scratch_files_max: 64,
        }
    }
}

/// A request or a body up to this size travels in one frame between worker
/// and broker; what is larger is streamed.
pub const FRAME_BODY_BYTES_MAX: usize = 64 << 10;

/// The largest frame between worker and broker, in bytes.
pub const FRAME_BYTES_MAX: usize = 8 << 20;

/// Bytes that the host keeps for one guest call between its host calls: request
/// bodies that were written and not sent.
pub const RETAINED_BYTES_MAX: u64 = 16 << 20;

/// Bytes of a streamed body that may be on the way to a guest unread.
pub const STREAM_WINDOW_BYTES: u32 = 256 << 10;

/// Bytes that one call of `keyway:host/scratch` reads or writes.
pub const SCRATCH_CHUNK_BYTES_MAX: u32 = 1 << 20;

/// Bytes of scratch files of one workspace and environment, over all its calls.
pub const SCRATCH_SCOPE_BYTES_MAX: u64 = 1 << 30;

/// Bytes of scratch files of the whole deployment.
pub const SCRATCH_TOTAL_BYTES_MAX: u64 = 4 << 30;

/// An artifact's size at install, in bytes.
pub const ARTIFACT_BYTES_MAX: usize = 16 << 20;

/// Linear memory of all guest calls of one worker process together, in bytes.
pub const WORKER_MEMORY_BYTES_MAX: u64 = 2 << 30;

/// Compiled code of one artifact, in bytes.
pub const CODE_BYTES_MAX: u64 = 256 << 20;

/// Time on a processor for compiling one artifact, in seconds.
pub const COMPILE_CPU_SECONDS_MAX: u64 = 20;

/// Time from start to end for compiling one artifact, in seconds.
pub const COMPILE_WALL_SECONDS_MAX: u64 = 60;

/// Writable memory for compiling one artifact, beside what the compiler has when
/// it starts, in bytes.
pub const COMPILE_MEMORY_BYTES_MAX: u64 = 1 << 30;

/// Workers of its own that a component may end within ten minutes before it is
/// put into quarantine.
pub const COMPONENT_CRASHES_MAX: usize = 3;

/// Components at once that have a worker of their own because they may have
/// ended one; further ones stay with the others.
pub const SUSPECTS_MAX: usize = 16;

/// Lines that one confined process may put into the host's log.
pub const CONFINED_ERROR_LINES_MAX: u32 = 1_000;

/// A manifest's or recipe's size, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// Steps in one recipe.
pub const RECIPE_STEPS_MAX: usize = 1_000;

/// Blocks inside blocks in one recipe.
pub const RECIPE_DEPTH_MAX: usize = 16;

/// Steps that one job completes, over all iterations.
pub const JOB_STEPS_MAX: usize = 100_000;

/// What one job's journal holds, in bytes of JSON.
pub const JOURNAL_BYTES_MAX: usize = 64 << 20;

/// Iterations of one `foreach`.
pub const ITERATIONS_MAX: usize = 10_000;

/// A webhook's body, in bytes, unless the configuration says less.
pub const WEBHOOK_BODY_BYTES_MAX: usize = 1 << 20;
