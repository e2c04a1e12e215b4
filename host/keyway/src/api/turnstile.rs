//! How much may be asked of the API: by one caller, and by all tokens of one
//! workspace together. So many calls a second, and so many under way at once.
//! Nobody waits: whoever is over is refused and told why.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyway_authz::Principal;
use keyway_fair::Spent;
use keyway_model::TenantId;
use keyway_model::limit::{API_CALLERS_KEPT_MAX, ApiLimits};
use parking_lot::Mutex;

/// A refusal of one operation is recorded once in so long, or a flood of calls
/// would be one of records.
const RECORD_EVERY: Duration = Duration::from_secs(1);

/// What every caller passes.
#[derive(Debug, Default)]
pub(super) struct Turnstile(Mutex<Meters>);

#[derive(Debug, Default)]
struct Meters {
    all: HashMap<Counted, Meter>,
    /// Beyond so many, those with nothing to remember are forgotten.
    kept_max: usize,
}

/// Who calls, and what holds for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) principal: Principal,
    /// Whose token it is; nobody's for the platform administrator.
    pub(super) workspace: Option<TenantId>,
    pub(super) limits: ApiLimits,
}

/// Whose calls are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Caller(Principal),
    Workspace(TenantId),
}

#[derive(Debug)]
struct Meter {
    spent: Spent,
    under_way: u32,
    /// When a refusal of an operation was recorded last.
    recorded: HashMap<&'static str, Instant>,
}

/// One call that may go on; it is under way until this is dropped.
#[derive(Debug)]
#[must_use = "the call counts as under way until this is dropped"]
pub(super) struct Pass {
    turnstile: Arc<Turnstile>,
    caller: Caller,
}

/// What a caller has exceeded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{who} exceed `{name}` ({max}): wait a second and try again")]
pub(super) struct Over {
    who: &'static str,
    name: &'static str,
    max: u32,
    pub(super) record: Recording,
}

/// Whether a refusal is news to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recording {
    Due,
    /// The same was recorded just now.
    Done,
}

