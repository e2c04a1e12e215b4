//! Limits that somebody may change: what a guest call, a workspace and its
//! connectors, the way out and callers of the API may consume.
//!
//! Only declares. Who counts is who enforces.

use serde::{Deserialize, Serialize};

use super::declare::limits;
use super::{Level, LimitInfo, Unit};

limits! {
    /// What one guest call may consume.
    CallLimits {
        /// Linear memory, all of it together.
        memory_bytes_max: u64 = 64 << 20, Bytes, Manifest, "the call ends";
        /// Elements over all tables.
        table_elements_max: u32 = 20_000, Count, Manifest, "the call ends";
        /// Resource handles that the guest holds at once.
        handles_max: u32 = 1_024, Count, Manifest, "the call ends";
        /// Host calls (of our own interfaces and HTTP) in one guest call.
        host_calls_max: u32 = 10_000, Count, Manifest, "the call ends";
        /// Host calls of one guest call under way at once.
        host_calls_in_flight_max: u32 = 32, Count, Manifest, "the call ends";
        /// Bytes that the guest passes in one host call.
        host_call_bytes_max: u32 = 4 << 20, Bytes, Manifest, "the call ends";
        /// Time from start to end, waiting included.
        wall_ms_max: u64 = 30_000, Milliseconds, Manifest, "the call ends";
        /// Time on a processor.
        cpu_ms_max: u64 = 5_000, Milliseconds, Manifest, "the call ends";
        /// Input and output of the call, each.
        value_bytes_max: u32 = 1 << 20, Bytes, Manifest, "the call ends";
        /// Random bytes in one host call.
        random_bytes_max: u32 = 64 << 10, Bytes, Manifest, "the call ends";
        /// Log lines in one guest call.
        log_lines_max: u32 = 1_000, Count, Manifest, "further lines are dropped and counted";
        /// Bytes of one log line.
        log_line_bytes_max: u32 = 4 << 10, Bytes, Manifest, "the line is cut and marked";
        /// Bytes of all log lines of one guest call.
        log_bytes_max: u32 = 128 << 10, Bytes, Manifest, "further lines are dropped and counted";
        /// Headers of one request.
        request_headers_max: u32 = 64, Count, Manifest, "the request is refused";
        /// Bytes of the names and values of one request's headers.
        request_header_bytes_max: u32 = 32 << 10, Bytes, Manifest, "the request is refused";
        /// Bytes of one request body.
        request_body_bytes_max: u64 = 64 << 20, Bytes, Manifest, "the request is refused or broken off";
        /// Headers of one response.
        response_headers_max: u32 = 128, Count, Manifest, "the response is withheld";
        /// Bytes of the names and values of one response's headers.
        response_header_bytes_max: u32 = 64 << 10, Bytes, Manifest, "the response is withheld";
        /// Bytes of one response body, after decoding.
        response_body_bytes_max: u64 = 64 << 20, Bytes, Manifest, "the response is broken off";
        /// Bytes of all request bodies of one guest call.
        bytes_out_max: u64 = 256 << 20, Bytes, Manifest, "the request is broken off";
        /// Bytes of all response bodies of one guest call, after decoding.
        bytes_in_max: u64 = 256 << 20, Bytes, Manifest, "the response is broken off";
        /// Bytes of one key of state.
        state_key_bytes_max: u32 = 256, Bytes, Manifest, "the state call fails";
        /// Bytes of one state value.
        state_value_bytes_max: u32 = 64 << 10, Bytes, Manifest, "the state call fails";
        /// Keys of state for one connection.
        state_keys_max: u32 = 1_000, Count, Manifest, "the state call fails";
        /// Bytes of all scratch files of the call.
        scratch_bytes_max: u64 = 64 << 20, Bytes, Manifest, "the scratch call fails";
        /// Bytes of one scratch file.
        scratch_file_bytes_max: u64 = 32 << 20, Bytes, Manifest, "the scratch call fails";
        /// Scratch files that the call has at once.
        scratch_files_max: u32 = 64, Count, Manifest, "the scratch call fails";
    }
}

