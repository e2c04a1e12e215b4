//! One transaction: many groups, each atomic.
//!
//! The first try runs all groups without savepoints, because refusals are
//! rare. If one is refused, all are rolled back and run again, each in a
//! savepoint of its own, and only the refused ones are left out. If the disk
//! is full or fails, all fail, and nothing pretends.

use std::collections::HashMap;
use std::sync::Arc;

use keyway_model::TenantId;
use rusqlite::{Connection, ErrorCode, params_from_iter};

use super::answers::{Answered, Answers};
use super::{Committed, Group, RefusedGroup, connection};
use crate::cache::Cache;
use crate::change::{AuditRow, Statement, Write};
use crate::error::StoreError;
use crate::heads::Heads;

const INSERT_AUDIT: &str = "INSERT INTO audit \
    (tenant, sequence, environment, kind, entry, time, content, leaf, envelope) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// The writer's side of the database.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    heads: Arc<Heads>,
    cache: Arc<Cache>,
    answers: Answers,
    broken: Option<StoreError>,
}

/// How far a failure reaches.
enum Failure {
    /// This group alone is refused.
    Group(StoreError),
    /// Nothing of this transaction can be written.
    All(StoreError),
}

/// Sequences that were given out in the transaction under way.
#[derive(Default)]
struct Sequences {
    next: HashMap<TenantId, u64>,
    given: Vec<TenantId>,
}

impl Sequences {
    fn give(&mut self, tenant: TenantId, heads: &Heads) -> u64 {
        let next = self
            .next
            .entry(tenant)
            .or_insert_with(|| heads.size(tenant));
        let given = *next;
        *next += 1;
        self.given.push(tenant);
        given
    }

    /// Takes back what was given since there were `mark` of them.
    fn take_back(&mut self, mark: usize) {
        for tenant in self.given.drain(mark..) {
            if let Some(next) = self.next.get_mut(&tenant) {
                *next -= 1;
            }
        }
    }
}

impl Database {
    pub(super) const fn new(
        connection: Connection,
        heads: Arc<Heads>,
        cache: Arc<Cache>,
        answers: Answers,
    ) -> Self {
        Self {
            connection,
            heads,
            cache,
            answers,
            broken: None,
        }
    }

    /// Commits `groups` and answers each.
    pub(super) fn commit(&mut self, groups: Vec<Group>) {
        if let Some(error) = &self.broken {
            self.refuse(groups, error);
            return;
        }
        let outcome = self.together(&groups).or_else(|failure| match failure {
            Failure::Group(_) => self.one_by_one(&groups),
            Failure::All(error) => Err(Failure::All(error)),
        });
        match outcome {
            Ok(results) => {
                self.answer(groups, results);
                // What stays in the log is durable there; a disk that fails fails the
                // next commit, too.
                if let Err(error) = connection::checkpoint_if_due(&self.connection) {
                    tracing::error!(%error, "the write-ahead log cannot be moved into the database");
                }
            }
            Err(Failure::Group(error) | Failure::All(error)) => {
                if matches!(error, StoreError::Broken(_)) {
                    tracing::error!(%error, "the writer stops");
                    self.broken = Some(error.clone());
                }
                self.refuse(groups, &error);
            }
        }
    }

    fn together(&self, groups: &[Group]) -> Result<Vec<Result<Committed, StoreError>>, Failure> {
        self.transaction(|sequences| {
            groups
                .iter()
                .map(|group| self.apply(&group.writes, sequences).map(Ok))
                .collect()
        })
    }

    fn one_by_one(&self, groups: &[Group]) -> Result<Vec<Result<Committed, StoreError>>, Failure> {
        self.transaction(|sequences| {
            groups
                .iter()
                .map(|group| self.in_savepoint(&group.writes, sequences))
                .collect()
        })
    }

    fn transaction<T>(
        &self,
        work: impl FnOnce(&mut Sequences) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.execute("BEGIN IMMEDIATE")?;
        let done = work(&mut Sequences::default()).and_then(|done| match self.execute("COMMIT") {
            Ok(()) => Ok(done),
            Err(Failure::Group(error) | Failure::All(error)) => Err(Failure::All(error)),
        });
        if done.is_err() && !self.connection.is_autocommit() {
            self.execute("ROLLBACK").map_err(|failure| match failure {
                Failure::Group(error) | Failure::All(error) => {
                    Failure::All(StoreError::Broken(error.to_string()))
                }
            })?;
        }
        done
    }

