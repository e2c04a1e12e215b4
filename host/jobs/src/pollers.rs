//! Who polls: one task for each recipe whose trigger is a poll, whatever is done
//! to the recipe meanwhile.
//!
//! A change wakes the task, which looks again what holds; it never makes a second
//! one, and never lets a poll come sooner after the last than `every` says, or
//! whoever starts and stops a recipe would poll as often as it likes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use keyway_gate::resource::RecipeRecord;
use keyway_model::limit::POLLS_IN_A_ROW_MAX;
use keyway_model::{RecipeId, Scope};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::driver::Jobs;
use crate::poll::{Polled, poll_of};

/// The tasks that poll, each with what wakes it.
#[derive(Debug, Default)]
pub(crate) struct Pollers(Mutex<HashMap<RecipeId, Arc<Notify>>>);

/// What a poller remembers of its polls.
#[derive(Clone, Copy, Default)]
struct Past {
    /// When the last one ended.
    ended: Option<Instant>,
    /// So many in a row brought more at once.
    in_a_row: u32,
}

impl Jobs {
    /// Polls for a recipe as long as it is started and has a poll trigger; a
    /// poller that is there already is told that the recipe has changed.
    pub fn poll(self: &Arc<Self>, scope: Scope, recipe: &RecipeRecord) {
        let mut pollers = self.pollers.0.lock();
        if let Some(changed) = pollers.get(&recipe.id) {
            changed.notify_one();
        } else if polls(recipe) {
            let changed = Arc::new(Notify::new());
            pollers.insert(recipe.id, Arc::clone(&changed));
            tokio::spawn(Arc::clone(self).keep_polling(scope, recipe.id, changed));
        }
    }

    async fn keep_polling(self: Arc<Self>, scope: Scope, id: RecipeId, changed: Arc<Notify>) {
        let mut past = Past::default();
        while let Some(due) = self.due(scope, id, past) {
            if due > Instant::now() {
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = changed.notified() => {}
                }
                continue;
            }
            let current = self.gate.registry().view(scope).recipe_by_id(id).cloned();
            if let Some(recipe) = current {
                past.in_a_row = match self.poll_once(scope, &recipe).await {
                    Ok(Polled::More(_)) if past.in_a_row + 1 < POLLS_IN_A_ROW_MAX => {
                        past.in_a_row + 1
                    }
                    Ok(_) => 0,
                    Err(error) => {
                        tracing::warn!(recipe = %recipe.name, %error, "a poll gave nothing");
                        0
                    }
                };
            }
            past.ended = Some(Instant::now());
        }
    }

    /// When the next poll is due; `None`, and the poller is forgotten, if none is
    /// any more. One whose recipe was stopped stays until its time has come: it
    /// remembers when that is.
    fn due(&self, scope: Scope, id: RecipeId, past: Past) -> Option<Instant> {
        let mut pollers = self.pollers.0.lock();
        let view = self.gate.registry().view(scope);
        let recipe = view.recipe_by_id(id);
        let pause = match (past.in_a_row, recipe.and_then(|recipe| poll_of(recipe))) {
            (0, Some(poll)) => poll.every,
            _ => Duration::ZERO,
        };
        let now = Instant::now();
        let due = past.ended.map_or(now, |ended| ended + pause);
        if due > now || recipe.is_some_and(|recipe| polls(recipe)) {
            return Some(due);
        }
        pollers.remove(&id);
        None
    }
}

/// Whether a recipe polls now.
fn polls(recipe: &RecipeRecord) -> bool {
    recipe.started && poll_of(recipe).is_some()
}
