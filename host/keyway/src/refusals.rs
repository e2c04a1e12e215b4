//! Events that are refused: a record each would make a flood of events one of the
//! log. The first for a recipe and a reason is recorded, and then once a second
//! how many there were since.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use keyway_authz::DenialReason;
use keyway_model::{RecipeId, Scope};
use parking_lot::Mutex;

/// A refusal is recorded once in so long.
const RECORD_EVERY: Duration = Duration::from_secs(1);

/// What was refused and is not recorded yet.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<(RecipeId, &'static str), Tally>>);

#[derive(Debug)]
struct Tally {
    scope: Scope,
    reason: DenialReason,
    /// When it was recorded last.
    recorded: Instant,
    since: u64,
}

/// What is to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) scope: Scope,
    pub(crate) recipe: RecipeId,
    pub(crate) reason: DenialReason,
    pub(crate) text: String,
}

impl Refusals {
    /// Counts one; gives what is to be recorded now, if it is time.
    pub(crate) fn count(
        &self,
        (scope, recipe): (Scope, RecipeId),
        (reason, why): (DenialReason, &'static str),
        now: Instant,
    ) -> Option<Refused> {
        let mut all = self.0.lock();
        let tally = all.entry((recipe, why)).or_insert(Tally {
            scope,
            reason,
            recorded: now.checked_sub(RECORD_EVERY).unwrap_or(now),
            since: 0,
        });
        tally.since += 1;
        tally.due(recipe, why, now)
    }

    /// What was counted long enough ago and is not recorded. What has nothing to
    /// tell is forgotten.
    pub(crate) fn take_due(&self, now: Instant) -> Vec<Refused> {
        let mut due = Vec::new();
        self.0.lock().retain(|(recipe, why), tally| {
            let is_new = tally.since > 0;
            due.extend(tally.due(*recipe, why, now));
            is_new
        });
        due
    }
}

impl Tally {
    fn due(&mut self, recipe: RecipeId, why: &str, now: Instant) -> Option<Refused> {
        let is_due = now.saturating_duration_since(self.recorded) >= RECORD_EVERY;
        if self.since == 0 || !is_due {
            return None;
        }
        let text = match self.since {
            1 => why.to_owned(),
            many => format!("{why}; events: {many}"),
        };
        (self.recorded, self.since) = (now, 0);
        Some(Refused {
            scope: self.scope,
            recipe,
            reason: self.reason,
            text,
        })
    }
}

#[cfg(test)]
mod tests {
    use keyway_model::{Environment, TenantId};

    use super::*;

    #[test]
    fn a_flood_makes_one_record_a_second_for_each_recipe_and_reason_and_none_is_lost() {
        let refusals = Refusals::default();
        let scope = Scope {
            tenant: TenantId::from_bits(1),
            environment: Environment::Test,
        };
        let now = Instant::now();
        let flood = |recipe, why, now| {
            let recipe = (scope, RecipeId::from_bits(recipe));
            let why = (DenialReason::Limit, why);
            let all = (0..100).filter_map(|_| refusals.count(recipe, why, now));
            all.map(|refused| refused.text).collect::<Vec<_>>()
        };
        assert_eq!(flood(1, "too long", now), ["too long"]);
        assert_eq!(flood(1, "too many", now), ["too many"]);
        assert_eq!(flood(2, "too long", now), ["too long"]);
        let later = now + RECORD_EVERY;
        assert_eq!(flood(1, "too long", later), ["too long; events: 100"]);
        // What nobody adds to is recorded, too, and then there is nothing to remember.
        assert_eq!(refusals.take_due(now), []);
        let mut left = refusals.take_due(later + RECORD_EVERY);
        left.sort_by(|a, b| a.text.cmp(&b.text));
        let told: Vec<_> = left.into_iter().map(|refused| refused.text).collect();
        let long = "too long; events: 99";
        assert_eq!(told, [long, long, "too many; events: 99"]);
        assert_eq!(refusals.take_due(later + 2 * RECORD_EVERY), []);
        assert!(refusals.0.lock().is_empty());
    }
}
