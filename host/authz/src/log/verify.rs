//! Verifies an export, offline: the text and the log's public key are all.
//!
//! Reading down the lines, each record must have the next sequence and hash to
//! its own leaf; at the end, the leaves must give the root that the checkpoint
//! signs. A checkpoint that was kept from earlier shows, too, whether the log
//! lost records or was forked since.

use std::fmt;

use super::checkpoint::{Checkpoint, origin};
use super::line::{ExportHeader, ExportRecord, ExportTail, FORMAT};
use super::note::{NoteError, VerifierKey};
use super::tree::{CompactRange, Hash};

/// What a verified export vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which log.
    pub origin: String,
    /// The sequence of the first record of the export.
    pub from: u64,
    /// How many records the checkpoint covers.
    pub size: u64,
    /// How many of them are in the export.
    pub records: u64,
    /// How many of these were erased: proved by their header and hash alone.
    pub erased: u64,
    /// The root that was signed.
    pub root: Hash,
    /// The size of the earlier checkpoint that the log goes on from, if one was given.
    pub since: Option<u64>,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError {
    /// The line of the export, from 1.
    pub line: usize,
    /// The record that the line holds.
    pub sequence: Option<u64>,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with an export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The line is not what stands there in an export.
    #[error("not a line of an export: {0}")]
    NotALine(String),
    /// The export is of another format.
    #[error("the format is {0:?}, and not {FORMAT:?}: use the program that belongs to it")]
    OtherFormat(String),
    /// The export is of another log than the key.
    #[error("the export is of the log {found}, and the key is of {wanted}")]
    OtherLog {
        /// The key's log.
        wanted: String,
        /// The export's.
        found: String,
    },
    /// A record is missing, repeated, or out of order.
    #[error("record {wanted} should stand here: one was removed, inserted, repeated or moved")]
    Sequence {
        /// The sequence that should be here.
        wanted: u64,
    },
    /// The record is not the one that was written.
    #[error("the record was changed: it does not hash to its leaf")]
    Changed,
    /// The checkpoint's signature does not hold.
    #[error("the checkpoint: {0}")]
    Checkpoint(NoteError),
    /// The export ends before its checkpoint.
    #[error(
        "the checkpoint covers {signed} records, and the export ends after {found}: the rest was removed"
    )]
    Truncated {
        /// How many the checkpoint covers.
        signed: u64,
        /// Where the export ends.
        found: u64,
    },
    /// The leaves do not give the root.
    #[error(
        "the records do not give the root that was signed: one of them was exchanged for another"
    )]
    Root,
    /// The log does not go on from the earlier checkpoint.
    #[error(
        "the log does not go on from the earlier checkpoint of {0} records: it was forked, or records were removed"
    )]
    Forked(u64),
    /// The export begins after the earlier checkpoint.
    #[error(
        "the export begins after the earlier checkpoint of {0} records: export from there or before"
    )]
    BeginsLater(u64),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sequence {
            Some(sequence) => write!(f, "line {}, record {sequence}: {}", self.line, self.problem),
            None => write!(f, "line {}: {}", self.line, self.problem),
        }
    }
}

impl std::error::Error for VerifyError {}

/// Verifies `export` with the log's public key.
///
/// # Errors
///
/// [`VerifyError`] names the first line that does not hold.
pub fn verify(export: &str, key: &VerifierKey) -> Result<Report, VerifyError> {
    Reader::new(export, key).read(None)
}

/// Verifies `export`, and that its log goes on from `earlier`, a signed
/// checkpoint that was kept elsewhere.
///
/// # Errors
///
/// As [`verify`]; line 0 is the earlier checkpoint.
pub fn verify_since(export: &str, key: &VerifierKey, earlier: &str) -> Result<Report, VerifyError> {
    let earlier = Checkpoint::open(earlier, key).map_err(|error| VerifyError {
        line: 0,
        sequence: None,
        problem: Problem::Checkpoint(error),
    })?;
    Reader::new(export, key).read(Some(&earlier))
}

struct Reader<'a> {
    key: &'a VerifierKey,
    lines: Vec<&'a str>,
    erased: u64,
}

impl<'a> Reader<'a> {
    fn new(export: &'a str, key: &'a VerifierKey) -> Self {
        Self {
            key,
            lines: export.lines().collect(),
            erased: 0,
        }
    }

