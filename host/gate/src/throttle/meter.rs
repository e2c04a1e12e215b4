//! What is counted of one connector, of one environment, or of one workspace.

use std::time::Instant;

use keyway_model::limit::Quotas;
use parking_lot::Mutex;

use super::bucket::{Bucket, Rate};
use super::room::Room;

/// A quota's name and value.
type Quota = (&'static str, u32);

/// What a meter is held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    http: Quota,
    state: Quota,
    scratch: Quota,
    reads: Quota,
    connection: Quota,
    log: Quota,
    in_flight: Quota,
}

/// Rates of host calls by kind, and how many are under way.
#[derive(Debug)]
pub(super) struct Meter {
    /// The numbers of its bounds.
    held: Mutex<[u32; 7]>,
    pub(super) http: Rate,
    pub(super) state: Rate,
    pub(super) scratch: Rate,
    pub(super) reads: Bucket,
    pub(super) connection: Bucket,
    pub(super) log: Bucket,
    pub(super) in_flight: Room,
}

impl Bounds {
    pub(super) const fn of_connector(quotas: &Quotas) -> Self {
        Self {
            http: (
                "http_calls_per_second_max",
                quotas.http_calls_per_second_max,
            ),
            state: (
                "state_writes_per_second_max",
                quotas.state_writes_per_second_max,
            ),
            scratch: (
                "scratch_calls_per_second_max",
                quotas.scratch_calls_per_second_max,
            ),
            reads: (
                "state_reads_per_second_max",
                quotas.state_reads_per_second_max,
            ),
            connection: (
                "connection_reads_per_second_max",
                quotas.connection_reads_per_second_max,
            ),
            log: ("log_lines_per_second_max", quotas.log_lines_per_second_max),
            in_flight: (
                "host_calls_in_flight_per_connector_max",
                quotas.host_calls_in_flight_per_connector_max,
            ),
        }
    }

    pub(super) const fn of_workspace(quotas: &Quotas) -> Self {
        Self {
            http: (
                "http_calls_per_second_per_workspace_max",
                quotas.http_calls_per_second_per_workspace_max,
            ),
            state: (
                "state_writes_per_second_per_workspace_max",
                quotas.state_writes_per_second_per_workspace_max,
            ),
            scratch: (
                "scratch_calls_per_second_per_workspace_max",
                quotas.scratch_calls_per_second_per_workspace_max,
            ),
            reads: (
                "state_reads_per_second_per_workspace_max",
                quotas.state_reads_per_second_per_workspace_max,
            ),
            connection: (
                "connection_reads_per_second_per_workspace_max",
                quotas.connection_reads_per_second_per_workspace_max,
            ),
            log: (
                "log_lines_per_second_per_workspace_max",
                quotas.log_lines_per_second_per_workspace_max,
            ),
            in_flight: (
                "host_calls_in_flight_per_workspace_max",
                quotas.host_calls_in_flight_per_workspace_max,
            ),
        }
    }

    const fn numbers(&self) -> [u32; 7] {
        [
            self.http.1,
            self.state.1,
            self.scratch.1,
            self.reads.1,
            self.connection.1,
            self.log.1,
            self.in_flight.1,
        ]
    }
}

impl Meter {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let rate = |(name, per_second): Quota| Rate::new(name, per_second);
        let bucket = |(name, per_second): Quota| Bucket::new(name, per_second);
        let (name, max) = bounds.in_flight;
        Self {
            held: Mutex::new(bounds.numbers()),
            http: rate(bounds.http),
            state: rate(bounds.state),
            scratch: rate(bounds.scratch),
            reads: bucket(bounds.reads),
            connection: bucket(bounds.connection),
            log: bucket(bounds.log),
            in_flight: Room::new(name, max),
        }
    }

    /// Holds it to other numbers, if they are others. What was used stays used,
    /// and what is under way counts: changing limits to and fro gives nothing away.
    pub(super) fn hold_to(&self, bounds: &Bounds) {
        let numbers = bounds.numbers();
        let mut held = self.held.lock();
        if *held == numbers {
            return;
        }
        let [http, state, scratch, reads, connection, log, in_flight] = numbers;
        self.http.hold_to(http);
        self.state.hold_to(state);
        self.scratch.hold_to(scratch);
        self.reads.hold_to(reads);
        self.connection.hold_to(connection);
        self.log.hold_to(log);
        self.in_flight.hold_to(in_flight);
        *held = numbers;
    }

    /// Whether nothing is lost with it, if nothing of it is under way.
    pub(super) fn owes_nothing(&self, now: Instant) -> bool {
        let rates = [&self.http, &self.state, &self.scratch];
        let buckets = [&self.reads, &self.connection, &self.log];
        let of_rates = rates.iter().flat_map(|rate| [&rate.calls, &rate.refusals]);
        of_rates.chain(buckets).all(|bucket| bucket.is_full(now))
    }
}