/// A rate and a number of calls at once, with their names.
struct Bounds {
    who: &'static str,
    per_second: (&'static str, u32),
    at_once: (&'static str, u32),
}

impl Turnstile {
    /// Lets a caller's next call go on.
    pub(super) fn enter(
        self: &Arc<Self>,
        caller: Caller,
        operation: &'static str,
        now: Instant,
    ) -> Result<Pass, Over> {
        let mut meters = self.0.lock();
        // Nothing is counted of a call that does not pass all of it.
        for (counted, bounds) in caller.bounds() {
            meters.of(counted, now).check(&bounds, operation, now)?;
        }
        for (counted, bounds) in caller.bounds() {
            let meter = meters.of(counted, now);
            meter.spent.spend(now, bounds.per_second.1);
            meter.under_way += 1;
        }
        Ok(Pass {
            turnstile: Arc::clone(self),
            caller,
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut meters = self.turnstile.0.lock();
        for (counted, _) in self.caller.bounds() {
            if let Some(meter) = meters.all.get_mut(&counted) {
                meter.under_way = meter.under_way.saturating_sub(1);
            }
        }
    }
}

impl Caller {
    /// Each count that its call is part of, with what it may come to.
    fn bounds(&self) -> impl Iterator<Item = (Counted, Bounds)> + use<> {
        let ApiLimits {
            api_calls_per_second_max,
            api_calls_at_once_max,
            api_calls_per_second_per_workspace_max,
            api_calls_at_once_per_workspace_max,
            ..
        } = self.limits;
        let own = Bounds {
            who: "you",
            per_second: ("api_calls_per_second_max", api_calls_per_second_max),
            at_once: ("api_calls_at_once_max", api_calls_at_once_max),
        };
        let of_all = Bounds {
            who: "all tokens of your workspace together",
            per_second: (
                "api_calls_per_second_per_workspace_max",
                api_calls_per_second_per_workspace_max,
            ),
            at_once: (
                "api_calls_at_once_per_workspace_max",
                api_calls_at_once_per_workspace_max,
            ),
        };
        let workspace = self.workspace.map(Counted::Workspace);
        let own = (Counted::Caller(self.principal), own);
        std::iter::once(own).chain(workspace.map(|counted| (counted, of_all)))
    }
}

impl Meters {
    /// The meter of whoever is counted. Those that have nothing to remember are
    /// forgotten when there are many.
    fn of(&mut self, counted: Counted, now: Instant) -> &mut Meter {
        if self.all.len() > self.kept_max && !self.all.contains_key(&counted) {
            self.all
                .retain(|_, meter| meter.under_way > 0 || !meter.spent.is_nothing(now));
            self.kept_max = API_CALLERS_KEPT_MAX.max(2 * self.all.len());
        }
        self.all.entry(counted).or_insert_with(|| Meter::new(now))
    }
}

impl Meter {
    fn new(now: Instant) -> Self {
        Self {
            spent: Spent::nothing(now),
            under_way: 0,
            recorded: HashMap::new(),
        }
    }

    /// Whether one more call fits.
    fn check(
        &mut self,
        bounds: &Bounds,
        operation: &'static str,
        now: Instant,
    ) -> Result<(), Over> {
        let (name, max) = if !self.spent.has_room(now, bounds.per_second.1) {
            bounds.per_second
        } else if self.under_way >= bounds.at_once.1 {
            bounds.at_once
        } else {
            return Ok(());
        };
        Err(Over {
            who: bounds.who,
            name,
            max,
            record: self.recording(operation, now),
        })
    }

    fn recording(&mut self, operation: &'static str, now: Instant) -> Recording {
        match self.recorded.get(operation) {
            Some(at) if now.duration_since(*at) < RECORD_EVERY => Recording::Done,
            _ => {
                self.recorded.insert(operation, now);
                Recording::Due
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use keyway_model::TokenId;

    use super::*;

    const TIGHT: ApiLimits = ApiLimits {
        api_calls_per_second_max: 3,
        api_calls_at_once_max: 2,
        api_calls_per_second_per_workspace_max: 5,
        api_calls_at_once_per_workspace_max: 3,
        tokens_per_workspace_max: 1,
        calls_without_token_per_second_max: 1,
    };

    fn token(number: u128, workspace: u128) -> Caller {
        Caller {
            principal: Principal::Token(TokenId::from_bits(number)),
            workspace: Some(TenantId::from_bits(workspace)),
            limits: TIGHT,
        }
    }

    fn refused(entered: Result<Pass, Over>) -> Option<(&'static str, u32)> {
        entered.err().map(|over| (over.name, over.max))
    }

    #[test]
    fn one_caller_has_a_rate_and_calls_at_once() {
        let (turnstile, now) = (Arc::new(Turnstile::default()), Instant::now());
        let enter = |now| turnstile.enter(token(1, 1), "job:list", now);
        let (first, second) = (enter(now), enter(now));
        assert_eq!(refused(enter(now)), Some(("api_calls_at_once_max", 2)));
        drop((first, second));
        // What was refused was not counted.
        assert_eq!(refused(enter(now)), None);
        assert_eq!(refused(enter(now)), Some(("api_calls_per_second_max", 3)));
        assert_eq!(refused(enter(now + RECORD_EVERY)), None);
    }

    #[test]
    fn all_tokens_of_a_workspace_have_them_together_and_another_has_its_own() {
        let (turnstile, now) = (Arc::new(Turnstile::default()), Instant::now());
        let enter = |number, workspace| turnstile.enter(token(number, workspace), "job:list", now);
        let held: Vec<_> = (0..3).map(|number| enter(number, 1)).collect();
        assert!(held.iter().all(Result::is_ok));
        let over = Some(("api_calls_at_once_per_workspace_max", 3));
        assert_eq!(refused(enter(3, 1)), over);
        assert_eq!(refused(enter(4, 2)), None);
        drop(held);
        assert_eq!(refused(enter(5, 1)), None);
        assert_eq!(refused(enter(6, 1)), None);
        let over = Some(("api_calls_per_second_per_workspace_max", 5));
        assert_eq!(refused(enter(7, 1)), over);
        assert_eq!(refused(enter(8, 2)), None);
    }

    #[test]
    fn many_tokens_over_their_workspaces_limit_make_one_record_a_second() {
        let (turnstile, now) = (Arc::new(Turnstile::default()), Instant::now());
        let enter = |number, now| turnstile.enter(token(number, 1), "job:list", now);
        let _held: Vec<_> = (0..3).map(|number| enter(number, now)).collect();
        let due = |now| {
            let refused = (10..20).filter_map(|number| enter(number, now).err());
            refused.filter(|over| over.record == Recording::Due).count()
        };
        assert_eq!((due(now), due(now), due(now + RECORD_EVERY)), (1, 0, 1));
    }

    #[test]
    fn callers_that_have_nothing_to_remember_are_forgotten() {
        let (turnstile, mut now) = (Arc::new(Turnstile::default()), Instant::now());
        for number in 0..10 * API_CALLERS_KEPT_MAX as u128 {
            let passed = turnstile.enter(token(number, number), "job:list", now);
            assert!(passed.is_ok());
            now += Duration::from_millis(1);
        }
        let kept = turnstile.0.lock().all.len();
        // Two meters each, for a second or so at most until there is a reason to look.
        assert!(kept <= 4 * API_CALLERS_KEPT_MAX, "{kept}");
    }
}
