//! Scratch files on a real disk: what is written is read back and shows to
//! nobody, limits hold, nothing outlives its call, and whoever else writes to
//! the directory can spoil a file and nothing more.

#![expect(clippy::cast_possible_truncation, reason = "tests")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use keyway_authz::{Ending, Grant, HttpRules, Inward, ScratchEdit};
use keyway_model::limit::{CallLimits, SCRATCH_CHUNK_BYTES_MAX};
use keyway_model::manifest::Capabilities;
use keyway_model::{ConnectionId, ScratchName};

use super::*;
use crate::{HomeError, OpenError, Scratch, ScratchError};

mod places;

const CANARY: &[u8] = b"the canary of a tenant";
const ROOT_KEY: &str = "bytes of the root key that nobody may see";

/// One call's files, used as the gate uses them.
struct Call {
    scratch: Scratch,
    grant: Grant,
    recorder: keyway_authz::Recorder,
}

impl Deployment {
    fn call(&self) -> Call {
        self.call_of(self.mine, &CallLimits::default())
    }

    fn call_of(&self, scope: Scope, limits: &CallLimits) -> Call {
        let actor = Actor::directly(Principal::Platform(0));
        let (rules, source) = (Arc::new(HttpRules::default()), "test".to_owned());
        let connection = ConnectionId::from_bits(1);
        Call {
            scratch: self.store.tenant(scope).scratch(limits),
            grant: Grant::new(actor, connection, Capabilities::ALL, rules, source),
            recorder: self.store.recorder(scope),
        }
    }

    fn scratch_dir(&self) -> PathBuf {
        self.directory.path().join("data/scratch")
    }

    /// The directories of calls.
    fn call_dirs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.scratch_dir()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The one file of the one call.
    fn only_file(&self) -> PathBuf {
        let dirs = self.call_dirs();
        assert_eq!(dirs.len(), 1);
        dirs[0].join(format!("{:016x}", 0))
    }

    /// A file outside of all scratch directories.
    fn outside(&self) -> PathBuf {
        let path = self.directory.path().join("root.key");
        fs::write(&path, ROOT_KEY).unwrap();
        path
    }
}

fn name(text: &str) -> ScratchName {
    text.parse().unwrap()
}

impl Call {
    async fn change(&self, edit: ScratchEdit) -> Result<u64, ScratchError> {
        let permit = self.grant.decide_scratch(edit).unwrap();
        let entry = permit.record(&self.recorder).await.unwrap();
        let changed = self.scratch.change(&entry).await;
        drop(entry.close(Ending::of(OutcomeKind::Done)));
        changed
    }

    async fn open(&self, file: &str) -> Result<u64, ScratchError> {
        self.change(ScratchEdit::Open(name(file))).await
    }

    async fn write(&self, file: &str, offset: u64, bytes: &[u8]) -> Result<u64, ScratchError> {
        self.change(ScratchEdit::Write(name(file), offset, Arc::from(bytes)))
            .await
    }

    async fn remove(&self, file: &str) -> Result<u64, ScratchError> {
        self.change(ScratchEdit::Remove(name(file))).await
    }

    async fn read(&self, file: &str, offset: u64, length: u32) -> Result<Vec<u8>, ScratchError> {
        let admitted = self.grant.decide_inward(Inward::ScratchRead).unwrap();
        self.scratch
            .read(&admitted, name(file), offset, length)
            .await
    }

    async fn filled(self) -> Self {
        self.open("rows").await.unwrap();
        self.write("rows", 0, CANARY).await.unwrap();
        self
    }
}

fn limit_of<T: std::fmt::Debug>(refused: Result<T, ScratchError>) -> (&'static str, u64) {
    match refused {
        Err(ScratchError::Limit { name, value }) => (name, value),
        other => panic!("{other:?} is no limit"),
    }
}

#[tokio::test]
async fn what_is_written_is_read_back_at_every_offset_and_length() {
    let deployment = Deployment::new().await;
    let call = deployment.call();
    call.open("a").await.unwrap();
    let mut expected: Vec<u8> = Vec::new();
    // A fixed sequence that hits the edges of pages from both sides.
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };
    for round in 0..60 {
        let offset = next(expected.len() as u64 + 1);
        let length = [1, 15, 16, 16_383, 16_384, 16_385, 40_000][next(7) as usize];
        let bytes: Vec<u8> = (0..length).map(|_| next(256) as u8).collect();
        let end = offset as usize + bytes.len();
        expected.resize(expected.len().max(end), 0);
        expected[offset as usize..end].copy_from_slice(&bytes);
        let now = call.write("a", offset, &bytes).await.unwrap();
        assert_eq!(now, expected.len() as u64, "round {round}");
        let (from, most) = (next(expected.len() as u64 + 1), next(70_000) as u32);
        let until = expected.len().min(from as usize + most as usize);
        let read = call.read("a", from, most).await.unwrap();
        assert!(read == expected[from as usize..until], "round {round}");
    }
    assert_eq!(call.open("a").await.unwrap(), expected.len() as u64);
    let behind = expected.len() as u64 + 1;
    let refused = [
        call.read("a", behind, 1).await.map(drop),
        call.write("a", behind, b"x").await.map(drop),
        call.read("a", u64::MAX, 1).await.map(drop),
    ];
    assert!(
        refused
            .iter()
            .all(|it| matches!(it, Err(ScratchError::BehindEnd)))
    );
    let absent = [
        call.read("b", 0, 1).await.map(drop),
        call.write("b", 0, b"x").await.map(drop),
    ];
    assert!(
        absent
            .iter()
            .all(|it| matches!(it, Err(ScratchError::NotFound)))
    );
}

