//! What the attacker does, again and again, for each row of the table.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::arena::{Arena, Attempt, packed};
use super::bombs::{BOMBS, Bomb};
use super::departures::{Busy, Caller};
use super::forged::Forger;
use super::table::{Also, Case, End, Guest, Row};
use crate::harness::{http, split};
use crate::routes::Api;

/// An attacker begins no sooner after its last beginning. What a flood of
/// requests does is the subject of other tests; here it is what guests do.
const PAUSE: Duration = Duration::from_millis(100);

/// Something that an attacker does.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// How often it may begin.
    pub(crate) pause: Duration,
    /// Does it once, and checks how it ends.
    pub(crate) once: Box<dyn Fn() + Send + Sync>,
}

impl Case {
    pub(crate) fn name(&self) -> &'static str {
        match self.guest {
            Guest::Rust(name) | Guest::Text(name) => name,
        }
    }

    /// What is wrong with how the guest ended, if anything is.
    pub(crate) fn wrong(&self, attempt: &Attempt) -> Option<String> {
        let failure = attempt.failure();
        let is_right = match self.end {
            End::Limit(limit) => {
                attempt.status == 502 && failure.contains("exceeded `") && failure.contains(limit)
            }
            End::Trap(said) => attempt.status == 502 && failure.contains(said),
            End::Answer(said) => attempt.status == 200 && attempt.answer.to_string().contains(said),
            End::Refused(_) => false,
        };
        (!is_right).then(|| format!("{} {} {failure}", attempt.status, attempt.answer))
    }

    fn attack(&self, arena: &mut Arena) -> Attack {
        let name = self.name();
        if let End::Refused(said) = self.end {
            return install(arena.installer(), name, self.guest.bytes(), Some(said));
        }
        // Once before, so that nothing is compiled or loaded while it is timed.
        let wrong = self.wrong(&arena.attempt(self.guest));
        assert_eq!(wrong, None, "{name}");
        let (address, path) = split(&arena.hook(self.guest));
        // Each call of this one is by itself a flood of as many requests as a call
        // may have under way, each of them decided and recorded.
        let times = if name == "hoard-requests" { 6 } else { 1 };
        Attack {
            name,
            pause: PAUSE * times,
            once: Box::new(move || {
                let (status, answer) = http(address, "POST", &path, Some(&json!({})));
                assert!([200, 502].contains(&status), "{status} {answer}");
            }),
        }
    }
}

impl Row {
    /// Everything that the row tries.
    pub(crate) fn attacks(&self, arena: &mut Arena) -> Vec<Attack> {
        let cases = self.cases.iter().map(|case| case.attack(arena));
        let mut attacks: Vec<Attack> = cases.collect();
        match self.also {
            Also::Nothing => {}
            Also::Bombs => {
                let (heavy, light) = BOMBS.iter().partition(|bomb| bomb.is_heavy());
                attacks.push(bombs(arena, "bombs", light));
                attacks.push(bombs(arena, "bombs-that-end-at-a-limit", heavy));
            }
            Also::Forged => {
                attacks.push(forged(arena));
                attacks.push(changed(arena));
            }
            Also::Departures => attacks.extend(departures(arena)),
        }
        attacks
    }
}

/// Sends an artifact to the installer, which says `refused` of it or takes it.
fn install(
    api: Api,
    name: &'static str,
    artifact: Vec<u8>,
    refused: Option<&'static str>,
) -> Attack {
    Attack {
        name,
        pause: PAUSE,
        once: Box::new(move || installed(&api, name, &artifact, refused)),
    }
}

/// What the installer says of an artifact is what is expected of it.
pub(crate) fn installed(api: &Api, name: &str, artifact: &[u8], refused: Option<&str>) {
    let path = "/api/v1/workspaces/attacker/development/connectors";
    let (status, said) = api.send("POST", path, artifact);
    match refused {
        Some(reason) => assert!(
            status == 422 && said.contains(reason),
            "{name}: {status} {said}"
        ),
        // Taken, there already, or ended by the limits of whatever compiles it.
        None => assert!(
            [200, 409].contains(&status) || said.contains("compil"),
            "{name}: {status} {said}"
        ),
    }
    assert!(said.len() < 4_000, "{name}: {} bytes are said", said.len());
}

/// One bomb after the other.
fn bombs(arena: &Arena, name: &'static str, bombs: Vec<&'static Bomb>) -> Attack {
    let (api, next) = (arena.installer(), AtomicUsize::new(0));
    let bombs: Vec<(&Bomb, Vec<u8>)> = bombs
        .into_iter()
        .map(|bomb| {
            let component = wat::parse_str((bomb.text)()).unwrap();
            (bomb, packed(bomb.name, &component))
        })
        .collect();
    Attack {
        name,
        pause: PAUSE,
        once: Box::new(move || {
            let number = next.fetch_add(1, Ordering::Relaxed) % bombs.len();
            let (bomb, artifact) = &bombs[number];
            installed(&api, bomb.name, artifact, bomb.refused);
        }),
    }
}

/// Compiled code in the place of a component, one piece after the other.
fn forged(arena: &Arena) -> Attack {
    let (api, codes) = (arena.installer(), arena.compiled_code());
    let next = AtomicUsize::new(0);
    Attack {
        name: "forged",
        pause: PAUSE,
        once: Box::new(move || {
            let number = next.fetch_add(1, Ordering::Relaxed) % codes.len();
            installed(&api, "forged", &codes[number], Some("not a component"));
        }),
    }
}

/// Code that is changed in the cache, one change after the other. Calls get what they
/// called for, whatever lies there; of ten changes one is met at least.
fn changed(arena: &mut Arena) -> Attack {
    let forger = Mutex::new(Forger::new(arena));
    Attack {
        name: "changed-code",
        pause: PAUSE * 4,
        once: Box::new(move || {
            // One at a time: what two change, neither could look at.
            if let Ok(mut forger) = forger.try_lock() {
                forger.change();
                assert!(forger.met * 10 + 10 > forger.changed, "no change is met");
            }
        }),
    }
}

/// A caller that goes away, for each thing that a guest may be in the middle of.
fn departures(arena: &Arena) -> Vec<Attack> {
    let callers = arena.upstreams.callers(&arena.stage, "attacker");
    let free = Arc::new(Mutex::new(callers));
    let attack = |name, once: Box<dyn Fn(&Caller) + Send + Sync>| {
        let free = Arc::clone(&free);
        let once = move || {
            let caller = free.lock().unwrap().pop().expect("as many as attackers");
            once(&caller);
            free.lock().unwrap().push(caller);
        };
        Attack {
            name,
            pause: PAUSE,
            once: Box::new(once),
        }
    };
    let departures = Busy::ALL.map(|busy| {
        let depart = move |caller: &Caller| caller.depart(busy);
        attack(busy.name(), Box::new(depart))
    });
    let stay = [
        ("out-of-time-in-waiting", Busy::Waiting),
        ("out-of-time-in-reading", Busy::Reading),
        ("out-of-time-in-sending", Busy::Sending),
    ];
    let stay = stay.map(|(name, busy)| {
        let stay = move |caller: &Caller| caller.stay(busy, "wall_ms_max");
        attack(name, Box::new(stay))
    });
    departures.into_iter().chain(stay).collect()
}
