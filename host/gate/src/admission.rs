//! Who may go next: places for guest calls and for jobs, fair between tenants.
//!
//! Tenants that wait are served by turns, and inside a tenant its lines (one
//! for each connector) are. A tenant holds at most as many places as are free,
//! so one with a flood leaves room for all others: alone it gets half, two that
//! flood get a third each. Never looks at what is run, and never runs it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use keyway_model::limit::Limits;
use keyway_model::{Digest, Scope, TenantId};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::Gate;

#[cfg(test)]
mod tests;

/// Places that are given out by turns.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Mutex<Places>>);

/// What a tenant's places are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineOf {
    /// A connector in one environment.
    Connector(Scope, Digest),
    /// Expressions.
    Logic,
    /// Jobs.
    Jobs,
    /// The compiler.
    Compiler,
}

/// A wish for one place.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Who asks.
    pub tenant: TenantId,
    /// The most places that the tenant may hold, whatever is free.
    pub tenant_max: usize,
    /// For what.
    pub line: LineOf,
    /// The most places that this line may hold.
    pub line_max: usize,
}

/// A place that is held until this is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub struct Place {
    places: Admission,
    tenant: TenantId,
    line: LineOf,
}

#[derive(Debug)]
struct Places {
    all: usize,
    taken: usize,
    tenants: HashMap<TenantId, Tenant>,
    /// Tenants that wait, the next first.
    turn: VecDeque<TenantId>,
}

#[derive(Debug, Default)]
struct Tenant {
    held: usize,
    lines: HashMap<LineOf, Line>,
    /// Lines that wait, the next first.
    turn: VecDeque<LineOf>,
}

#[derive(Debug, Default)]
struct Line {
    held: usize,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    wish: Wish,
    called: oneshot::Sender<Place>,
}

impl Admission {
    /// So many places, all free.
    pub fn of(places: usize) -> Self {
        Self(Arc::new(Mutex::new(Places {
            all: places.max(1),
            taken: 0,
            tenants: HashMap::new(),
            turn: VecDeque::new(),
        })))
    }

    /// Waits for a place.
    pub async fn enter(&self, wish: Wish) -> Place {
        let called = {
            let mut places = self.0.lock();
            if places.is_free_for(&wish) {
                places.take(&wish);
                return self.place(&wish);
            }
            let (called, receiver) = oneshot::channel();
            places.queue(Waiting { wish, called });
            receiver
        };
        match called.await {
            Ok(place) => place,
            // The queue lives as long as this does.
            Err(_) => unreachable!("whoever waits is called"),
        }
    }

    /// How many hold a place, and how many wait for one.
    pub fn counts(&self) -> (usize, usize) {
        let places = self.0.lock();
        let lines = places.tenants.values().flat_map(|it| it.lines.values());
        (places.taken, lines.map(|line| line.waiting.len()).sum())
    }

    fn place(&self, wish: &Wish) -> Place {
        Place {
            places: self.clone(),
            tenant: wish.tenant,
            line: wish.line,
        }
    }

    /// Calls those whose turn it is. Whoever waits no more leaves the place to
    /// the next, outside the lock.
    fn call(&self) {
        loop {
            let Some(waiting) = self.0.lock().next() else {
                return;
            };
            drop(waiting.called.send(self.place(&waiting.wish)));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.0.lock().leave(self.tenant, self.line);
        self.places.call();
    }
}

impl Places {
    /// Whether a wish can be granted at once: nobody of its line waits before
    /// it, and there is room.
    fn is_free_for(&self, wish: &Wish) -> bool {
        match self.tenants.get(&wish.tenant) {
            None => self.has_room(0, 0, wish),
            Some(tenant) => {
                let line = tenant.lines.get(&wish.line);
                line.is_none_or(|line| line.waiting.is_empty())
                    && self.has_room(tenant.held, line.map_or(0, |line| line.held), wish)
            }
        }
    }

    /// A tenant may hold at most as many as are free before it takes one.
    fn has_room(&self, held: usize, held_by_line: usize, wish: &Wish) -> bool {
        held < self.all.saturating_sub(self.taken)
            && held < wish.tenant_max
            && held_by_line < wish.line_max
    }

    fn take(&mut self, wish: &Wish) {
        self.taken += 1;
        let tenant = self.tenants.entry(wish.tenant).or_default();
        tenant.held += 1;
        tenant.lines.entry(wish.line).or_default().held += 1;
    }

    fn leave(&mut self, id: TenantId, line: LineOf) {
        self.taken = self.taken.saturating_sub(1);
        let Some(tenant) = self.tenants.get_mut(&id) else {
            return;
        };
        tenant.held = tenant.held.saturating_sub(1);
        if let Some(known) = tenant.lines.get_mut(&line) {
            known.held = known.held.saturating_sub(1);
            if known.held == 0 && known.waiting.is_empty() {
                tenant.lines.remove(&line);
            }
        }
        if tenant.lines.is_empty() {
            self.tenants.remove(&id);
        }
    }

    fn queue(&mut self, waiting: Waiting) {
        let wish = waiting.wish;
        let tenant = self.tenants.entry(wish.tenant).or_default();
        if tenant.turn.is_empty() {
            self.turn.push_back(wish.tenant);
        }
        let line = tenant.lines.entry(wish.line).or_default();
        if line.waiting.is_empty() {
            tenant.turn.push_back(wish.line);
        }
        line.waiting.push_back(waiting);
    }

    /// Takes a place for whoever is next, if there is one for anybody.
    fn next(&mut self) -> Option<Waiting> {
        for _ in 0..self.turn.len() {
            let id = self.turn.pop_front()?;
            let waiting = self.next_of(id);
            let waits = self.tenants.get(&id).is_some_and(|it| !it.turn.is_empty());
            if waits {
                self.turn.push_back(id);
            }
            if let Some(waiting) = waiting {
                self.take(&waiting.wish);
                return Some(waiting);
            }
        }
        None
    }

    fn next_of(&mut self, id: TenantId) -> Option<Waiting> {
        let lines = self.tenants.get(&id)?.turn.len();
        for _ in 0..lines {
            let tenant = self.tenants.get(&id)?;
            let of = *tenant.turn.front()?;
            let line = tenant.lines.get(&of)?;
            let wish = line.waiting.front()?.wish;
            let has_room = self.has_room(tenant.held, line.held, &wish);
            let tenant = self.tenants.get_mut(&id)?;
            tenant.turn.pop_front();
            let line = tenant.lines.get_mut(&of)?;
            let waiting = if has_room {
                line.waiting.pop_front()
            } else {
                None
            };
            if !line.waiting.is_empty() {
                tenant.turn.push_back(of);
            }
            if waiting.is_some() {
                return waiting;
            }
        }
        None
    }
}

impl Gate {
    /// Waits until a call of logic for `scope` may run.
    pub async fn place_for_logic(&self, scope: Scope, limits: &Limits) -> Place {
        let quotas = &limits.quotas;
        let wish = Wish {
            tenant: scope.tenant,
            tenant_max: quotas.guest_calls_per_workspace_max as usize,
            line: LineOf::Logic,
            line_max: usize::MAX,
        };
        self.calls.enter(wish).await
    }
}
