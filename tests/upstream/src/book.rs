//! What the order system remembers: orders, effects by idempotency key, and requests by path. In memory, and bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::mode::Mode;

/// Orders that are kept; older ones are forgotten, though their effects stay counted.
pub(crate) const ORDERS_MAX: usize = 10_000;
/// Different paths that are counted by name; the rest is counted as `other`.
const PATHS_MAX: usize = 1_000;

/// An order that was accepted. The body stays as it came: the order system has no reason to look into it twice.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) sequence: u64,
    pub(crate) reference: Arc<str>,
    pub(crate) total_cents: i64,
    pub(crate) body: Bytes,
}

/// What a caller gets back for an order; the same each time that the same key comes.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) sequence: u64,
    pub(crate) reference: Arc<str>,
    pub(crate) total_cents: i64,
}

/// The state of the order system.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) mode: Mode,
    orders: VecDeque<Order>,
    last_sequence: u64,
    accepted_by_key: HashMap<Box<str>, (Accepted, u64)>,
    effects: u64,
    repeats: u64,
    requests: u64,
    refused: u64,
    requests_by_path: BTreeMap<Box<str>, u64>,
}

/// The counters, as `GET /control/effects` shows them.
#[derive(Debug, Serialize)]
pub(crate) struct Counters {
    /// Orders that were made.
    effects: u64,
    /// Requests whose key had made its order before, and so made none.
    repeats: u64,
    /// How often each key came.
    by_key: BTreeMap<Box<str>, u64>,
    /// Requests outside `/control`, refused ones included.
    requests: u64,
    /// Requests without the right credential.
    refused: u64,
    /// Requests outside `/control` by path, without the query.
    by_path: BTreeMap<Box<str>, u64>,
}

impl Book {
    /// Counts one request outside `/control`.
    pub(crate) fn count_request(&mut self, path: &str) {
        self.requests += 1;
        if let Some(count) = self.requests_by_path.get_mut(path) {
            *count += 1;
        } else {
            let full = self.requests_by_path.len() >= PATHS_MAX;
            *self
                .requests_by_path
                .entry(if full { "other" } else { path }.into())
                .or_default() += 1;
        }
    }

    /// Counts one request without the right credential.
    pub(crate) fn count_refusal(&mut self) {
        self.refused += 1;
    }

    /// Makes an order, or answers as before if this key has made one.
    pub(crate) fn accept(
        &mut self,
        key: Option<&str>,
        reference: &str,
        total_cents: i64,
        body: Bytes,
    ) -> Accepted {
        if let Some((accepted, times)) = key.and_then(|key| self.accepted_by_key.get_mut(key)) {
            *times += 1;
            self.repeats += 1;
            return accepted.clone();
        }
        self.effects += 1;
        let accepted = self.add(reference, total_cents, body);
        if let Some(key) = key {
            self.accepted_by_key
                .insert(key.into(), (accepted.clone(), 1));
        }
        accepted
    }

    /// Adds an order as another client would: it is not an effect of the caller under test.
    pub(crate) fn add(&mut self, reference: &str, total_cents: i64, body: Bytes) -> Accepted {
        self.last_sequence += 1;
        let (sequence, reference) = (self.last_sequence, Arc::<str>::from(reference));
        if self.orders.len() >= ORDERS_MAX {
            self.orders.pop_front();
        }
        self.orders.push_back(Order {
            sequence,
            reference: Arc::clone(&reference),
            total_cents,
            body,
        });
        Accepted {
            sequence,
            reference,
            total_cents,
        }
    }

    /// One order, while it is remembered.
    pub(crate) fn order(&self, sequence: u64) -> Option<Order> {
        let at = self
            .orders
            .binary_search_by_key(&sequence, |order| order.sequence)
            .ok()?;
        self.orders.get(at).cloned()
    }

    /// Up to `limit` orders that came after `after`, oldest first, and whether there are more.
    pub(crate) fn after(&self, after: u64, limit: usize) -> (Vec<Order>, bool) {
        let start = self.orders.partition_point(|order| order.sequence <= after);
        let page: Vec<Order> = self
            .orders
            .iter()
            .skip(start)
            .take(limit)
            .cloned()
            .collect();
        let more = self.orders.len() > start + page.len();
        (page, more)
    }

    /// The counters as they stand.
    pub(crate) fn counters(&self) -> Counters {
        let by_key = self
            .accepted_by_key
            .iter()
            .map(|(key, (_, times))| (key.clone(), *times));
        Counters {
            effects: self.effects,
            repeats: self.repeats,
            by_key: by_key.collect(),
            requests: self.requests,
            refused: self.refused,
            by_path: self.requests_by_path.clone(),
        }
    }
}