#[tokio::test]
async fn neither_content_nor_name_is_on_the_disk_and_nobody_else_may_look() {
    let deployment = Deployment::new().await;
    assert!(
        deployment.call_dirs().is_empty(),
        "nothing before the first file"
    );
    let call = deployment.call();
    call.open("invoice-of-ada").await.unwrap();
    for at in 0..200 {
        let length = CANARY.len() as u64;
        call.write("invoice-of-ada", at * length, CANARY)
            .await
            .unwrap();
    }
    let file = deployment.only_file();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    assert_eq!(mode(&deployment.scratch_dir()), 0o700);
    let mut scanned = 0;
    let mut left = vec![deployment.directory.path().join("data")];
    while let Some(path) = left.pop() {
        let shown = path.display().to_string();
        assert!(!shown.contains("invoice"), "{shown}");
        if path.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for canary in [CANARY, b"invoice-of-ada"] {
            let is_there = bytes.windows(canary.len()).any(|window| window == canary);
            assert!(!is_there, "{shown}");
        }
        scanned += 1;
    }
    assert!(scanned >= 3, "the scratch file, the database and its log");
    assert!(fs::metadata(&file).unwrap().len() > 200 * CANARY.len() as u64);
}

#[tokio::test]
async fn each_limit_is_refused_with_its_name_and_value() {
    let deployment = Deployment::new().await;
    let limits = CallLimits {
        scratch_bytes_max: 100_000,
        scratch_file_bytes_max: 60_000,
        scratch_files_max: 2,
        ..CallLimits::default()
    };
    let call = deployment.call_of(deployment.mine, &limits);
    call.open("a").await.unwrap();
    call.open("b").await.unwrap();
    call.open("a").await.unwrap();
    assert_eq!(limit_of(call.open("c").await), ("scratch_files_max", 2));
    let too_much = vec![1; 60_001];
    let refused = call.write("a", 0, &too_much).await;
    assert_eq!(limit_of(refused), ("scratch_file_bytes_max", 60_000));
    assert_eq!(call.write("a", 0, &too_much[1..]).await.unwrap(), 60_000);
    let refused = call.write("b", 0, &too_much[..40_001]).await;
    assert_eq!(limit_of(refused), ("scratch_bytes_max", 100_000));
    assert_eq!(
        call.write("b", 0, &too_much[..40_000]).await.unwrap(),
        40_000
    );
    // What is written over counts once, and what is removed no more.
    assert_eq!(call.write("a", 0, &too_much[1..]).await.unwrap(), 60_000);
    call.remove("b").await.unwrap();
    call.remove("b").await.unwrap();
    call.open("c").await.unwrap();
    assert_eq!(
        call.write("c", 0, &too_much[..40_000]).await.unwrap(),
        40_000
    );
    let chunk = u64::from(SCRATCH_CHUNK_BYTES_MAX);
    let refused = call.read("a", 0, SCRATCH_CHUNK_BYTES_MAX + 1).await;
    assert_eq!(limit_of(refused), ("SCRATCH_CHUNK_BYTES_MAX", chunk));
    let refused = call
        .write("a", 0, &vec![0; SCRATCH_CHUNK_BYTES_MAX as usize + 1])
        .await;
    assert_eq!(limit_of(refused), ("SCRATCH_CHUNK_BYTES_MAX", chunk));
}

#[tokio::test]
async fn a_workspace_and_the_deployment_hold_only_so_much_and_an_end_gives_it_back() {
    use keyway_model::limit::{
        SCRATCH_TOTAL_BYTES_MAX as TOTAL, SCRATCH_WORKSPACE_BYTES_MAX as OWN,
    };
    let deployment = Deployment::new().await;
    let room = &deployment.store.0.scratch;
    let of = |tenant, environment| Scope {
        tenant: keyway_model::TenantId::from_bits(tenant),
        environment,
    };
    let holding = |tenant, bytes| {
        let mut dir = room.call_dir(of(tenant, Environment::Test)).unwrap();
        dir.hold(bytes).map(|()| dir)
    };
    let mut mine = holding(1, OWN).unwrap();
    let elsewhere = of(1, Environment::Production);
    let refused = room.call_dir(elsewhere).unwrap().hold(1);
    assert_eq!(limit_of(refused), ("SCRATCH_WORKSPACE_BYTES_MAX", OWN));
    mine.free(10);
    room.call_dir(elsewhere).unwrap().hold(10).unwrap();
    mine.hold(10).unwrap();
    // Each leaves as much as it holds: three have all, and the fourth half of the rest.
    let others = [2, 3].map(|tenant| holding(tenant, OWN).unwrap());
    let left = TOTAL - 3 * OWN;
    let refused = holding(4, left / 2 + 1).map(drop);
    assert_eq!(limit_of(refused), ("SCRATCH_TOTAL_BYTES_MAX", TOTAL));
    let fourth = holding(4, left / 2).unwrap();
    holding(5, left / 4).expect("those that come later have something, too");
    drop((mine, others, fourth));
    holding(1, OWN).unwrap();
}

