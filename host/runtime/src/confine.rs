//! How the processes of this crate are confined, in the words of the messages.

use std::time::Duration;

use keyway_confine::{Limits, Report};
use keyway_ipc::{LayerReport, LayerState};

use crate::compile::CompileLimits;

/// What the compiler may have.
pub(crate) const fn compiler(limits: &CompileLimits) -> Limits {
    Limits {
        threads: 0,
        data_bytes_more: limits.memory_bytes_max,
        cpu_max: Some(Duration::from_secs(limits.cpu_seconds_max)),
    }
}

/// The layers as the broker reads them.
pub(crate) fn layers(report: &Report) -> Vec<LayerReport> {
    let state = |state: &keyway_confine::LayerState| match state {
        keyway_confine::LayerState::Held => LayerState::Held,
        keyway_confine::LayerState::Covered(how) => LayerState::Covered(how.clone()),
        keyway_confine::LayerState::Refused(why) => LayerState::Refused(why.clone()),
    };
    report
        .layers()
        .iter()
        .map(|report| LayerReport {
            layer: report.layer.to_string(),
            state: state(&report.state),
        })
        .collect()
}
