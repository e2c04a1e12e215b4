//! Who may go next: places for guest calls, jobs and connections to upstreams,
//! fair between tenants.
//!
//! Tenants that wait are served by turns, and inside a tenant its lines (one
//! for each connector, say) are. A tenant holds at most as many places as are
//! free, so one with a flood leaves room for all others: alone it gets half, two
//! that flood get a third each. Never looks at what a place is for.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use keyway_model::TenantId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

mod rate;
#[cfg(test)]
mod tests;

pub use rate::Spent;

/// What tells the lines of a tenant apart.
pub trait LineOf: Copy + Eq + Hash + fmt::Debug {}

impl<L: Copy + Eq + Hash + fmt::Debug> LineOf for L {}

/// Places that are given out by turns.
#[derive(Debug)]
pub struct Admission<L: LineOf>(Arc<Mutex<Places<L>>>);

impl<L: LineOf> Clone for Admission<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A wish for one place.
#[derive(Clone, Copy, Debug)]
pub struct Wish<L: LineOf> {
    /// Who asks.
    pub tenant: TenantId,
    /// The most places that the tenant may hold, whatever is free.
    pub tenant_max: usize,
    /// For what.
    pub line: L,
    /// The most places that this line may hold.
    pub line_max: usize,
}

/// From so many on it is looked whether those in a line still wait.
const WAITING_LOOKED_AT_MIN: usize = 64;

/// A place that is held until this is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub struct Place<L: LineOf> {
    places: Admission<L>,
    tenant: TenantId,
    line: L,
    is_held: bool,
}

#[derive(Debug)]
struct Places<L: LineOf> {
    all: usize,
    taken: usize,
    tenants: HashMap<TenantId, Tenant<L>>,
    /// Tenants that wait, the next first.
    turn: VecDeque<TenantId>,
}

#[derive(Debug)]
struct Tenant<L: LineOf> {
    held: usize,
    lines: HashMap<L, Line<L>>,
    /// Lines that wait, the next first.
    turn: VecDeque<L>,
    /// The most that any who waited in them may hold for the tenant.
    most: usize,
}

#[derive(Debug)]
struct Line<L: LineOf> {
    held: usize,
    /// The first waits still; behind it may stand some who do not.
    waiting: VecDeque<Waiting<L>>,
}

// Derived, these would ask for lines that have a default.
impl<L: LineOf> Default for Tenant<L> {
    fn default() -> Self {
        Self {
            held: 0,
            lines: HashMap::new(),
            turn: VecDeque::new(),
            most: 0,
        }
    }
}

impl<L: LineOf> Default for Line<L> {
    fn default() -> Self {
        Self {
            held: 0,
            waiting: VecDeque::new(),
        }
    }
}

/// As it stands in its line.
#[derive(Debug)]
struct Waiting<L: LineOf> {
    wish: Wish<L>,
    called: oneshot::Sender<Place<L>>,
}

/// The same, as whoever waits holds it: dropped before it has come, it leaves its line.
#[derive(Debug)]
struct Turn<'a, L: LineOf> {
    places: &'a Admission<L>,
    wish: Wish<L>,
    called: oneshot::Receiver<Place<L>>,
    has_come: bool,
}

impl<L: LineOf> Admission<L> {
    /// So many places, all free.
    pub fn of(places: usize) -> Self {
        Self(Arc::new(Mutex::new(Places {
            all: places.max(1),
            taken: 0,
            tenants: HashMap::new(),
            turn: VecDeque::new(),
        })))
    }

    /// A place, if there is one and nobody waits before.
    pub fn enter_now(&self, wish: Wish<L>) -> Option<Place<L>> {
        self.0.lock().take_now(&wish).then(|| self.place(&wish))
    }

    /// Whether a tenant holds as many places as it can have, even if all others
    /// left: who waits then waits for its own alone.
    pub fn is_at_its_share(&self, tenant: TenantId) -> bool {
        let places = self.0.lock();
        let held = places.tenants.get(&tenant).map_or(0, |tenant| tenant.held);
        held >= places.all.saturating_sub(held)
    }

    /// How many places a tenant holds.
    pub fn held(&self, tenant: TenantId) -> usize {
        let places = self.0.lock();
        places.tenants.get(&tenant).map_or(0, |tenant| tenant.held)
    }