limits! {
    /// What one workspace, and one connector in one of its environments, may
    /// consume over all guest calls.
    Quotas {
        /// Guest calls of one workspace at once, expressions included.
        guest_calls_per_workspace_max: u32 = 256, Count, Workspace, "further calls wait their turn";
        /// Guest calls of one connector at once.
        guest_calls_per_connector_max: u32 = 128, Count, Manifest, "further calls wait their turn";
        /// Linear memory of all guest calls of one workspace in one worker process; one workspace holds at most as much as is free.
        memory_bytes_per_workspace_max: u64 = 1 << 30, Bytes, Workspace, "the call that exceeds it ends";
        /// Connectors that one workspace has installed, each version, over all its environments.
        connectors_per_workspace_max: u32 = 1_000, Count, Workspace, "further installs are refused";
        /// Connections that one workspace has, over all its environments.
        connections_per_workspace_max: u32 = 1_000, Count, Workspace, "further ones are not made";
        /// Recipes that one workspace has, those that are stopped among them, over all its environments.
        recipes_per_workspace_max: u32 = 1_000, Count, Workspace, "further ones are refused";
        /// Jobs of one workspace that run or wait.
        jobs_per_workspace_max: u32 = 2_048, Count, Workspace, "further events and reruns are refused";
        /// Bytes of what the jobs of one workspace that run or wait hold: events, and the inputs and outputs of steps, as JSON.
        job_bytes_per_workspace_max: u64 = 512 << 20, Bytes, Workspace, "further events and reruns are refused; a job that is under way fails";
        /// Host calls (requests, changes of state, calls of scratch files) of one connector under way at once.
        host_calls_in_flight_per_connector_max: u32 = 1_024, Count, Manifest, "further ones wait, then fail";
        /// Host calls (requests, changes of state, calls of scratch files) of one workspace under way at once, over all its environments and connectors.
        host_calls_in_flight_per_workspace_max: u32 = 2_048, Count, Workspace, "further ones wait, then fail";
        /// Requests of one connector a second.
        http_calls_per_second_max: u32 = 20_000, PerSecond, Manifest, "further ones wait, then fail";
        /// Changes of state of one connector a second.
        state_writes_per_second_max: u32 = 5_000, PerSecond, Manifest, "further ones wait, then fail";
        /// Reads of state of one connector a second.
        state_reads_per_second_max: u32 = 20_000, PerSecond, Manifest, "further ones wait, then fail";
        /// Reads of the connection of one connector a second, those that its worker answers by itself not among them.
        connection_reads_per_second_max: u32 = 20_000, PerSecond, Manifest, "further ones wait, then the call ends";
        /// Calls of scratch files of one connector a second.
        scratch_calls_per_second_max: u32 = 20_000, PerSecond, Manifest, "further ones wait, then fail";
        /// Log lines of one connector a second.
        log_lines_per_second_max: u32 = 20_000, PerSecond, Manifest, "further lines are dropped and counted";
        /// Requests of one workspace a second, over all its environments and connectors.
        http_calls_per_second_per_workspace_max: u32 = 20_000, PerSecond, Workspace, "further ones wait, then fail";
        /// Changes of state of one workspace a second, over all its environments and connectors.
        state_writes_per_second_per_workspace_max: u32 = 5_000, PerSecond, Workspace, "further ones wait, then fail";
        /// Reads of state of one workspace a second, over all its environments and connectors.
        state_reads_per_second_per_workspace_max: u32 = 20_000, PerSecond, Workspace, "further ones wait, then fail";
        /// Reads of the connection of one workspace a second, over all its environments and connectors, those that its workers answer by themselves not among them.
        connection_reads_per_second_per_workspace_max: u32 = 20_000, PerSecond, Workspace, "further ones wait, then the call ends";
        /// Calls of scratch files of one workspace a second, over all its environments and connectors.
        scratch_calls_per_second_per_workspace_max: u32 = 20_000, PerSecond, Workspace, "further ones wait, then fail";
        /// Log lines of one workspace a second, over all its environments and connectors.
        log_lines_per_second_per_workspace_max: u32 = 20_000, PerSecond, Workspace, "further lines are dropped and counted";
        /// How long a host call waits for a quota.
        throttle_ms_max: u64 = 10_000, Milliseconds, Manifest, "the host call fails, naming the quota, and no faster than calls pass it";
    }
}

