//! How the processes of this crate are confined, in the words of the messages.

use std::time::Duration;

use keyway_confine::{Limits, Report};
use keyway_ipc::{LayerReport, LayerState};
use keyway_model::limit::{COMPILE_CPU_SECONDS_MAX, COMPILE_MEMORY_BYTES_MAX};

/// What the compiler may have.
pub(crate) const COMPILER: Limits = Limits {
    threads: 0,
    data_bytes_more: COMPILE_MEMORY_BYTES_MAX,
    cpu_max: Some(Duration::from_secs(COMPILE_CPU_SECONDS_MAX)),
};

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
