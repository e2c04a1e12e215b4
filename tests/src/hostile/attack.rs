//! What the attacker does, again and again, for each row of the table.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::arena::{Arena, Attempt, WALL, packed};
use super::beside::Measure;
use super::bombs::{BOMBS, Bomb};
use super::departures::{Busy, Caller};
use super::forged::Forger;
use super::table::{Also, Case, End, Guest, Row};
use crate::harness::{PATIENCE, http, split};
use crate::routes::Api;

/// An attacker begins no sooner after its last beginning. What a flood of
/// requests does is the subject of other tests; here it is what guests do.
const PAUSE: Duration = Duration::from_millis(100);

/// Failures of one attack of which its people are asked what they are told: the API has
/// a rate, and a flood comes to tens of thousands. They are spread over all.
const TOLD_MAX: usize = 500;

/// Of fewer tries none need come to its own end.
const OWN_END_FROM: usize = 3;

/// Attackers at once.
pub(crate) const ATTACKERS: usize = 4;

/// Something that an attacker does.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// Attackers that do it at once.
    pub(crate) attackers: usize,
    /// How often each of them may begin.
    pub(crate) pause: Duration,
    /// How long it takes, if longer than the pause.
    pub(crate) takes: Duration,
    /// Does it once, and checks how it ends as far as its caller is told.
    pub(crate) once: Box<dyn Fn() + Send + Sync>,
    /// Checks the rest, which its people are told, once nothing is timed any more. Looks at
    /// none where each try is held to its one end as it is made.
    pub(crate) told: Box<dyn Fn() -> Ends + Send + Sync>,
    /// Where so many tries were looked at, one of them at least must have come to its own end.
    pub(crate) own_end_from: usize,
}

impl Attack {
    /// One by all attackers, of whose end its caller is told everything.
    fn new(name: &'static str, once: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            name,
            attackers: ATTACKERS,
            pause: PAUSE,
            takes: PAUSE,
            once: Box::new(once),
            told: Box::new(Ends::default),
            own_end_from: OWN_END_FROM,
        }
    }

    /// How often it is tried in such a time, at least: a sixth of what its attackers
    /// could if the machine did nothing else, for what computes for long stands back
    /// for everybody; and once by each.
    pub(crate) fn tries_min(&self, time: Duration) -> u128 {
        let each = self.pause.max(self.takes).as_micros() * 6;
        let attackers = self.attackers as u128;
        attackers.max(attackers * time.as_micros() / each)
    }
}

/// How the tries of one window ended that were looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) looked_at: usize,
    /// Those that came to their own end, and were not cut off while they waited.
    pub(crate) own: usize,
}

impl Ends {
    fn count(&mut self, is_own: bool) {
        self.looked_at += 1;
        self.own += usize::from(is_own);
    }
}

/// The tries of a window: how those ended whose caller was told everything, and those of
/// which their people are asked.
#[derive(Default)]
struct Tries {
    ends: Ends,
    failed: Vec<Attempt>,
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

    /// Whether it ended at this limit, whatever the row says.
    fn ended_at(&self, limit: &'static str, attempt: &Attempt) -> bool {
        let other = Self {
            guest: self.guest,
            end: End::Limit(limit),
        };
        other.wrong(attempt).is_none()
    }

    /// The same beside others: what computes for long, or crosses to the broker without an end,
    /// has to wait for its turns, too, and may come to the end of the time for that before it
    /// comes to its own. That not all of
    /// an attack do is looked at by `attacked`.
    fn wrong_beside_others(&self, attempt: &Attempt) -> Option<String> {
        let instead: &[&'static str] = match self.end {
            End::Limit("cpu_ms_max") | End::Answer(_) => &["wall_ms_max"],
            // A crossing takes longer, too, in a program that is not optimized.
            End::Limit("host_calls_max") => &["wall_ms_max", "cpu_ms_max"],
            End::Limit(_) | End::Trap(_) | End::Refused(_) => &[],
        };
        let has_waited = instead.iter().any(|limit| self.ended_at(limit, attempt));
        self.wrong(attempt).filter(|_| !has_waited)
    }

    /// Whether it came to its own end, and was not cut off while it waited. In the test run,
    /// whose program is not optimized, what makes calls without an end may have used up its
    /// own time on a processor with fewer of them, too.
    fn came_to_its_end(&self, attempt: &Attempt) -> bool {
        let is_of_calls = matches!(self.end, End::Limit("host_calls_max"));
        let is_used_up = is_of_calls
            && Measure::wanted() == Measure::Halves
            && self.ended_at("cpu_ms_max", attempt);
        is_used_up || self.wrong(attempt).is_none()
    }