limits! {
    /// What the way out may use and wait for: where a connector is named, all
    /// its requests in one environment; else one request.
    NetworkLimits {
        /// Connections to upstreams of one connector at once.
        connections_per_connector_max: u32 = 512, Count, Manifest, "further ones wait, then fail";
        /// New connections of one connector a second.
        connects_per_second_max: u32 = 1_024, PerSecond, Manifest, "the request fails";
        /// Look-ups of names for one connector a second.
        lookups_per_second_max: u32 = 1_024, PerSecond, Manifest, "the request fails";
        /// Bytes received for one connector in a minute, as they are on the wire.
        bytes_in_per_minute_max: u64 = 64 << 30, PerMinute, Manifest, "requests fail until time has paid for it";
        /// Bytes sent for one connector in a minute, as they are on the wire.
        bytes_out_per_minute_max: u64 = 64 << 30, PerMinute, Manifest, "requests fail until time has paid for it";
        /// Addresses of one name that are looked at.
        addresses_max: u32 = 16, Count, Manifest, "the rest is not looked at";
        /// How long a name may take to become addresses.
        resolve_ms_max: u64 = 5_000, Milliseconds, Manifest, "the request fails";
        /// How long a connection may take to open, over all addresses; also the wait for one that is free.
        connect_ms_max: u64 = 5_000, Milliseconds, Manifest, "the request fails";
        /// How long TLS may take to be agreed.
        tls_ms_max: u64 = 5_000, Milliseconds, Manifest, "the request fails";
        /// From a request to the head of its response, connecting included.
        response_head_ms_max: u64 = 30_000, Milliseconds, Manifest, "the request is given up";
        /// Between two pieces of a response's body.
        response_idle_ms_max: u64 = 30_000, Milliseconds, Manifest, "the response is broken off";
        /// From a request to the last byte of its response.
        exchange_ms_max: u64 = 120_000, Milliseconds, Manifest, "the response is broken off";
        /// Interim responses (1xx) before a response.
        response_interims_max: u32 = 16, Count, Manifest, "the request is given up";
        /// How many bytes one byte of an encoded response may become.
        response_expansion_max: u32 = 100, Ratio, Manifest, "the response is broken off";
        /// Connections to upstreams at once, over all workspaces; one workspace holds at most as many as are free.
        upstream_connections_max: u32 = 1_024, Count, Platform, "further ones wait, then fail";
        /// Origins, each as one connection of a workspace reaches it, whose connections are kept.
        upstream_places_max: u32 = 1_024, Count, Platform, "those of the least recently used are closed";
        /// Unused connections that are kept of one such origin.
        idle_connections_max: u32 = 64, Count, Platform, "further ones are closed";
        /// How long an unused connection is kept.
        idle_connection_ms_max: u64 = 60_000, Milliseconds, Platform, "it is closed";
    }
}

limits! {
    /// What callers may ask of the API: one of them, all of one workspace, and
    /// those whom nobody knows.
    ApiLimits {
        /// Calls of the API by one caller (a token, or the user of the socket) a second.
        api_calls_per_second_max: u32 = 200, PerSecond, Workspace, "further calls are refused";
        /// Calls of the API by one caller under way at once; one is so until its answer is sent.
        api_calls_at_once_max: u32 = 64, Count, Workspace, "further calls are refused";
        /// Calls of the API by all tokens of one workspace a second.
        api_calls_per_second_per_workspace_max: u32 = 1_000, PerSecond, Workspace, "further calls are refused";
        /// Calls of the API by all tokens of one workspace under way at once.
        api_calls_at_once_per_workspace_max: u32 = 256, Count, Workspace, "further calls are refused";
        /// Tokens of one workspace that hold, over all its environments.
        tokens_per_workspace_max: u32 = 1_000, Count, Workspace, "further ones are not made";
        /// Calls from one address (or by the socket) that no token vouches for, a second: without a valid token, of a path that is no webhook's, and of `/healthz` and `/readyz`, each counted by itself.
        calls_without_token_per_second_max: u32 = 100, PerSecond, Platform, "further calls are refused";
    }
}