#[tokio::test]
async fn no_call_sees_the_files_of_another() {
    let deployment = Deployment::new().await;
    let first = deployment.call().filled().await;
    let same = deployment.call();
    let other = deployment.call_of(deployment.other, &CallLimits::default());
    for call in [&same, &other] {
        assert!(matches!(
            call.read("rows", 0, 9).await,
            Err(ScratchError::NotFound)
        ));
        let admitted = call.grant.decide_inward(Inward::ScratchList).unwrap();
        assert!(call.scratch.list(&admitted).await.is_empty());
        assert_eq!(call.open("rows").await.unwrap(), 0);
        call.remove("rows").await.unwrap();
    }
    assert_eq!(first.read("rows", 0, 99).await.unwrap(), CANARY);
}

#[tokio::test]
async fn nothing_is_left_when_a_call_ends_or_is_dropped_in_the_middle_of_its_work() {
    let deployment = Deployment::new().await;
    let call = deployment.call().filled().await;
    call.scratch.end().await;
    assert!(deployment.call_dirs().is_empty());
    assert!(matches!(
        call.read("rows", 0, 1).await,
        Err(ScratchError::NotFound)
    ));

    drop(deployment.call().filled().await);
    none_left(&deployment).await;

    let call = deployment.call().filled().await;
    let chunk = vec![7; SCRATCH_CHUNK_BYTES_MAX as usize];
    {
        let work = std::pin::pin!(call.write("rows", 0, &chunk));
        // Polled until the disk works on it, and then given up.
        let given_up = tokio::time::timeout(Duration::from_micros(1), work).await;
        drop(given_up);
    }
    drop(call);
    none_left(&deployment).await;
}

/// Waits for the threads that remove what was dropped.
async fn none_left(deployment: &Deployment) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !deployment.call_dirs().is_empty() {
        assert!(std::time::Instant::now() < deadline, "files are left");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_killed_process_leaves_is_swept_at_the_next_start_and_no_link_is_followed() {
    let deployment = Deployment::new().await;
    let outside = deployment.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "stays").unwrap();
    let scratch = deployment.scratch_dir();
    let left = scratch.join("left");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("0000000000000000"), "sealed").unwrap();
    symlink(&outside, left.join("to-outside")).unwrap();
    symlink(&outside, scratch.join("to-outside")).unwrap();
    symlink("/dev/zero", scratch.join("zero")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        scratch.join("pipe"),
        rustix::fs::Mode::RUSR,
    )
    .unwrap();
    let deployment = deployment.reopened().await;
    assert!(deployment.call_dirs().is_empty());
    assert_eq!(
        fs::read_to_string(outside.join("precious")).unwrap(),
        "stays"
    );
}

#[tokio::test]
async fn a_link_in_the_place_of_the_whole_directory_stops_the_start_and_is_not_followed() {
    let deployment = Deployment::new().await;
    let (outside, data) = (
        deployment.directory.path().join("outside"),
        deployment.options().dir,
    );
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "stays").unwrap();
    let inside = data.join("cache");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("precious"), "stays").unwrap();
    let Deployment {
        directory,
        root,
        clock,
        store,
        ..
    } = deployment;
    drop(store);
    // One leads out, and one, as a relative link may, stays inside.
    for (target, link) in [(&outside, outside.as_path()), (&inside, Path::new("cache"))] {
        let scratch = data.join("scratch");
        drop(fs::remove_file(&scratch));
        drop(fs::remove_dir(&scratch));
        symlink(link, &scratch).unwrap();
        let options = StoreOptions {
            dir: data.clone(),
            clock: clock.clone(),
        };
        let refused = open_when_free(options, &root).await;
        assert!(
            matches!(refused, OpenError::Home(HomeError::Io { .. })),
            "{refused:?}"
        );
        assert!(refused.to_string().contains("scratch"), "{refused}");
        assert_eq!(
            fs::read_to_string(target.join("precious")).unwrap(),
            "stays"
        );
    }
    drop(directory);
}

/// Opens a data directory that the former store may hold for a moment yet.
async fn open_when_free(options: StoreOptions, root: &Arc<dyn RootKeyProvider>) -> OpenError {
    loop {
        match Store::open_with(options.clone(), Arc::clone(root)).await {
            Err(OpenError::Home(HomeError::InUse { .. })) => tokio::task::yield_now().await,
            Err(error) => return error,
            Ok(_) => panic!("it opened"),
        }
    }
}
