//! The figures: what each is, what it is measured against, and what counts as met.

/// How a figure is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A fresh instance, a call, a drop: `keyway bench-instance` measures both sides.
    Instance,
    /// A host call through the worker's socket, against the bare round trip.
    HostCall,
    /// Jobs a second.
    Rate(Work),
    /// Latency that 99 of 100 jobs do not exceed.
    P99(Work),
    /// Median latency.
    P50(Work),
    /// Resident memory under load.
    Memory,
    /// From starting the process to ready.
    Start,
    /// Mediated HTTP calls a second, each in a fresh instance, against the same component on a bare engine.
    HttpCall,
    /// What mediation adds to one such call, without a disk, on one core.
    HttpAdded,
    /// A decision on a destination.
    Decide,
    /// A body through a guest, against a native proxy of the same.
    Stream,
    /// What broker and worker hold more during that.
    StreamMemory,
    /// Latency of an honest tenant beside four hostile guests, against its own without them.
    VictimP99,
    /// From the end of a worker to another that takes calls; so many of 100 are not slower.
    Replace(Percent),
    /// From when a wedged worker was noticed to another that takes calls.
    ReplaceWedged,
}

/// Which latency counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Percent {
    /// The median.
    P50,
    /// That which 99 of 100 do not exceed.
    P99,
}

/// What a job does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Work {
    /// webhook → transform → action → if → respond.
    W1,
    /// The same without the action.
    W2,
}

/// What a figure must reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// At least this part of the bound.
    RatioMin(f64),
    /// At most this many times the bound.
    RatioMax(f64),
    /// At most this, whatever the bound.
    ValueMax(f64),
    /// At most this much more than the bound.
    MoreMax(f64),
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: &'static str,
    pub(crate) connections: usize,
    pub(crate) bound: &'static str,
    pub(crate) target: Target,
}

/// All figures, in the order of the table.
pub(crate) const FIGURES: [Figure; 17] = [
    Figure {
        name: "instance",
        kind: Kind::Instance,
        unit: "us p50",
        connections: 0,
        bound: "bare wasmtime, same settings",
        target: Target::RatioMax(1.5),
    },
    Figure {
        name: "host_call",
        kind: Kind::HostCall,
        unit: "us p50",
        connections: 0,
        bound: "bare message round trip, same core",
        target: Target::RatioMax(1.6),
    },
    Figure {
        name: "w1_jobs",
        kind: Kind::Rate(Work::W1),
        unit: "jobs/s",
        connections: 64,
        bound: "(d) native, durable history",
        target: Target::RatioMin(0.30),
    },
    Figure {
        name: "w1_p99",
        kind: Kind::P99(Work::W1),
        unit: "ms p99",
        connections: 16,
        bound: "(d) native, durable history",
        target: Target::RatioMax(2.5),
    },
    Figure {
        name: "w1_single",
        kind: Kind::P50(Work::W1),
        unit: "ms p50",
        connections: 1,
        bound: "(d) native, durable history",
        target: Target::RatioMax(3.5),
    },
    Figure {
        name: "w2_jobs",
        kind: Kind::Rate(Work::W2),
        unit: "jobs/s",
        connections: 64,
        bound: "(d) native, durable history",
        target: Target::RatioMin(0.60),
    },
    Figure {
        name: "memory",
        kind: Kind::Memory,
        unit: "MiB",
        connections: 64,
        bound: "(d) native, durable history",
        target: Target::ValueMax(100.0),
    },
    Figure {
        name: "start",
        kind: Kind::Start,
        unit: "s",
        connections: 0,
        bound: "(d) native, durable history",
        target: Target::ValueMax(1.0),
    },
    Figure {
        name: "http_call",
        kind: Kind::HttpCall,
        unit: "calls/s",
        connections: 64,
        bound: "same component, bare engine, pooled",
        target: Target::RatioMin(0.35),
    },
    Figure {
        name: "http_added",
        kind: Kind::HttpAdded,
        unit: "us p50",
        connections: 1,
        bound: "the same, one core, no disk",
        target: Target::MoreMax(60.0),
    },
    Figure {
        name: "decide",
        kind: Kind::Decide,
        unit: "us p50",
        connections: 0,
        bound: "among one grant",
        target: Target::ValueMax(1.0),
    },
    Figure {
        name: "stream",
        kind: Kind::Stream,
        unit: "MiB/s",
        connections: 1,
        bound: "native proxy of 1 GiB",
        target: Target::RatioMin(0.25),
    },
    Figure {
        name: "stream_mem",
        kind: Kind::StreamMemory,
        unit: "MiB",
        connections: 1,
        bound: "the body itself",
        target: Target::ValueMax(64.0),
    },
    Figure {
        name: "victim_p99",
        kind: Kind::VictimP99,
        unit: "ms p99",
        connections: 256,
        bound: "the same without hostile guests",
        target: Target::RatioMax(2.0),
    },
    Figure {
        name: "replace",
        kind: Kind::Replace(Percent::P50),
        unit: "ms p50",
        connections: 0,
        bound: "this program, started and ended",
        target: Target::ValueMax(25.0),
    },
    Figure {
        name: "replace_p99",
        kind: Kind::Replace(Percent::P99),
        unit: "ms p99",
        connections: 0,
        bound: "this program, started and ended",
        target: Target::ValueMax(25.0),
    },
    Figure {
        name: "replace_wedged",
        kind: Kind::ReplaceWedged,
        unit: "ms p50",
        connections: 0,
        bound: "this program, started and ended",
        target: Target::ValueMax(25.0),
    },
];

impl Figure {
    /// About how long its measurement takes.
    pub(crate) fn cost_seconds(&self, runs: usize, seconds: f64) -> f64 {
        let runs: f64 = (0..runs).map(|_| 1.0).sum();
        match self.kind {
            Kind::Rate(_)
            | Kind::P99(_)
            | Kind::P50(_)
            | Kind::Memory
            | Kind::HttpCall
            | Kind::HttpAdded => 2.0 * runs * (seconds + 1.0) + 5.0,
            // Hostile calls that are under way are waited for.
            Kind::VictimP99 => 2.0 * runs * (seconds + 5.0) + 15.0,
            Kind::Stream | Kind::StreamMemory | Kind::Replace(_) => 5.0 * runs,
            // A second until each is noticed.
            Kind::ReplaceWedged => 25.0 * runs,
            Kind::Instance | Kind::HostCall | Kind::Start => 20.0,
            Kind::Decide => runs,
        }
    }
}

impl Target {
    /// Whether a measured value, beside its bound, reaches the target.
    pub(crate) fn is_met(self, value: f64, bound_value: f64) -> bool {
        let ratio = value / bound_value;
        match self {
            Self::RatioMin(least) => ratio >= least,
            Self::RatioMax(most) => ratio <= most,
            Self::ValueMax(most) => value <= most,
            Self::MoreMax(most) => value - bound_value <= most,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RatioMin(least) => write!(f, ">= {least:.2} x"),
            Self::RatioMax(most) => write!(f, "<= {most:.1} x"),
            Self::ValueMax(most) => write!(f, "<= {most:.0}"),
            Self::MoreMax(most) => write!(f, "<= +{most:.0}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn what_is_added_to_the_bound_counts_and_not_the_ratio() {
        let added = Target::MoreMax(60.0);
        assert!(added.is_met(109.0, 50.0));
        assert!(!added.is_met(111.0, 50.0));
    }
}