    /// Waits for a place. Who drops this before leaves the queue, and holds up nobody
    /// behind.
    pub async fn enter(&self, wish: Wish<L>) -> Place<L> {
        let mut turn = {
            let mut places = self.0.lock();
            if places.take_now(&wish) {
                return self.place(&wish);
            }
            let (called, receiver) = oneshot::channel();
            places.queue(Waiting { wish, called });
            Turn {
                places: self,
                wish,
                called: receiver,
                has_come: false,
            }
        };
        match (&mut turn.called).await {
            Ok(place) => {
                turn.has_come = true;
                place
            }
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

    fn place(&self, wish: &Wish<L>) -> Place<L> {
        Place {
            places: self.clone(),
            tenant: wish.tenant,
            line: wish.line,
            is_held: true,
        }
    }

    /// Calls those whose turn it is. Whoever waits no more leaves the place to
    /// the next, outside the lock.
    fn call(&self) {
        loop {
            let Some(waiting) = self.0.lock().next() else {
                return;
            };
            if let Err(unheard) = waiting.called.send(self.place(&waiting.wish)) {
                // Dropped, it would call the next from in here, and so on.
                unheard.give_back();
            }
        }
    }
}

impl<L: LineOf> Drop for Turn<'_, L> {
    fn drop(&mut self) {
        if self.has_come {
            return;
        }
        let mut places = self.places.0.lock();
        // Nowhere else, and under the lock: so whoever is first in a line waits still. A
        // place that was sent already is in here yet, and is left with it, after the lock.
        self.called.close();
        let is_next_first = places.leave_queue(&self.wish);
        drop(places);
        if is_next_first {
            self.places.call();
        }
    }
}

impl<L: LineOf> Place<L> {
    /// Leaves it without calling anybody.
    fn give_back(mut self) {
        self.is_held = false;
        self.places.0.lock().leave(self.tenant, self.line);
    }
}

impl<L: LineOf> Drop for Place<L> {
    fn drop(&mut self) {
        if self.is_held {
            self.places.0.lock().leave(self.tenant, self.line);
            self.places.call();
        }
    }
}

impl<L: LineOf> Line<L> {
    /// Lets go of those in front who wait no more; whether there were any.
    fn let_go(&mut self) -> bool {
        let before = self.waiting.len();
        let is_gone = |first: &Waiting<L>| first.called.is_closed();
        while self.waiting.front().is_some_and(is_gone) {
            self.waiting.pop_front();
        }
        self.waiting.len() < before
    }
}

impl<L: LineOf> Places<L> {
    /// Grants a wish at once, if it can be.
    fn take_now(&mut self, wish: &Wish<L>) -> bool {
        let is_free = self.is_free_for(wish);
        if is_free {
            self.take(wish);
        }
        is_free
    }

    /// Whether a wish can be granted at once: nobody of its line waits before
    /// it, and there is room.
    fn is_free_for(&self, wish: &Wish<L>) -> bool {
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
    fn has_room(&self, held: usize, held_by_line: usize, wish: &Wish<L>) -> bool {
        held < self.all.saturating_sub(self.taken)
            && held < wish.tenant_max
            && held_by_line < wish.line_max
    }

    fn take(&mut self, wish: &Wish<L>) {
        self.taken += 1;
        let tenant = self.tenants.entry(wish.tenant).or_default();
        tenant.held += 1;
        tenant.lines.entry(wish.line).or_default().held += 1;
    }

    fn leave(&mut self, id: TenantId, line: L) {
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

    fn queue(&mut self, waiting: Waiting<L>) {
        let wish = waiting.wish;
        let tenant = self.tenants.entry(wish.tenant).or_default();
        if tenant.turn.is_empty() {
            self.turn.push_back(wish.tenant);
            tenant.most = 0;
        }
        tenant.most = tenant.most.max(wish.tenant_max);
        let line = tenant.lines.entry(wish.line).or_default();
        if line.waiting.is_empty() {
            tenant.turn.push_back(wish.line);
        }
        // Those who wait no more take no memory: those in front go at once, those
        // behind somebody each time that there are twice as many.
        let length = line.waiting.len();
        if length >= WAITING_LOOKED_AT_MIN && length.is_power_of_two() {
            line.waiting.retain(|one| !one.called.is_closed());
        }
        line.waiting.push_back(waiting);
    }

    /// Lets go of those in front of a line who wait no more. Says whether somebody stands
    /// there now who did not before, and may have room where they had none.
    fn leave_queue(&mut self, wish: &Wish<L>) -> bool {
        let Some(tenant) = self.tenants.get_mut(&wish.tenant) else {
            return false;
        };
        let Some(line) = tenant.lines.get_mut(&wish.line) else {
            return false;
        };
        if !line.let_go() {
            return false;
        }
        if !line.waiting.is_empty() {
            return true;
        }
        if line.held == 0 {
            tenant.lines.remove(&wish.line);
        }
        tenant.turn.retain(|waits| *waits != wish.line);
        if tenant.turn.is_empty() {
            self.turn.retain(|waits| *waits != wish.tenant);
        }
        if tenant.lines.is_empty() {
            self.tenants.remove(&wish.tenant);
        }
        false
    }

    /// Takes a place for whoever is next, if there is one for anybody.
    fn next(&mut self) -> Option<Waiting<L>> {
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

    fn next_of(&mut self, id: TenantId) -> Option<Waiting<L>> {
        let tenant = self.tenants.get(&id)?;
        // Whose tenant has no room need not be looked at one by one.
        if tenant.held >= tenant.most.min(self.all.saturating_sub(self.taken)) {
            return None;
        }
        let lines = tenant.turn.len();
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
            line.let_go();
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
