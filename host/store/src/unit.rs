//! [`Unit`]: what must become durable together.
//!
//! A unit gathers changes and records. The next [`Unit::commit`], or the next
//! record that must be durable at once, writes all that has gathered as one
//! atomic group. So a job's event, its first steps and its first intent share
//! one group and one sync of the disk.
//!
//! What is refused stays in the unit, except for a record whose caller is told
//! that it was not written. What is left in a unit that is dropped is handed to
//! the writer, and nobody waits for it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use keyway_authz::{Closing, Record, Sink, SinkError};
use keyway_model::{JobId, Scope};
use parking_lot::Mutex;

use crate::change::{Change, Write};
use crate::error::StoreError;
use crate::record;
use crate::store::Inner;
use crate::writer::Committed;

/// A change or a record that waits.
#[derive(Debug)]
enum Item {
    Write(Write),
    Record(Scope, Box<Record>),
}

/// What was taken out of a unit, for whoever gives it up.
#[derive(Debug)]
pub struct Pending(Vec<Item>);

impl Pending {
    /// How many changes and records there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A unit of work. Clones share what has gathered.
#[derive(Clone)]
pub struct Unit(Arc<Shared>);

struct Shared {
    store: Arc<Inner>,
    scope: Scope,
    pending: Mutex<Vec<Item>>,
    /// Held while a group is put together, so that groups of one unit are
    /// written in the order in which they were asked for.
    order: tokio::sync::Mutex<()>,
}

impl Unit {
    pub(crate) fn new(store: Arc<Inner>, scope: Scope) -> Self {
        let (pending, order) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Shared {
            store,
            scope,
            pending,
            order,
        }))
    }

    /// Whose log the unit's records go to.
    pub fn scope(&self) -> Scope {
        self.0.scope
    }

    /// Adds a change, to be written with the next commit.
    pub fn push(&self, change: Change) {
        self.0
            .pending
            .lock()
            .extend(change.writes.into_iter().map(Item::Write));
    }

    /// Adds a record, to be written with the next commit.
    pub fn record(&self, record: Record) {
        self.0
            .pending
            .lock()
            .push(Item::Record(self.0.scope, Box::new(record)));
    }

    /// Adds the outcome of an operation, to be written with the next commit.
    pub fn close(&self, closing: Closing) {
        let (scope, record) = closing.into_parts();
        self.0
            .pending
            .lock()
            .push(Item::Record(scope, Box::new(record)));
    }

    /// Takes out what has gathered, for a unit that is given up.
    #[must_use = "what is taken out is not written"]
    pub fn take_pending(&self) -> Pending {
        Pending(std::mem::take(&mut *self.0.pending.lock()))
    }

    /// Writes all that has gathered, as one group, and waits until it is durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then nothing of the group was written, and it is in the
    /// unit still.
    pub async fn commit(&self) -> Result<(), StoreError> {
        self.flush(None).await.map(drop)
    }

    /// As [`Unit::commit`]; answers with the jobs that were new among those of
    /// [`TenantStore::job_if_new`](crate::TenantStore::job_if_new).
    ///
    /// # Errors
    ///
    /// As [`Unit::commit`].
    pub async fn commit_new_jobs(&self) -> Result<Vec<JobId>, StoreError> {
        self.flush(None).await.map(|committed| committed.new_jobs)
    }

    async fn flush(&self, last: Option<Item>) -> Result<Committed, StoreError> {
        let in_order = self.0.order.lock().await;
        let mut taken = Taken {
            unit: &self.0,
            items: std::mem::take(&mut *self.0.pending.lock()),
        };
        let last = match last {
            Some(item) => Some(sealed(&self.0.store, item).await?),
            None => None,
        };
        for item in &mut taken.items {
            if let Item::Record(scope, record) = item {
                *item = Item::Write(Write::Audit(
                    record::seal(&self.0.store.keys, *scope, record).await?,
                ));
            }
        }
        let mut writes = taken.into_writes();
        if writes.is_empty() && last.is_none() {
            return Ok(Committed::default());
        }
        let kept = writes.len();
        writes.extend(last);
        let answer = self.0.store.writer.enqueue(writes);
        drop(in_order);
        match answer.await {
            Ok(Ok(committed)) => Ok(committed),
            Ok(Err(mut refused)) => {
                refused.writes.truncate(kept);
                self.0
                    .put_back(refused.writes.into_iter().map(Item::Write).collect());
                Err(refused.error)
            }
            Err(_) => Err(StoreError::Closed),
        }
    }
}

async fn sealed(store: &Inner, item: Item) -> Result<Write, StoreError> {
    match item {
        Item::Write(write) => Ok(write),
        Item::Record(scope, record) => Ok(Write::Audit(
            record::seal(&store.keys, scope, &record).await?,
        )),
    }
}

impl Shared {
    fn put_back(&self, mut items: Vec<Item>) {
        let mut pending = self.pending.lock();
        items.append(&mut pending);
        *pending = items;
    }
}

/// What was taken out of a unit to be written. Goes back if it never gets to
/// the writer, for example because whoever waits is cancelled.
struct Taken<'a> {
    unit: &'a Shared,
    items: Vec<Item>,
}

impl Taken<'_> {
    fn into_writes(mut self) -> Vec<Write> {
        let items = std::mem::take(&mut self.items);
        items
            .into_iter()
            .map(|item| match item {
                Item::Write(write) => write,
                Item::Record(..) => unreachable!("every record was sealed in the loop before"),
            })
            .collect()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.items.is_empty() {
            self.unit.put_back(std::mem::take(&mut self.items));
        }
    }
}

#[async_trait]
impl Sink for Unit {
    async fn append(&self, scope: Scope, record: Record) -> Result<(), SinkError> {
        self.flush(Some(Item::Record(scope, Box::new(record))))
            .await
            .map(drop)
            .map_err(Into::into)
    }

    fn queue(&self, scope: Scope, record: Record) {
        self.0
            .pending
            .lock()
            .push(Item::Record(scope, Box::new(record)));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let items = std::mem::take(self.pending.get_mut());
        if !items.is_empty() {
            leave(&self.store, items);
        }
    }
}

/// Hands `items` to the writer. If a key is missing, a task gets it first.
fn leave(store: &Arc<Inner>, mut items: Vec<Item>) {
    for item in &mut items {
        if let Item::Record(scope, record) = item {
            match record::seal_now(&store.keys, *scope, record) {
                Ok(row) => *item = Item::Write(Write::Audit(row)),
                Err(_) => return leave_later(Arc::clone(store), items),
            }
        }
    }
    let writes = items.into_iter().filter_map(|item| match item {
        Item::Write(write) => Some(write),
        Item::Record(..) => None,
    });
    store.writer.leave(writes.collect());
}

fn leave_later(store: Arc<Inner>, items: Vec<Item>) {
    let runtime = store.runtime.clone();
    runtime.spawn(async move {
        let mut writes = Vec::with_capacity(items.len());
        for item in items {
            match sealed(&store, item).await {
                Ok(write) => writes.push(write),
                Err(error) => {
                    tracing::error!(%error, "a record that was left behind cannot be sealed")
                }
            }
        }
        store.writer.leave(writes);
    });
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unit({} pending)", self.0.pending.lock().len())
    }
}
