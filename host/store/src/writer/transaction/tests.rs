//! Groups against a database of one table: atomic, apart, and honest on a full disk.

#![expect(clippy::unwrap_used, reason = "tests")]
use tokio::sync::oneshot;

use super::super::{Answer, connection};
use super::*;
use crate::change::value;

/// A database in a file, with one table of each test's own.
fn database(directory: &tempfile::TempDir) -> Database {
    let path = directory.path().join("keyway.db");
    std::fs::File::create(&path).unwrap();
    let connection = connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TABLE thing (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
        .unwrap();
    Database::new(
        connection,
        Arc::default(),
        Arc::default(),
        Answers::at_once(),
    )
}

fn insert(id: u64, bytes: usize) -> Write {
    let values = vec![value::count(id), value::blob(vec![7; bytes])];
    Statement::new("INSERT INTO thing (id, body) VALUES (?, ?)", values).into()
}

fn commit(database: &mut Database, groups: Vec<Vec<Write>>) -> Vec<Answer> {
    let (groups, answers): (Vec<_>, Vec<_>) = groups
        .into_iter()
        .map(|writes| {
            let (waiter, answer) = oneshot::channel();
            (
                Group {
                    writes,
                    waiter: Some(waiter),
                },
                answer,
            )
        })
        .unzip();
    database.commit(groups);
    answers
        .into_iter()
        .map(|mut answer| answer.try_recv().unwrap())
        .collect()
}

fn stored(database: &Database) -> Vec<i64> {
    let mut statement = database
        .connection
        .prepare("SELECT id FROM thing ORDER BY id")
        .unwrap();
    statement
        .query_map([], |row| row.get::<_, i64>(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn on_a_full_disk_every_group_fails_and_later_ones_go_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let mut database = database(&directory);
    database
        .connection
        .pragma_update(None, "max_page_count", 20)
        .unwrap();
    let answers = commit(
        &mut database,
        vec![
            vec![insert(1, 10)],
            vec![insert(2, 200_000)],
            vec![insert(3, 10)],
        ],
    );
    for answer in answers {
        assert!(
            matches!(
                answer,
                Err(RefusedGroup {
                    error: StoreError::DiskFull,
                    ..
                })
            ),
            "{answer:?}"
        );
    }
    assert!(stored(&database).is_empty());
    database
        .connection
        .pragma_update(None, "max_page_count", 1_000_000)
        .unwrap();
    let answers = commit(
        &mut database,
        vec![vec![insert(1, 10)], vec![insert(2, 200_000)]],
    );
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(stored(&database), [1, 2]);
}

#[test]
fn a_refused_group_is_left_out_whole_and_gets_its_writes_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut database = database(&directory);
    let twice = vec![insert(2, 1), insert(3, 1), insert(2, 1)];
    let answers = commit(
        &mut database,
        vec![vec![insert(1, 1)], twice, vec![insert(3, 1), insert(4, 1)]],
    );
    let refused = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect::<Vec<_>>();
    assert_eq!(
        refused
            .iter()
            .map(|refused| refused.writes.len())
            .collect::<Vec<_>>(),
        [3]
    );
    assert_eq!(stored(&database), [1, 3, 4]);
}

#[test]
fn after_the_disk_failed_nothing_is_written_until_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut database = database(&directory);
    database.broken = Some(StoreError::Broken("the disk is gone".to_owned()));
    let answers = commit(&mut database, vec![vec![insert(1, 1)]]);
    assert!(answers.iter().all(|answer| matches!(
        answer,
        Err(RefusedGroup {
            error: StoreError::Broken(_),
            ..
        })
    )));
    assert!(stored(&database).is_empty());
}

#[test]
fn the_write_ahead_log_is_moved_into_the_database_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut database = database(&directory);
    let megabytes = 64;
    for id in 0..megabytes {
        let answers = commit(&mut database, vec![vec![insert(id, 1 << 20)]]);
        assert!(answers.iter().all(Result::is_ok));
    }
    let log = directory.path().join("keyway.db-wal");
    let log_bytes = std::fs::metadata(log).unwrap().len();
    // 4,000 pages of 4 KiB, and the commit that made it too long.
    assert!(log_bytes < 20 << 20, "{log_bytes}");
    let moved = std::fs::metadata(directory.path().join("keyway.db")).unwrap();
    assert!(moved.len() > (megabytes - 20) << 20, "{}", moved.len());
    assert_eq!(stored(&database).len(), 64);
}