    fn read(mut self, earlier: Option<&Checkpoint>) -> Result<Report, VerifyError> {
        let lines = std::mem::take(&mut self.lines);
        let missing = |what: &str| {
            at(
                lines.len() + 1,
                Problem::NotALine(format!("the {what} is missing")),
            )
        };
        let (first, rest) = lines.split_first().ok_or_else(|| missing("header"))?;
        let (last, records) = rest.split_last().ok_or_else(|| missing("checkpoint"))?;
        let (header, mut range) = self.header(first)?;
        let meets = Meeting::new(earlier, &range)?;
        meets.check(&range)?;
        for (index, line) in records.iter().enumerate() {
            range.push(self.record(&header, range.size(), index + 2, line)?);
            meets.check(&range).map_err(|error| VerifyError {
                line: index + 2,
                ..error
            })?;
        }
        let checkpoint = self.tail(lines.len(), last)?;
        let end = |problem| at(lines.len(), problem);
        if range.size() != checkpoint.size {
            return Err(end(Problem::Truncated {
                signed: checkpoint.size,
                found: range.size(),
            }));
        }
        if range.root() != checkpoint.root {
            return Err(end(Problem::Root));
        }
        if let Some(size) = meets.size().filter(|size| *size > range.size()) {
            return Err(end(Problem::Forked(size)));
        }
        Ok(Report {
            origin: checkpoint.origin,
            from: header.from,
            size: checkpoint.size,
            records: records.len() as u64,
            erased: self.erased,
            root: checkpoint.root,
            since: meets.size(),
        })
    }

    fn header(&self, line: &str) -> Result<(ExportHeader, CompactRange), VerifyError> {
        let header: ExportHeader = parse(1, line)?;
        if header.format != FORMAT {
            return Err(at(1, Problem::OtherFormat(header.format)));
        }
        let found = origin(header.deployment, header.tenant);
        if found != self.key.name() {
            return Err(at(
                1,
                Problem::OtherLog {
                    wanted: self.key.name().to_owned(),
                    found,
                },
            ));
        }
        let range =
            CompactRange::from_parts(header.from, header.before.clone()).ok_or_else(|| {
                at(
                    1,
                    Problem::NotALine("`before` does not fit `from`".to_owned()),
                )
            })?;
        Ok((header, range))
    }

    fn record(
        &mut self,
        header: &ExportHeader,
        wanted: u64,
        number: usize,
        line: &str,
    ) -> Result<Hash, VerifyError> {
        let record: ExportRecord = parse(number, line).map_err(|error| VerifyError {
            sequence: Some(wanted),
            ..error
        })?;
        let wrong = |problem| VerifyError {
            line: number,
            sequence: Some(record.sequence),
            problem,
        };
        if record.sequence != wanted {
            return Err(wrong(Problem::Sequence { wanted }));
        }
        let leaf = record.computed_leaf(header.tenant).ok_or_else(|| {
            wrong(Problem::NotALine(
                "a record has `salt` and `record`, or `erased`".to_owned(),
            ))
        })?;
        if leaf != record.leaf {
            return Err(wrong(Problem::Changed));
        }
        self.erased += u64::from(record.erased.is_some());
        Ok(leaf)
    }

    fn tail(&self, number: usize, line: &str) -> Result<Checkpoint, VerifyError> {
        let tail: ExportTail = parse(number, line)?;
        Checkpoint::open(&tail.checkpoint, self.key)
            .map_err(|error| at(number, Problem::Checkpoint(error)))
    }
}

/// Where the log must agree with an earlier checkpoint.
struct Meeting<'a>(Option<&'a Checkpoint>);

impl<'a> Meeting<'a> {
    fn new(earlier: Option<&'a Checkpoint>, start: &CompactRange) -> Result<Self, VerifyError> {
        match earlier {
            Some(earlier) if earlier.size < start.size() => {
                Err(at(1, Problem::BeginsLater(earlier.size)))
            }
            other => Ok(Self(other)),
        }
    }

    const fn size(&self) -> Option<u64> {
        match self.0 {
            Some(earlier) => Some(earlier.size),
            None => None,
        }
    }

    fn check(&self, range: &CompactRange) -> Result<(), VerifyError> {
        match self.0 {
            Some(earlier) if earlier.size == range.size() && earlier.root != range.root() => {
                Err(at(1, Problem::Forked(earlier.size)))
            }
            Some(_) | None => Ok(()),
        }
    }
}

const fn at(line: usize, problem: Problem) -> VerifyError {
    VerifyError {
        line,
        sequence: None,
        problem,
    }
}

fn parse<T: serde::de::DeserializeOwned>(number: usize, line: &str) -> Result<T, VerifyError> {
    serde_json::from_str(line).map_err(|error| at(number, Problem::NotALine(error.to_string())))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            from,
            size,
            records,
            erased,
            root,
            ..
        } = self;
        write!(
            f,
            "{records} records of {origin}, from {from} to {size}, under the signed root {root}"
        )?;
        match erased {
            0 => Ok(()),
            erased => write!(f, "; {erased} of them erased, proved by their hashes"),
        }
    }
}
