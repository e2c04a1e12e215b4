//! Measuring a figure: alternating runs of bound and Keyway, and the median of each.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;

use super::figure::{Figure, Kind, Percent, Work};
use super::keyway;
use super::rig::{Outcome, Rig, Side, Upstream, number, start_bound};
use crate::artifacts::{Profile, binary, guests, test_guest};
use crate::shell::{self, root, tool};

/// Connectors that are installed when the start is timed.
const CONNECTORS: usize = 20;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) value: f64,
    pub(crate) bound_value: f64,
}

impl Measured {
    /// Keyway's value over the bound's.
    pub(crate) fn ratio(self) -> f64 {
        self.value / self.bound_value
    }
}

/// A session of measurements: rigs stay up between figures of the same work.
#[derive(Debug)]
pub(crate) struct Bench {
    w1: Option<Rig>,
    w2: Option<Rig>,
    pub(super) folder: Folder,
    pub(super) runs: usize,
    pub(super) seconds: f64,
}

/// A folder that goes when the session ends.
#[derive(Debug)]
pub(super) struct Folder(pub(super) PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(fault) = std::fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {fault}", self.0.display());
        }
    }
}

impl Bench {
    /// A session with a fresh folder.
    pub(crate) fn new(runs: usize, seconds: f64) -> anyhow::Result<Self> {
        let folder = root().join(format!("target/bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self {
            w1: None,
            w2: None,
            folder: Folder(folder),
            runs,
            seconds,
        })
    }

    /// Measures one figure.
    pub(crate) fn measure(&mut self, figure: &Figure) -> anyhow::Result<Measured> {
        match figure.kind {
            Kind::Instance => self.instance(),
            Kind::HostCall => self.host_call(),
            Kind::Rate(work) => self.under_load(figure, work, |outcome| outcome.rate),
            Kind::P99(work) => self.under_load(figure, work, |outcome| outcome.p99_ms),
            Kind::P50(work) => self.under_load(figure, work, |outcome| outcome.p50_ms),
            Kind::Memory => self.under_load(figure, Work::W1, |outcome| outcome.resident_mib),
            Kind::Start => self.start(),
            Kind::HttpCall => self.http_call(figure.connections),
            Kind::HttpAdded => self.http_added(),
            Kind::Decide => self.decide(),
            Kind::Stream => self.stream("mib_per_s"),
            Kind::StreamMemory => self.stream("grown_mib"),
            Kind::VictimP99 => self.victim(figure.connections),
            Kind::Replace(percent) => self.replace(percent, &[]),
            Kind::ReplaceWedged => self.replace(Percent::P50, &["--wedged", "--rounds", "20"]),
        }
    }

    /// Alternates runs of both sides; no side is ever measured in a minute of its own.
    pub(super) fn alternate(
        &self,
        mut run: impl FnMut(Side) -> anyhow::Result<f64>,
    ) -> anyhow::Result<Measured> {
        let (mut values, mut bound_values) = (Vec::new(), Vec::new());
        for at in 1..=self.runs {
            let bound_value = run(Side::Bound)?;
            let value = run(Side::Keyway)?;
            eprintln!("  run {at}: bound {bound_value:.2}, Keyway {value:.2}");
            bound_values.push(bound_value);
            values.push(value);
        }
        Ok(Measured {
            value: median(values)?,
            bound_value: median(bound_values)?,
        })
    }

    fn under_load(
        &mut self,
        figure: &Figure,
        work: Work,
        pick: fn(&Outcome) -> f64,
    ) -> anyhow::Result<Measured> {
        let place = match work {
            Work::W1 => &mut self.w1,
            Work::W2 => &mut self.w2,
        };
        let mut rig = match place.take() {
            Some(rig) => rig,
            None => Rig::start(&self.folder.0, work)
                .with_context(|| format!("cannot set up {work:?}"))?,
        };
        let (connections, seconds) = (figure.connections, self.seconds);
        let measured = self.alternate(|side| {
            rig.load(side, connections, seconds)
                .map(|outcome| pick(&outcome))
        });
        match work {
            Work::W1 => self.w1 = Some(rig),
            Work::W2 => self.w2 = Some(rig),
        }
        measured
    }

    /// Both sides are measured inside one process, because both need the runtime's own settings.
    fn instance(&self) -> anyhow::Result<Measured> {
        let component = test_guest("guest_logic");
        let (mut values, mut bound_values) = (Vec::new(), Vec::new());
        for at in 1..=self.runs {
            let mut command = tool(
                binary("keyway", Profile::Release),
                &["bench-instance", "--component"],
            );
            let outcome = json(command.arg(&component))?;
            let (value, bound_value) =
                (number(&outcome, "value")?, number(&outcome, "bound_value")?);
            eprintln!("  run {at}: bound {bound_value:.2}, Keyway {value:.2}");
            values.push(value);
            bound_values.push(bound_value);
        }
        Ok(Measured {
            value: median(values)?,
            bound_value: median(bound_values)?,
        })
    }

    /// The bound carries as many bytes as a host call does, which Keyway's side says if it knows.
    fn host_call(&self) -> anyhow::Result<Measured> {
        let mut bytes = String::from("128");
        let component = guests().join("hostile.wasm");
        let ours = || {
            let verb = ["bench-host-call", "--component"];
            json(tool(binary("keyway", Profile::Release), &verb).arg(&component))
        };
        if let Some(known) = ours()?.get("payload_bytes").and_then(Value::as_u64) {
            bytes = known.to_string();
        }
        self.alternate(|side| match side {
            Side::Keyway => number(&ours()?, "value"),
            Side::Bound => {
                let mut echo = tool(binary("echo", Profile::Release), &["--bytes", &bytes]);
                number(&json(&mut echo)?, "p50_us")
            }
        })
    }

    /// From starting the process to its first sign of readiness.
    fn start(&mut self) -> anyhow::Result<Measured> {
        let folder = self.folder.0.join("start");
        std::fs::create_dir_all(&folder)?;
        let upstream = Upstream::start(&folder)?;
        let prepared = keyway::prepare_start(&folder, CONNECTORS, &upstream)?;
        self.alternate(|side| {
            let started = Instant::now();
            match side {
                Side::Bound => drop(start_bound(&folder, Work::W1, &upstream)?),
                Side::Keyway => return prepared.start_once().map(|took| took.as_secs_f64()),
            }
            Ok(started.elapsed().as_secs_f64())
        })
    }
}

/// The one line of JSON that a measuring program prints.
pub(super) fn json(command: &mut std::process::Command) -> anyhow::Result<Value> {
    let printed = shell::output(command)?;
    serde_json::from_str(printed.trim()).with_context(|| format!("not an outcome: `{printed}`"))
}

/// The value in the middle.
pub(super) fn median(mut values: Vec<f64>) -> anyhow::Result<f64> {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len() / 2)
        .copied()
        .context("there was no run")
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_of_five_is_the_third() {
        assert_eq!(median(vec![5.0, 1.0, 4.0, 2.0, 3.0]).ok(), Some(3.0));
        assert!(median(Vec::new()).is_err());
    }
}
