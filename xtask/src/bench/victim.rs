//! `victim_p99`: an honest tenant beside a hostile one, in the same deployment and on the same workers.
//!
//! The honest load arrives at a constant rate, a quarter of what its own peak was found to be. The hostile tenant keeps
//! four guests running, one of each kind, and starts each again as soon as the limits have ended it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use serde_json::Value;

use super::figure::Work;
use super::keyway::{Keyway, prepare_keyway};
use super::measure::{Bench, Measured, json};
use super::probe;
use super::rig::{EXPECTED, Side, Upstream, WARMUP_SECONDS, number};
use crate::artifacts::{Profile, binary};
use crate::shell::{root, tool};

/// Connections with which the peak is found.
const PEAK_CONNECTIONS: &str = "64";
/// What of the peak the honest load is.
const PEAK_PART: f64 = 0.25;

/// One hostile guest: its recipe's webhook and what it is told.
struct Attack {
    name: &'static str,
    webhook: String,
    body: &'static str,
}

/// A deployment with both tenants in it.
struct Street {
    keyway: Keyway,
    upstream: Upstream,
    attacks: [Attack; 4],
}

impl Bench {
    pub(super) fn victim(&self, connections: usize) -> anyhow::Result<Measured> {
        let folder = self.folder.0.join("victim");
        std::fs::create_dir_all(&folder)?;
        let mut street = Street::build(&folder)?;
        let seconds = self.seconds.to_string();
        let peak = street.load("load", &["--connections", PEAK_CONNECTIONS], &seconds)?;
        let peak = number(&peak, "rate")?;
        anyhow::ensure!(
            peak > 0.0,
            "no job ended within {seconds} seconds; give it more with --seconds"
        );
        let rate = format!("{:.1}", peak * PEAK_PART);
        eprintln!("  the honest peak is {peak:.0} jobs/s; {rate} arrive each second");
        let connections = connections.to_string();
        let flags = ["--connections", &connections, "--rate", &rate];
        self.alternate(|side| {
            let outcome = match side {
                Side::Bound => street.load("arrivals", &flags, &seconds)?,
                Side::Keyway => street.load_under_attack(&flags, &seconds)?,
            };
            Ok(number(&outcome, "p99_us")? / 1000.0)
        })
    }
}

impl Street {
    fn build(folder: &Path) -> anyhow::Result<Self> {
        let upstream = Upstream::start(folder)?;
        let keyway = prepare_keyway(folder, Work::W1, &upstream)?;
        let [attempt, flood] = keyway.add_rival(["attempt", "flood"], &upstream)?;
        let attack = |name, webhook: &String, body| Attack {
            name,
            webhook: webhook.clone(),
            body,
        };
        let attacks = [
            attack("loop", &attempt, r#"{"what":"endless_loop"}"#),
            attack("memory", &attempt, r#"{"what":"memory_bomb"}"#),
            attack("logs", &attempt, r#"{"what":"log_flood"}"#),
            attack(
                "host calls",
                &flood,
                r#"{"function":"keyway:host/connection#scopes","times":1000000000}"#,
            ),
        ];
        // Compiled and loaded before anything counts; that is no attack.
        let [_, memory, _, host_calls] = &attacks;
        memory.once()?;
        host_calls.once()?;
        Ok(Self {
            keyway,
            upstream,
            attacks,
        })
    }

    /// The honest load by one of the generators; fails if a single reply was wrong.
    fn load(&mut self, generator: &str, flags: &[&str], seconds: &str) -> anyhow::Result<Value> {
        let mut load = tool(binary(generator, Profile::Release), flags);
        load.args(["--url", &self.keyway.webhook, "--seconds", seconds]);
        load.args(["--warmup", WARMUP_SECONDS, "--expect", EXPECTED]);
        load.arg("--body-file")
            .arg(root().join("tests/bench/order.json"));
        let outcome = json(&mut load)?;
        self.keyway.process.ensure_alive()?;
        self.upstream.process.ensure_alive()?;
        probe::request(self.upstream.port, "POST", "/control/reset")
            .context("cannot reset the upstream")?;
        let first = outcome.get("first_error").cloned().unwrap_or_default();
        anyhow::ensure!(
            number(&outcome, "errors")? == 0.0,
            "the honest tenant was answered wrongly; the first: {first}"
        );
        Ok(outcome)
    }

    /// The same while each attack is under way, again and again.
    fn load_under_attack(&mut self, flags: &[&str], seconds: &str) -> anyhow::Result<Value> {
        let is_over = AtomicBool::new(false);
        let attacks = self.attacks.each_ref().map(Attack::copied);
        std::thread::scope(|scope| {
            let running = attacks.map(|attack| {
                let is_over = &is_over;
                (attack.name, scope.spawn(move || attack.repeat(is_over)))
            });
            let outcome = self.load("arrivals", flags, seconds);
            is_over.store(true, Ordering::Relaxed);
            for (name, attacker) in running {
                let ended = attacker.join();
                let ended = ended.map_err(|_| anyhow::anyhow!("an attacker panicked"))?;
                let times = ended.with_context(|| format!("the attack by {name}"))?;
                eprintln!("    the attack by {name} was ended {times} times");
            }
            outcome
        })
    }
}

impl Attack {
    fn copied(&self) -> Self {
        Self {
            name: self.name,
            webhook: self.webhook.clone(),
            body: self.body,
        }
    }

    /// Calls the webhook again as soon as it has answered; how often it did.
    fn repeat(&self, is_over: &AtomicBool) -> anyhow::Result<u64> {
        let mut times = 0;
        while !is_over.load(Ordering::Relaxed) {
            self.once()?;
            times += 1;
        }
        Ok(times)
    }

    /// Until the guest has ended: by a limit, or because it gave up.
    fn once(&self) -> anyhow::Result<()> {
        let (port, path) = place(&self.webhook)?;
        let status = probe::request_with(port, "POST", path, self.body)?;
        anyhow::ensure!(
            matches!(status, 200 | 202 | 502),
            "its webhook answered {status}, which no job does"
        );
        Ok(())
    }
}

/// Port and path of a URL on this machine.
fn place(url: &str) -> anyhow::Result<(u16, &str)> {
    let rest = url.strip_prefix("http://127.0.0.1:");
    let (port, _) = rest
        .and_then(|rest| rest.split_once('/'))
        .with_context(|| format!("`{url}` is not a URL of this machine"))?;
    let path = url.get("http://127.0.0.1:".len() + port.len()..);
    Ok((port.parse()?, path.context("the URL's path")?))
}
