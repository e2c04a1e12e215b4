//! Disks that take for ever: a pipe in the place of a file is read to its end
//! only when the test says so.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode};

use super::super::tests::{compiled, under};
use super::*;

const ACME: TenantId = TenantId::from_bits(1);
const RIVAL: TenantId = TenantId::from_bits(2);

/// A test that is held up by a read is let go after so long, and fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// A stock that has nothing at hand and this on the disk, each for a tenant.
fn stock(dir: &Path, pieces_max: usize, kept: &[(&str, TenantId)]) -> Arc<Stock> {
    let cache = Cache::new(dir.to_owned(), b"a key", "engine".to_owned(), u64::MAX).unwrap();
    let room = Room {
        pieces_max,
        ..Room::default()
    };
    let stock = Stock::new(cache, room, mpsc::unbounded_channel().0);
    for (name, owner) in kept {
        stock.keep(digest(name), *owner, name.as_bytes()).unwrap();
    }
    Arc::new(stock)
}

fn file(stock: &Stock, name: &str) -> PathBuf {
    let named = hex::encode(digest(name).as_bytes());
    let files = fs::read_dir(stock.dir()).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    paths
        .find(|path| path.to_string_lossy().contains(&named))
        .unwrap()
}

/// Code whose read does not end before this is let go.
struct Stuck {
    go: Sender<()>,
    writer: JoinHandle<bool>,
}

impl Stuck {
    fn new(stock: &Stock, name: &str) -> Self {
        let path = file(stock, name);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (go, told) = channel();
        let writer = std::thread::spawn(move || {
            let was_told = told.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout);
            fs::write(path, bytes).unwrap();
            was_told
        });
        Self { go, writer }
    }

    /// Ends the read, which nothing else has waited for until now.
    fn let_go(self) {
        drop(self.go);
        assert!(
            self.writer.join().unwrap(),
            "the thread waited for the read"
        );
    }
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

fn call(
    stock: &Arc<Stock>,
    tenant: TenantId,
    name: &'static str,
) -> tokio::task::JoinHandle<Arc<Code>> {
    let stock = Arc::clone(stock);
    tokio::spawn(async move { stock.code(tenant, digest(name)).await.unwrap().unwrap() })
}

#[tokio::test]
async fn calls_of_others_go_on_while_code_is_read_and_those_of_the_same_code_share_one_read() {
    let dir = tempfile::tempdir().unwrap();
    let kept = [("large", RIVAL), ("cold", ACME)];
    let stock = stock(dir.path(), 8, &kept);
    let held = stock.put_at_hand(digest("held"), ACME, b"held").unwrap();
    let stuck = Stuck::new(&stock, "large");
    let calls = [
        call(&stock, RIVAL, "large"),
        call(&stock, RIVAL, "large"),
        call(&stock, ACME, "large"),
    ];
    until(|| !stock.reading.lock().is_empty()).await;
    // What is at hand, and what has to be read, too.
    let found = call(&stock, ACME, "held").await.unwrap();
    assert!(Arc::ptr_eq(&found, &held));
    call(&stock, ACME, "cold").await.unwrap();
    assert!(calls.iter().all(|call| !call.is_finished()));
    stuck.let_go();
    let [first, second, third] = calls;
    // A pipe is read once.
    let first = first.await.unwrap();
    assert!(Arc::ptr_eq(&first, &second.await.unwrap()));
    assert!(Arc::ptr_eq(&first, &third.await.unwrap()));
    assert_eq!(first.share().unwrap().1, 5);
}