    pub(crate) fn attack(&'static self, arena: &mut Arena) -> Attack {
        let name = self.name();
        if let End::Refused(said) = self.end {
            return install(arena.installer(), name, self.guest.bytes(), Some(said));
        }
        let hook = arena.hook(self.guest);
        // Once before, so that nothing is compiled or loaded while it is timed.
        let attempt = arena.attempt(self.guest);
        assert_eq!(self.wrong_beside_others(&attempt), None, "{name}");
        // All of its calls together have `connection_reads_per_second_max` (20,000), and each
        // of them makes `host_calls_max` (10,000).
        let takes = match name {
            "host-call-flood" => attempt
                .took
                .max(Duration::from_millis(500) * ATTACKERS as u32),
            _ => attempt.took,
        };
        let (address, path) = split(&hook);
        // Each call of this one is by itself a flood of as many requests as a call
        // may have under way, each of them decided and recorded.
        let times = if name == "hoard-requests" { 6 } else { 1 };
        let (people, tries) = (arena.installer(), Arc::new(Mutex::new(Tries::default())));
        let of_window = Arc::clone(&tries);
        let once = move || {
            let began = Instant::now();
            let (status, answer) = http(address, "POST", &path, Some(&json!({})));
            let attempt = Attempt {
                status,
                answer,
                took: began.elapsed(),
                job: Value::Null,
            };
            // One that a slow machine took so long for that its caller was answered before
            // its end is looked at like one that failed.
            if [202, 502].contains(&status) {
                tries.lock().unwrap().failed.push(attempt);
            } else {
                assert_eq!(self.wrong(&attempt), None, "{name}");
                tries.lock().unwrap().ends.count(true);
            }
        };
        let told = move || {
            let Tries { mut ends, failed } = std::mem::take(&mut *of_window.lock().unwrap());
            let step = failed.len().div_ceil(TOLD_MAX).max(1);
            for mut attempt in failed.into_iter().step_by(step) {
                attempt.job = job(&people, &attempt.answer);
                if attempt.job["state"] == "failed" {
                    attempt.status = 502;
                }
                assert_eq!(self.wrong_beside_others(&attempt), None, "{name}");
                ends.count(self.came_to_its_end(&attempt));
            }
            ends
        };
        Attack {
            pause: PAUSE * times,
            takes,
            told: Box::new(told),
            ..Attack::new(name, once)
        }
    }
}

/// The job that a caller was told of, as its people see it once it has ended.
fn job(people: &Api, answer: &Value) -> Value {
    let id = answer["job"].as_str().unwrap();
    let path = format!("/workspaces/attacker/development/jobs/{id}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "waited too long for {path}");
        match people.call("GET", &path, &Value::Null) {
            (200, job) => {
                let job: Value = serde_json::from_str(&job).unwrap();
                if job["state"] == "failed" || job["state"] == "succeeded" {
                    return job;
                }
            }
            // So many are asked for that they come near the rate of the API.
            (429, _) => {}
            (status, said) => panic!("{status} {said}"),
        }
    }
}

impl Row {
    /// Everything that the row tries.
    pub(crate) fn attacks(&'static self, arena: &mut Arena) -> Vec<Attack> {
        let cases = self.cases.iter().map(|case| case.attack(arena));
        let mut attacks: Vec<Attack> = cases.collect();
        match self.also {
            Also::Nothing => {}
            Also::Bombs => {
                let (heavy, light) = BOMBS.iter().partition(|bomb| bomb.is_heavy());
                attacks.push(bombs(arena, "bombs", light));
                // Two of them: one that is compiled, and one that waits for that.
                attacks.push(Attack {
                    attackers: 2,
                    takes: Duration::from_secs(5),
                    ..bombs(arena, "bombs-that-end-at-a-limit", heavy)
                });
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
    Attack::new(name, move || installed(&api, name, &artifact, refused))
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
        takes: Duration::from_millis(500),
        ..Attack::new(name, move || {
            let number = next.fetch_add(1, Ordering::Relaxed) % bombs.len();
            let (bomb, artifact) = &bombs[number];
            installed(&api, bomb.name, artifact, bomb.refused);
        })
    }
}

/// Compiled code in the place of a component, one piece after the other.
fn forged(arena: &Arena) -> Attack {
    let (api, codes) = (arena.installer(), arena.compiled_code());
    let next = AtomicUsize::new(0);
    Attack::new("forged", move || {
        let number = next.fetch_add(1, Ordering::Relaxed) % codes.len();
        installed(&api, "forged", &codes[number], Some("not a component"));
    })
}

/// Code that is changed in the cache, one change after the other. Calls get what they
/// called for, whatever lies there; each change is met by one of them.
fn changed(arena: &mut Arena) -> Attack {
    let forger = Mutex::new(Forger::new(arena));
    Attack {
        // What two change, neither could look at.
        attackers: 1,
        takes: PAUSE * 10,
        ..Attack::new("changed-code", move || {
            forger.lock().unwrap().change_until_it_is_met();
        })
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
        Attack::new(name, once)
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
        Attack {
            takes: WALL,
            ..attack(name, Box::new(stay))
        }
    });
    departures.into_iter().chain(stay).collect()
}
