//! Every limit, in one place, with its default and its unit: here those that
//! nobody changes, in `limit/adjustable.rs` those that somebody may.
//!
//! Three levels make what holds for a call ([`effective`]): the platform's
//! configuration, a workspace's lower values, and what a connector's manifest
//! asks for. Exceeding a limit gives an error that names it by its name here,
//! with its value. `docs/limits.md` is written from [`table`].
//!
//! Never holds a rule of its own: who counts is who enforces, with the number
//! from here.

mod adjustable;
mod declare;
mod effective;
mod set;
mod table;
#[cfg(test)]
mod tests;

pub use adjustable::{ApiLimits, CallLimits, NetworkLimits, Quotas};
use declare::constants;
pub use effective::{AboveCeiling, PlatformLimits, effective};
pub use set::{LimitName, LimitSet, Limits, WrongLimit};
pub use table::{Level, LimitInfo, Unit, table, table_markdown};

constants! {
    /// A request or a body up to this size travels in one frame between worker and broker.
    FRAME_BODY_BYTES_MAX: usize = 64 << 10, Bytes, "what is larger is streamed";
    /// One frame between worker and broker.
    FRAME_BYTES_MAX: usize = 8 << 20, Bytes, "the worker is given up";
    /// The most that limits may be raised to of what travels in one frame, beside what else is in it: `value_bytes_max`, `host_call_bytes_max`, `state_value_bytes_max`, `response_header_bytes_max`, `log_bytes_max`, `log_line_bytes_max`, and `scratch_files_max` with the longest names.
    FRAMED_BYTES_MAX: usize = 4 << 20, Bytes, "the configuration is refused";
    /// What the host keeps for one guest call: in its worker, request bodies that were written and not sent; in the broker, as much again of its host calls under way.
    RETAINED_BYTES_MAX: u64 = 16 << 20, Bytes, "the call ends";
    /// Bytes of a streamed body on the way unread; each part of it counts 128 more.
    STREAM_WINDOW_BYTES: u32 = 256 << 10, Bytes, "the sender waits";
    /// The same, of one that came in long pieces, and of which a window has been taken.
    STREAM_WIDE_WINDOW_BYTES: u32 = 1 << 20, Bytes, "the sender waits";
    /// Bodies that have such a window at once; one workspace has at most as many as are free.
    WIDE_WINDOWS_MAX: usize = 64, Count, "further ones keep their narrow window";
    /// Bytes that one call of `keyway:host/scratch` reads or writes.
    SCRATCH_CHUNK_BYTES_MAX: u32 = 1 << 20, Bytes, "the scratch call fails";
    /// Bytes of scratch files of one workspace, over all its environments and calls.
    SCRATCH_WORKSPACE_BYTES_MAX: u64 = 1 << 30, Bytes, "the scratch call fails";
    /// Bytes of scratch files of the whole deployment; one workspace holds at most as many as are free.
    SCRATCH_TOTAL_BYTES_MAX: u64 = 4 << 30, Bytes, "the scratch call fails";
    /// The stack of a guest, which bounds the depth of its calls.
    STACK_BYTES_MAX: usize = 512 << 10, Bytes, "the call ends";
    /// Core modules of one component.
    CORE_MODULES_MAX: usize = 8, Count, "the artifact is refused";
    /// Components inside one component.
    NESTED_COMPONENTS_MAX: usize = 8, Count, "the artifact is refused";
    /// Instances of one component, those that only gather exports among them.
    INSTANCES_MAX: usize = 128, Count, "the artifact is refused";
    /// Instances of components in one component: one for each interface that is exported.
    COMPONENT_INSTANCES_MAX: usize = 8, Count, "the artifact is refused";
    /// Imports of one component.
    IMPORTS_MAX: usize = 256, Count, "the artifact is refused";
    /// Exports of one component.
    EXPORTS_MAX: usize = 256, Count, "the artifact is refused";
    /// Bytes of the name of one import or export.
    IMPORT_NAME_BYTES_MAX: usize = 512, Bytes, "the artifact is refused";
    /// Functions of one component, over all modules: four times those of a JavaScript engine.
    FUNCTIONS_MAX: usize = 1 << 16, Count, "the artifact is refused";
    /// Bytes of one function; compiling takes more than proportional time.
    FUNCTION_BYTES_MAX: usize = 1 << 20, Bytes, "the artifact is refused";
    /// Segments of data, and those of tables, of one component: each costs the compiler far more than the few bytes that it takes.
    SEGMENTS_MAX: usize = 1 << 12, Count, "the artifact is refused";
    /// Core instances of one guest call.
    CORE_INSTANCES_MAX: u32 = 4, Count, "the artifact is refused";
    /// Linear memories of one guest call.
    MEMORIES_MAX: u32 = 1, Count, "the artifact is refused";
    /// Tables of one guest call.
    TABLES_MAX: u32 = 4, Count, "the artifact is refused";
    /// Guest calls at once in one worker process; one workspace holds at most as many as are free.
    GUEST_CALLS_PER_WORKER_MAX: u32 = 200, Count, "further calls wait their turn";
    /// Jobs of one workspace, and guest calls that are of none, that are active at once, for each processor, while other workspaces have some, too; what waits for a disk or an upstream is not active, nor a guest call that has computed for `ACTIVE_MS_MAX`.
    ACTIVE_PER_CORE_MAX: usize = 1, Count, "further ones wait their turn";
    /// How long a guest call counts as active, unless it asks for a request or ends before.
    ACTIVE_MS_MAX: u64 = 20, Milliseconds, "it is not counted any more, and the next one may be active";
    /// How long a workspace that was active counts as one that others are beside.
    COMPANY_SECONDS_MAX: u64 = 10, Seconds, "who is alone then has as many active as it likes";
    /// Linear memory of all guest calls of one worker process together, unless the configuration says otherwise.
    WORKER_MEMORY_BYTES_MAX: u64 = 2 << 30, Bytes, "the call that exceeds it ends";
    /// Components whose code the broker, and each thread of a worker, has at hand, unless the configuration says otherwise.
    COMPONENTS_HELD_MAX: usize = 128, Count, "of the workspace that holds most, the one that was used longest ago is let go, and loaded again when it is called";
    /// Bytes of the code that the broker, and each thread of a worker, has at hand.
    CODE_HELD_BYTES_MAX: u64 = 512 << 20, Bytes, "of the workspace that holds most, the one that was used longest ago is let go, and loaded again when it is called";
    /// Components whose code is read from the disk at once, one of each workspace.
    CODE_READS_MAX: usize = 2, Count, "further calls wait their turn";
    /// Bytes of compiled code on the disk, unless the configuration says otherwise.
    CODE_CACHED_BYTES_MAX: u64 = 4 << 30, Bytes, "of the workspace that holds most, the one that was used longest ago is deleted, and compiled again when it is called";
    /// Compiled code of one artifact.
    CODE_BYTES_MAX: u64 = 256 << 20, Bytes, "the artifact is refused";
    /// Time on a processor for compiling one artifact, unless the configuration says otherwise.
    COMPILE_CPU_SECONDS_MAX: u64 = 20, Seconds, "the artifact is refused";
    /// Time from start to end for compiling one artifact, unless the configuration says otherwise.
    COMPILE_WALL_SECONDS_MAX: u64 = 120, Seconds, "the artifact is refused";
    /// Writable memory for compiling one artifact, beside what the compiler has when it starts, unless the configuration says otherwise.
    COMPILE_MEMORY_BYTES_MAX: u64 = 1 << 30, Bytes, "the artifact is refused";
    /// Components that are being installed or wait for the compiler, over all workspaces.
    INSTALLS_WAITING_MAX: usize = 64, Count, "further installs are refused";
    /// Those of one workspace; workspaces take turns.
    INSTALLS_WAITING_PER_WORKSPACE_MAX: usize = 4, Count, "further installs are refused";
    /// Workers of its own that a component ends within `COMPONENT_CRASHES_SECONDS_MAX`.
    COMPONENT_CRASHES_MAX: usize = 2, Count, "the component is quarantined";
    /// How far apart such ends may lie to count together.
    COMPONENT_CRASHES_SECONDS_MAX: u64 = 600, Seconds, "the earlier one is forgotten";
    /// Components at once that have a worker of their own because they may have ended one.
    SUSPECTS_MAX: usize = 16, Count, "further ones stay with the others";
    /// How long such a component has a worker of its own after the last end of a worker in which it was.
    SUSPECT_SECONDS_MAX: u64 = 60, Seconds, "it runs with the others again";
    /// How long after the end of its last guest call in a worker a component counts as one that had been there.
    COMPONENT_RAN_SECONDS_MAX: u64 = 600, Seconds, "it is not suspected when that worker ends";
    /// Lines that one confined process puts into the host's log.
    CONFINED_ERROR_LINES_MAX: u32 = 1_000, Count, "further lines are dropped";
    /// Redirects that the host follows for one request of a guest.
    REDIRECTS_MAX: usize = 5, Count, "the request is denied";
    /// How long a request takes at least that is denied; if it took longer, so much more than a look-up may.
    REFUSAL_MS_MIN: u64 = 100, Milliseconds, "the answer waits for its moment";
    /// Roots of its own that one connection trusts.
    TLS_ROOTS_MAX: usize = 200, Count, "the connection is refused";
    /// Bytes of those roots, in PEM.
    TLS_ROOTS_BYTES_MAX: usize = 512 << 10, Bytes, "the connection is refused";
    /// Pins of one connection.
    TLS_PINS_MAX: usize = 16, Count, "the connection is refused";
    /// Bytes of one connection's client certificate and what it was signed with, in PEM.
    TLS_CLIENT_BYTES_MAX: usize = 64 << 10, Bytes, "the connection is refused";
    /// An artifact's size at install.
    ARTIFACT_BYTES_MAX: usize = 16 << 20, Bytes, "the install is refused";
    /// A manifest's or recipe's size; the texts of a recipe, those that aliases repeat included, are four times as long at most.
    DOCUMENT_BYTES_MAX: usize = 1 << 20, Bytes, "the document is refused";
    /// Requests, and denials, of one guest call that people are shown: the first, and the last.
    SEEN_ENTRIES_MAX: usize = 500, Count, "those between are counted";
    /// Characters of one text among them.
    SEEN_TEXT_CHARS_MAX: usize = 200, Count, "it is cut";
    /// Steps in one recipe.
    RECIPE_STEPS_MAX: usize = 1_000, Count, "the recipe is refused";
    /// Blocks inside blocks in one recipe.
    RECIPE_DEPTH_MAX: usize = 16, Count, "the recipe is refused";
    /// Steps that one job completes, over all iterations.
    JOB_STEPS_MAX: usize = 100_000, Count, "the job fails";
    /// What one job's journal holds, as JSON.
    JOURNAL_BYTES_MAX: usize = 64 << 20, Bytes, "the job fails";
    /// Iterations of one `foreach`.
    ITERATIONS_MAX: usize = 10_000, Count, "the job fails";
    /// Jobs that run at once, over all workspaces; one workspace holds at most as many as are free.
    JOBS_AT_ONCE_MAX: usize = 512, Count, "further jobs wait their turn";
    /// Jobs that run or wait, over all workspaces; one workspace holds at most as many as are free.
    JOBS_MAX: usize = 8_192, Count, "further events and reruns are refused";
    /// Bytes of what all jobs that run or wait hold; one workspace holds at most as many as are free.
    JOB_BYTES_MAX: u64 = 4 << 30, Bytes, "further events and reruns are refused; a job that is under way fails";
    /// Long answers at once (jobs, the audit log, one job with its steps), over all workspaces; one workspace holds at most as many as are free.
    READS_MAX: usize = 16, Count, "further ones wait their turn";
    /// Those of one workspace.
    READS_PER_WORKSPACE_MAX: usize = 2, Count, "further ones wait their turn";
    /// How long such a call waits for its turn.
    READ_WAIT_MS_MAX: u64 = 10_000, Milliseconds, "the call is refused";
    /// How long a client may take nothing of an answer that is longer than a piece.
    ANSWER_STALL_MS_MAX: u64 = 30_000, Milliseconds, "the answer is cut off, and its places are free";
    /// Events that one poll brings.
    POLL_EVENTS_MAX: usize = 1_000, Count, "the poll fails";
    /// Bytes of one event's de-duplication key.
    POLL_KEY_BYTES_MAX: usize = 256, Bytes, "the poll fails";
    /// Bytes of the cursor of a poll.
    POLL_CURSOR_BYTES_MAX: usize = 64 << 10, Bytes, "the poll fails";
    /// A webhook's body, unless the configuration or the recipe says less.
    WEBHOOK_BODY_BYTES_MAX: usize = 1 << 20, Bytes, "the event is refused";
    /// Webhook bodies that are read at once, over all workspaces; one workspace holds at most as many as are free.
    WEBHOOK_BODIES_MAX: usize = 512, Count, "further ones wait their turn";
    /// Those of one recipe.
    WEBHOOK_BODIES_PER_RECIPE_MAX: usize = 128, Count, "further ones wait their turn";
    /// How long a webhook's body may take to arrive, its turn included.
    WEBHOOK_BODY_MS_MAX: u64 = 30_000, Milliseconds, "the event is refused";
    /// How long a webhook's caller waits for its answer, unless the configuration says otherwise.
    WEBHOOK_REPLY_MS_MAX: u64 = 30_000, Milliseconds, "the caller gets 202, and the job goes on";
    /// Connections of one listener at once; one address (of the sixth version, its network of 64 bits) holds at most as many as are free, and further ones of it are closed.
    LISTENER_CONNECTIONS_MAX: usize = 1_024, Count, "further ones wait in the kernel's queue";
    /// Connections of the API's socket at once.
    SOCKET_CONNECTIONS_MAX: usize = 128, Count, "further ones wait in the kernel's queue";
    /// Callers of the API whose rates are kept although they have not called for a second.
    API_CALLERS_KEPT_MAX: usize = 1_024, Count, "they are forgotten, and begin anew";
    /// Tokens of one workspace that are listed although they are revoked or their time is over.
    TOKENS_ENDED_KEPT_MAX: u32 = 1_000, Count, "the oldest are forgotten";
    /// Approvals of one version of a connector in one environment that are kept, those that are revoked or have ended among them.
    APPROVALS_PER_CONNECTOR_MAX: usize = 100, Count, "the oldest of those that cannot count again is forgotten; without one, a further one is refused";
    /// Addresses whose calls without a token are counted one by one.
    ADDRESSES_KEPT_MAX: usize = 4_096, Count, "further ones share one rate";
    /// One record at most in so long says how many calls without a token were refused.
    UNKNOWN_CALLS_RECORD_SECONDS_MIN: u64 = 5, Seconds, "they are counted until then";
    /// The body of a call of the API that is no artifact.
    API_BODY_BYTES_MAX: usize = 2 << 20, Bytes, "the call is refused";
    /// Bodies of calls of the API that are read at once, those of artifacts not among them, over all workspaces; one workspace holds at most as many as are free.
    API_BODIES_MAX: usize = 256, Count, "further ones wait their turn";
    /// Those of one caller.
    API_BODIES_PER_CALLER_MAX: usize = 32, Count, "further ones wait their turn";
    /// Artifacts that are read at once, over all workspaces; one workspace holds at most as many as are free.
    ARTIFACT_BODIES_MAX: usize = 32, Count, "further ones wait their turn";
    /// Those of one caller.
    ARTIFACT_BODIES_PER_CALLER_MAX: usize = 2, Count, "further ones wait their turn";
    /// How long the body of a call of the API may take to arrive, its turn included.
    API_BODY_MS_MAX: u64 = 30_000, Milliseconds, "the call is refused";
    /// Requests of one HTTP/2 connection at once.
    LISTENER_STREAMS_MAX: u32 = 64, Count, "further ones are refused, to be sent again";
    /// Bytes of the body of one of them on the way unread.
    LISTENER_STREAM_WINDOW_BYTES: u32 = 64 << 10, Bytes, "the sender waits";
    /// Bytes of the head of one request, and of an answer's piece that waits to be sent.
    LISTENER_BUFFER_BYTES_MAX: u32 = 64 << 10, Bytes, "the request is refused; the rest of the answer waits, and keeps its call's place";
    /// How long a client may take over the head of a request, and how long a connection may be silent.
    LISTENER_HEAD_MS_MAX: u64 = 15_000, Milliseconds, "the connection is cut off";
    /// How long a connection may bring no request, whatever else it says.
    LISTENER_IDLE_MS_MAX: u64 = 60_000, Milliseconds, "it is closed after the answers under way";
    /// How long these answers may then take.
    LISTENER_LEAVING_MS_MAX: u64 = 900_000, Milliseconds, "the connection is cut off";
    /// Bytes of an encoded response that are not held to `response_expansion_max`.
    RESPONSE_EXPANSION_FREE_BYTES: u64 = 64 << 10, Bytes, "the ratio holds for the rest";
    /// Bytes of the headers that a guest builds for one request, as the engine counts them in memory.
    FIELD_BYTES_MAX: usize = 32 << 10, Bytes, "the call ends";
    /// Pieces of a request's body that a guest may write before it sends the request: enough for a body of one frame in the smallest pieces that libraries use.
    BODY_CHUNKS_MAX: usize = 32, Count, "the guest waits";
    /// Bytes of one of them.
    BODY_CHUNK_BYTES_MAX: usize = 64 << 10, Bytes, "the guest writes more pieces";
    /// Bytes that a guest prints at once.
    PRINT_BYTES_MAX: usize = 16 << 10, Bytes, "the call ends";
    /// Bytes of the name of a scratch file.
    SCRATCH_NAME_BYTES_MAX: usize = 255, Bytes, "the scratch call fails";
    /// Segments between slashes of such a name.
    SCRATCH_NAME_DEPTH_MAX: usize = 8, Count, "the scratch call fails";
    /// Bytes of a credential: a shorter one cannot be told from ordinary text where it comes back.
    CREDENTIAL_BYTES_MIN: usize = 8, Bytes, "the connection is refused";
    /// Bytes of a credential: replies are searched for every form of it, at a cost that grows with its length.
    CREDENTIAL_BYTES_MAX: usize = 64 << 10, Bytes, "the connection is refused";
    /// Bytes of the forms of all credentials that the broker keeps for their next call, to search replies for them.
    MASKS_HELD_BYTES_MAX: u64 = 128 << 20, Bytes, "of the workspace that holds most, those that were made longest ago are let go, and made again when they are needed";
    /// Those of the credentials of one workspace.
    MASKS_HELD_BYTES_PER_WORKSPACE_MAX: u64 = 32 << 20, Bytes, "those that were made longest ago are let go, and made again when they are needed";
    /// The longest life of a token.
    TOKEN_SECONDS_MAX: u64 = 366 * 86_400, Seconds, "the token is not made";
    /// Jobs, records or alarms in one answer of the API.
    LISTED_MAX: u32 = 1_000, Count, "the rest is not listed";
    /// Schemas inside one another in a manifest.
    SCHEMA_DEPTH_MAX: usize = 32, Count, "the manifest is refused";
    /// Schemas of one manifest, those inside others and the names of `required` included.
    SCHEMA_NODES_MAX: usize = 10_000, Count, "the manifest is refused";
    /// Bytes of the paths of all keywords in the schemas of one manifest: what checks them keeps each.
    SCHEMA_PATHS_BYTES_MAX: usize = 16 << 20, Bytes, "the manifest is refused";
    /// Bytes of one property's name in a schema, in `required` too.
    SCHEMA_NAME_BYTES_MAX: usize = 256, Bytes, "the manifest is refused";
    /// Patterns of all schemas of one manifest, those of `patternProperties` included.
    SCHEMA_PATTERNS_MAX: usize = 256, Count, "the manifest is refused";
    /// Bytes of one of them.
    SCHEMA_PATTERN_BYTES_MAX: usize = 1 << 10, Bytes, "the manifest is refused";
    /// Bytes of the tables that all patterns of one manifest compile to: with its table, a pattern reads each byte of a text once.
    SCHEMA_PATTERN_TABLES_BYTES_MAX: usize = 2 << 20, Bytes, "the manifest is refused";
    /// Values of one `enum`.
    ENUM_VALUES_MAX: usize = 10_000, Count, "the manifest is refused";
    /// Values of one `enum` that is neither of texts alone nor of whole numbers alone: each is compared.
    ENUM_MIXED_VALUES_MAX: usize = 250, Count, "the manifest is refused";
    /// Values in `enum`, `const`, `default` and `examples` of one manifest, those inside others included.
    SCHEMA_VALUES_MAX: usize = 50_000, Count, "the manifest is refused";
    /// Steps of checking one input: a keyword that looks at a value, a value or a name that is gone through, a few bytes of text.
    SCHEMA_STEPS_MAX: u64 = 5_000_000, Count, "the input is refused";
    /// Steps of finding where an input does not fit.
    SCHEMA_PLACES_STEPS_MAX: u64 = 50_000, Count, "one place is told, or none";
    /// Entries of `uses` of one action, trigger or check.
    USES_MAX: usize = 32, Count, "the manifest is refused";
    /// Paths of one such entry.
    USE_PATHS_MAX: usize = 64, Count, "the manifest is refused";
    /// Levels of lists and maps in one recipe.
    DOCUMENT_LEVELS_MAX: usize = 64, Count, "the recipe is refused";
    /// Values of one recipe, those that aliases repeat included.
    DOCUMENT_NODES_MAX: usize = 100_000, Count, "the recipe is refused";
    /// Polls in a row of a trigger that says that there is more.
    POLLS_IN_A_ROW_MAX: u32 = 100, Count, "the next waits as long as after any other";
    /// Attempts at one action when workers end under it.
    ACTION_ATTEMPTS_MAX: u32 = 3, Count, "the job fails";
    /// Further attempts at one piece of a recipe's expressions when workers end under it.
    SEGMENT_ATTEMPTS_MAX: u32 = 5, Count, "the job fails";
    /// Bytes of one HTTP/2 reply of an upstream on the way unread.
    UPSTREAM_STREAM_WINDOW_BYTES: u32 = 1 << 20, Bytes, "the sender waits";
    /// Bytes of all such replies on one connection.
    UPSTREAM_CONNECTION_WINDOW_BYTES: u32 = 4 << 20, Bytes, "the senders wait";
    /// Bytes of the text by which a worker says why a guest call was ended.
    TRAP_BYTES_MAX: usize = 4 << 10, Bytes, "the worker is given up";
    /// Headers of one request that a worker may pass on.
    FRAME_HEADERS_MAX: usize = 4_096, Count, "the worker is given up";
    /// Bytes of the names and values of these headers.
    FRAME_HEADER_BYTES_MAX: usize = 64 << 10, Bytes, "the worker is given up";
    /// Bytes of the method of one request.
    METHOD_BYTES_MAX: usize = 64, Bytes, "the request is refused; a worker that sends it all the same is given up";
    /// Bytes of the URL of one request.
    URL_BYTES_MAX: usize = 64 << 10, Bytes, "the request is refused; a worker that sends it all the same is given up";
    /// Frames without content that an upstream of HTTP/2 sends in a row.
    UPSTREAM_CONTROL_FRAMES_MAX: u32 = 10_000, Count, "the connection is ended";
    /// Bytes that the host calls under way of one worker's guests hold: more than one workspace's can.
    LANE_UNDER_WAY_BYTES_MAX: usize = 1 << 30, Bytes, "the call ends";
    /// Bytes of what a worker says in a second that belongs to no call, each message counted with what it takes beside its content.
    STRAY_BYTES_PER_SECOND_MAX: usize = 8 << 20, Bytes, "the worker is given up";
    /// Events of one guest call that wait for the broker.
    CALL_EVENTS_MAX: usize = 32_768, Count, "the call ends";
    /// Bytes of all events of one thread of a worker that wait for the broker: more than the windows of all its bodies and the ends of all its calls take.
    LANE_EVENT_BYTES_MAX: usize = 256 << 20, Bytes, "the worker is given up";
    /// How long a worker may read nothing while megabytes wait for it.
    LANE_SENDING_MS_MAX: u64 = 5_000, Milliseconds, "the worker is given up";
    /// How long after its time is over, or after nobody waits for it any more, a guest call may take to end.
    CALL_END_GRACE_MS_MAX: u64 = 1_000, Milliseconds, "the worker is given up";
    /// Threads of one worker that run guests.
    WORKER_LANES_MAX: usize = 64, Count, "the configuration is refused";
    /// How long a worker may take from its start to say that it is ready.
    WORKER_READY_SECONDS_MAX: u64 = 20, Seconds, "the worker is ended; in the place of one that ran, another is started";
    /// Time of a worker on processors over its life, unless the configuration says otherwise; another takes its place at half of it.
    WORKER_CPU_SECONDS_MAX: u64 = 86_400, Seconds, "the worker is ended, and its calls are made again where that is safe";
    /// How long the calls of a worker that is no longer needed may still take; those of an old one as long as any call may, if that is longer.
    WORKER_LEAVING_SECONDS_MAX: u64 = 120, Seconds, "the worker is ended";
}