#[tokio::test]
async fn one_workspace_reads_one_piece_at_a_time_and_another_has_its_turn_beside_it() {
    const LARGE: [&str; 4] = ["one", "two", "three", "four"];
    let dir = tempfile::tempdir().unwrap();
    let mut kept = LARGE.map(|name| (name, RIVAL)).to_vec();
    kept.push(("cold", ACME));
    let stock = stock(dir.path(), 8, &kept);
    let stuck = LARGE.map(|name| Stuck::new(&stock, name));
    let calls = LARGE.map(|name| call(&stock, RIVAL, name));
    until(|| stock.readers.counts() == (1, LARGE.len() - 1)).await;
    call(&stock, ACME, "cold").await.unwrap();
    assert_eq!(stock.reading.lock().len(), 1);
    // Whoever waits for it no more does not give its place to the next.
    let [first, rest @ ..] = calls;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    call(&stock, ACME, "cold").await.unwrap();
    assert_eq!(stock.readers.counts(), (1, LARGE.len() - 1));
    stuck.into_iter().for_each(|stuck| drop(stuck.go));
    for call in rest {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn while_so_many_pieces_are_read_those_of_further_workspaces_wait_their_turn() {
    const LARGE: [&str; CODE_READS_MAX] = ["one", "two"];
    let owner = |number: u128| TenantId::from_bits(number + 1);
    let mut kept: Vec<_> = LARGE.into_iter().zip((0..).map(owner)).collect();
    let third = TenantId::from_bits(9);
    kept.push(("cold", third));
    let dir = tempfile::tempdir().unwrap();
    let stock = stock(dir.path(), 8, &kept);
    let stuck = LARGE.map(|name| Stuck::new(&stock, name));
    let calls: Vec<_> = LARGE
        .into_iter()
        .zip((0..).map(owner))
        .map(|(name, owner)| call(&stock, owner, name))
        .collect();
    until(|| stock.reading.lock().len() == CODE_READS_MAX).await;
    let further = call(&stock, third, "cold");
    until(|| stock.readers.counts() == (CODE_READS_MAX, 1)).await;
    assert!(!further.is_finished());
    // One that has come to its end makes room.
    let mut stuck = stuck.into_iter();
    stuck.next().unwrap().let_go();
    further.await.unwrap();
    stuck.for_each(|stuck| drop(stuck.go));
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn one_that_calls_large_components_by_turns_costs_no_other_what_it_has_at_hand() {
    let dir = tempfile::tempdir().unwrap();
    const LARGE: [&str; 5] = ["one", "two", "three", "four", "five"];
    let mut kept = LARGE.map(|name| (name, RIVAL)).to_vec();
    kept.push(("victim's", ACME));
    let stock = stock(dir.path(), 3, &kept);
    let held = call(&stock, ACME, "victim's").await.unwrap();
    // It could not be read again.
    fs::remove_file(file(&stock, "victim's")).unwrap();
    for name in LARGE.into_iter().cycle().take(20) {
        call(&stock, RIVAL, name).await.unwrap();
    }
    let found = call(&stock, ACME, "victim's").await.unwrap();
    assert!(Arc::ptr_eq(&found, &held));
    assert_eq!(stock.shelf.lock().count(), 3);
}

#[tokio::test]
async fn code_that_a_worker_runs_is_not_what_goes_next() {
    let dir = tempfile::tempdir().unwrap();
    let kept = [("a", ACME), ("b", ACME), ("c", ACME)];
    let stock = stock(dir.path(), 2, &kept);
    let held = call(&stock, ACME, "a").await.unwrap();
    call(&stock, ACME, "b").await.unwrap();
    stock.note_use(digest("a"));
    call(&stock, ACME, "c").await.unwrap();
    fs::remove_file(file(&stock, "a")).unwrap();
    let found = call(&stock, ACME, "a").await.unwrap();
    assert!(Arc::ptr_eq(&found, &held));
}

#[tokio::test]
async fn nobody_waits_for_a_disk_while_it_is_its_turn_with_the_compiler() {
    let dir = tempfile::tempdir().unwrap();
    let answer = dir.path().join("answer");
    fs::write(&answer, compiled(0, 0)).unwrap();
    let script = format!("exec /bin/cat {}", answer.display());
    let artifacts = Arc::new(under(dir.path(), &script, 60));
    let stock = Arc::clone(&artifacts.stock);
    stock.keep(digest("large"), RIVAL, b"large").unwrap();
    let stuck = Stuck::new(&stock, "large");
    // Another has the compiler until this one waits for it, and for a read, too.
    let turn = artifacts.turns.turn(ACME).await;
    let waiting = Arc::clone(&artifacts);
    let compiled = tokio::spawn(async move {
        let component = async || Ok(b"a component".to_vec());
        waiting.code(RIVAL, digest("new"), component).await
    });
    until(|| artifacts.turns.compiler.counts() == (1, 1)).await;
    let read = call(&stock, RIVAL, "large");
    until(|| !stock.reading.lock().is_empty()).await;
    drop(turn);
    assert_eq!(compiled.await.unwrap().unwrap().share().unwrap().1, 4);
    assert!(!read.is_finished());
    stuck.let_go();
    read.await.unwrap();
}