    fn in_savepoint(
        &self,
        writes: &[Write],
        sequences: &mut Sequences,
    ) -> Result<Result<Committed, StoreError>, Failure> {
        let mark = sequences.given.len();
        self.execute("SAVEPOINT one")?;
        let applied = self.apply(writes, sequences);
        match applied {
            Ok(committed) => {
                self.execute("RELEASE one")?;
                Ok(Ok(committed))
            }
            Err(Failure::Group(error)) => {
                self.execute("ROLLBACK TO one")?;
                self.execute("RELEASE one")?;
                sequences.take_back(mark);
                Ok(Err(error))
            }
            Err(all @ Failure::All(_)) => Err(all),
        }
    }

    fn apply(&self, writes: &[Write], sequences: &mut Sequences) -> Result<Committed, Failure> {
        let mut committed = Committed::default();
        for write in writes {
            match write {
                Write::Statement(statement) => {
                    self.run(statement)?;
                }
                Write::Audit(row) => {
                    let sequence = sequences.give(row.scope.tenant, &self.heads);
                    self.insert_audit(row, sequence)?;
                }
                Write::JobIfNew(one) => {
                    if self.run(&one.seen)? > 0 {
                        self.run(&one.create)?;
                        committed.new_jobs.push(one.job);
                    }
                }
                Write::Then(_) => {}
            }
        }
        Ok(committed)
    }

    fn run(&self, statement: &Statement) -> Result<usize, Failure> {
        let mut prepared = self
            .connection
            .prepare_cached(statement.sql)
            .map_err(failure)?;
        let rows = prepared
            .execute(params_from_iter(&statement.values))
            .map_err(
                |error| match (&statement.not_unique, is_not_unique(&error)) {
                    (Some(meaning), true) => Failure::Group(meaning.clone()),
                    (Some(_) | None, _) => failure(error),
                },
            )?;
        match &statement.nothing_done {
            Some(meaning) if rows == 0 => Err(Failure::Group(meaning.clone())),
            Some(_) | None => Ok(rows),
        }
    }

    fn insert_audit(&self, row: &AuditRow, sequence: u64) -> Result<(), Failure> {
        let mut prepared = self
            .connection
            .prepare_cached(INSERT_AUDIT)
            .map_err(failure)?;
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        prepared
            .execute(rusqlite::params![
                row.scope.tenant.to_bytes(),
                sequence,
                row.scope.environment.code(),
                row.kind.code(),
                row.entry.to_bytes(),
                row.at.micros(),
                row.content,
                row.leaf,
                row.envelope,
            ])
            .map(drop)
            .map_err(failure)
    }

    fn execute(&self, sql: &str) -> Result<(), Failure> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut one| one.execute([]))
            .map(drop)
            .map_err(failure)
    }

    /// Tells heads and caches what is durable, and then the waiters.
    fn answer(&self, groups: Vec<Group>, results: Vec<Result<Committed, StoreError>>) {
        for (group, result) in groups.iter().zip(&results) {
            if result.is_ok() {
                self.learn(&group.writes);
            }
        }
        let answered = groups.into_iter().zip(results).map(|(group, result)| {
            let answer = result.map_err(|error| RefusedGroup {
                error,
                writes: group.writes,
            });
            Answered {
                waiter: group.waiter,
                answer,
            }
        });
        self.answers.send(answered.collect());
    }

    fn refuse(&self, groups: Vec<Group>, error: &StoreError) {
        let answered = groups.into_iter().map(|group| Answered {
            waiter: group.waiter,
            answer: Err(RefusedGroup {
                error: error.clone(),
                writes: group.writes,
            }),
        });
        self.answers.send(answered.collect());
    }

    fn learn(&self, writes: &[Write]) {
        let mut records = Vec::new();
        for write in writes {
            match write {
                Write::Audit(row) => records.push((row.scope.tenant, row.kind, row.entry)),
                Write::Then(after) => self.cache.learn(after),
                Write::Statement(_) | Write::JobIfNew(_) => {}
            }
        }
        if !records.is_empty() {
            self.heads.advance(records.into_iter());
        }
    }
}

fn is_not_unique(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error().map(|inner| inner.extended_code),
        Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
    )
}

fn failure(error: rusqlite::Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Failure::All(StoreError::DiskFull),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
            Failure::Group(StoreError::Refused(error.to_string()))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OutOfMemory) => {
            Failure::All(StoreError::Refused(error.to_string()))
        }
        Some(_) => Failure::All(StoreError::Broken(error.to_string())),
        None => Failure::Group(StoreError::Refused(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
