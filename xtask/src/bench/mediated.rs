//! The figures of one call without jobs: mediated HTTP, bodies, decisions, and a worker that is replaced.

use std::process::Command;
use std::time::Instant;

use super::figure::Percent;
use super::measure::{Bench, Measured, json};
use super::peer::{Peer, port_of};
use super::rig::{Side, number};
use crate::artifacts::{Profile, binary, guests};
use crate::shell::{self, tool};

/// The body of `stream`.
const BODY_MIB: u32 = 1024;

/// An upstream that does as little as it can.
struct Plain {
    // Held, because it ends with this.
    _process: Peer,
    port: u16,
}

impl Plain {
    fn start(flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = tool(binary("plain", Profile::Release), flags);
        let (process, ready) = Peer::start_until_ready("the plain upstream", &mut command)?;
        Ok(Self {
            port: port_of(&ready)?,
            _process: process,
        })
    }

    /// A program that asks this upstream, with a connector.
    fn asked_by(&self, name: &str, verb: &[&str], connector: &str) -> Command {
        let mut command = tool(binary(name, Profile::Release), verb);
        command.args(["--port", &self.port.to_string(), "--component"]);
        command.arg(guests().join(connector).with_extension("wasm"));
        command
    }
}

impl Bench {
    /// Both sides run so many calls at once, each a fresh instance of one component with one request.
    pub(super) fn http_call(&self, at_once: usize) -> anyhow::Result<Measured> {
        let upstream = Plain::start(&[])?;
        self.alternate(|side| {
            let mut command = self.http_side(&upstream, side, at_once);
            number(&json(&mut command)?, "rate")
        })
    }

    /// Everything on one core, as for `host_call`: on two it measures how long an idle core takes to wake.
    pub(super) fn http_added(&self) -> anyhow::Result<Measured> {
        const CORE: [&str; 2] = ["--core", "0"];
        let upstream = Plain::start(&CORE)?;
        self.alternate(|side| {
            let mut command = self.http_side(&upstream, side, 1);
            command.args(CORE);
            match side {
                Side::Bound => command.args(["--threads", "1"]),
                Side::Keyway => command.arg("--no-store"),
            };
            number(&json(&mut command)?, "p50_us")
        })
    }

    fn http_side(&self, upstream: &Plain, side: Side, at_once: usize) -> Command {
        let mut command = match side {
            Side::Bound => upstream.asked_by("bare", &[], "hostile"),
            Side::Keyway => upstream.asked_by("keyway", &["bench-http"], "hostile"),
        };
        command.args(["--concurrency", &at_once.to_string()]);
        command.args(["--seconds", &self.seconds.to_string()]);
        command
    }

    /// The bound is the same decision among one grant.
    pub(super) fn decide(&self) -> anyhow::Result<Measured> {
        let mut one_place = 0.0;
        let measured = self.alternate(|side| {
            let outcome = json(&mut tool(binary("decide", Profile::Release), &[]))?;
            one_place = number(&outcome, "one_place_p50_us")?;
            match side {
                Side::Bound => number(&outcome, "one_p50_us"),
                Side::Keyway => number(&outcome, "p50_us"),
            }
        })?;
        eprintln!("  for comparison, the last of 1,000 paths of one place: {one_place:.2}");
        Ok(measured)
    }

    /// A body that goes from the upstream into a guest and from there back to the upstream; the bound is a native proxy
    /// of the same. What grows is compared with the body, which nobody may hold.
    pub(super) fn stream(&self, what: &str) -> anyhow::Result<Measured> {
        let upstream = Plain::start(&[])?;
        let mib = BODY_MIB.to_string();
        self.alternate(|side| match (side, what) {
            (Side::Bound, "grown_mib") => Ok(f64::from(BODY_MIB)),
            (Side::Bound, _) => {
                let mut proxy = tool(binary("proxy", Profile::Release), &["--mib", &mib]);
                number(
                    &json(proxy.args(["--port", &upstream.port.to_string()]))?,
                    what,
                )
            }
            (Side::Keyway, _) => {
                let mut command = upstream.asked_by("keyway", &["bench-stream"], "bench");
                number(&json(command.args(["--mib", &mib]))?, what)
            }
        })
    }

    /// A worker is killed, or stopped and noticed, and another takes calls.
    pub(super) fn replace(&self, percent: Percent, options: &[&str]) -> anyhow::Result<Measured> {
        let keyway = binary("keyway", Profile::Release);
        let what = match percent {
            Percent::P50 => "p50_ms",
            Percent::P99 => "p99_ms",
        };
        self.alternate(|side| match side {
            Side::Bound => {
                let started = Instant::now();
                shell::output(&mut tool(&keyway, &["--version"]))?;
                Ok(started.elapsed().as_secs_f64() * 1000.0)
            }
            Side::Keyway => {
                let mut command = tool(&keyway, &["bench-replace"]);
                number(&json(command.args(options))?, what)
            }
        })
    }
}
