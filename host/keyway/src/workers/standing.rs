//! How the workers of a broker stand together: a layer of confinement that one of
//! them lacks is missing, whatever the others have.
//!
//! Only reads what each worker said of itself when it was started.

use std::collections::BTreeSet;
use std::sync::Arc;

use keyway_ipc::{LayerReport, LayerState, Standing};

/// The missing layers that somebody has been told of.
#[derive(Debug, Default)]
pub(super) struct Told {
    layers: BTreeSet<String>,
}

impl Told {
    /// Takes note of a worker: answers with the layers that it lacks and that nobody was
    /// told of before.
    pub(super) fn add(&mut self, standing: &Standing) -> Vec<String> {
        lacked(standing)
            .filter(|layer| self.layers.insert((*layer).to_owned()))
            .map(str::to_owned)
            .collect()
    }
}

/// The layers that at least one of them lacks, sorted.
pub(super) fn missing(all: &[Arc<Standing>]) -> Vec<String> {
    let layers: BTreeSet<&str> = all.iter().flat_map(|standing| lacked(standing)).collect();
    layers.into_iter().map(str::to_owned).collect()
}

/// A line for each layer, as it stands where it stands worst, and one for how instances
/// are reset; nothing of no worker.
pub(super) fn shown(all: &[Arc<Standing>]) -> String {
    let mut lines = String::new();
    if all.is_empty() {
        return lines;
    }
    let mut line = |what: &str, state: &str| {
        lines.push_str(&format!("worker {what}: {state}\n"));
    };
    for report in worst(all) {
        match &report.state {
            LayerState::Held => line(&report.layer, "held"),
            LayerState::Covered(how) => line(&report.layer, &format!("covered: {how}")),
            LayerState::Refused(why) => line(
                &report.layer,
                &format!("MISSING: {why} (dangerous_weaker_worker)"),
            ),
        }
    }
    let reset = if all.iter().all(|standing| standing.quick_reset) {
        "quick"
    } else {
        "slow, since this kernel cannot scan a page map"
    };
    line("instance-reset", reset);
    lines
}

fn lacked(standing: &Standing) -> impl Iterator<Item = &str> {
    let reports = standing.layers.iter();
    reports
        .filter(|report| matches!(report.state, LayerState::Refused(_)))
        .map(|report| report.layer.as_str())
}

/// Each layer once, in the order in which they were taken.
fn worst(all: &[Arc<Standing>]) -> Vec<&LayerReport> {
    let mut found: Vec<&LayerReport> = Vec::new();
    for report in all.iter().flat_map(|standing| &standing.layers) {
        let known = found.iter_mut().find(|known| known.layer == report.layer);
        match known {
            Some(known) if weakness(&known.state) < weakness(&report.state) => *known = report,
            Some(_) => {}
            None => found.push(report),
        }
    }
    found
}

const fn weakness(state: &LayerState) -> u8 {
    match state {
        LayerState::Held => 0,
        LayerState::Covered(_) => 1,
        LayerState::Refused(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> LayerState {
        LayerState::Refused("not this kernel".to_owned())
    }

    fn covered() -> LayerState {
        LayerState::Covered("by the filter".to_owned())
    }

    fn worker<const N: usize>(layers: [(&str, LayerState); N]) -> Arc<Standing> {
        let layers = layers.map(|(layer, state)| LayerReport {
            layer: layer.to_owned(),
            state,
        });
        Arc::new(Standing {
            quick_reset: true,
            layers: layers.into(),
        })
    }

    #[test]
    fn a_layer_that_any_worker_lacks_is_missing_and_shown_so() {
        let whole = worker([("limits", LayerState::Held), ("landlock", LayerState::Held)]);
        let weaker = worker([("limits", covered()), ("landlock", refused())]);
        let weakest = worker([("limits", refused()), ("landlock", refused())]);
        assert_eq!(missing(&[Arc::clone(&whole)]), Vec::<String>::new());
        // Whichever of them was started first.
        for two in [
            [Arc::clone(&whole), Arc::clone(&weaker)],
            [Arc::clone(&weaker), Arc::clone(&whole)],
        ] {
            assert_eq!(missing(&two), ["landlock"]);
            let said = shown(&two);
            assert_eq!(
                said,
                "worker limits: covered: by the filter\n\
                 worker landlock: MISSING: not this kernel (dangerous_weaker_worker)\n\
                 worker instance-reset: quick\n"
            );
        }
        assert_eq!(missing(&[whole, weakest, weaker]), ["landlock", "limits"]);
    }

    #[test]
    fn instances_are_reset_slowly_where_one_worker_does_so() {
        let quick = worker([]);
        let slow = Arc::new(Standing::default());
        assert_eq!(
            shown(&[Arc::clone(&quick)]),
            "worker instance-reset: quick\n"
        );
        assert!(shown(&[quick, slow]).contains("worker instance-reset: slow"));
        assert_eq!(shown(&[]), "");
    }

    #[test]
    fn a_missing_layer_is_told_once_whichever_worker_lacks_it() {
        let mut told = Told::default();
        let nothing = Vec::<String>::new();
        let whole = worker([("limits", LayerState::Held), ("landlock", covered())]);
        let weaker = worker([("limits", LayerState::Held), ("landlock", refused())]);
        let weakest = worker([("limits", refused()), ("landlock", refused())]);
        assert_eq!(told.add(&whole), nothing);
        assert_eq!(told.add(&weaker), ["landlock"]);
        assert_eq!(told.add(&weaker), nothing);
        // One that is started later and lacks more.
        assert_eq!(told.add(&weakest), ["limits"]);
        assert_eq!(told.add(&weakest), nothing);
        assert_eq!(told.add(&whole), nothing);
    }
}
