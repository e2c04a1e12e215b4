//! A program in the compiler's place that says what it likes.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use keyway_model::limit::{EXPORTS_MAX, IMPORTS_MAX};
use keyway_runtime::CompileLimits;

use super::*;

const ACME: TenantId = TenantId::from_bits(1);

/// Artifacts whose compiler is a script, in a directory that must stay.
pub(super) fn under(dir: &Path, script: &str, wall_seconds: u64) -> Artifacts {
    let program = dir.join("compiler");
    let mut options = fs::OpenOptions::new();
    options.create_new(true).write(true).mode(0o700);
    let file = options.open(&program).unwrap();
    std::io::Write::write_all(&mut &file, format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    drop(file);
    let confined = Confined {
        program,
        user: None,
        compile: CompileLimits::default(),
        compile_wall_seconds_max: wall_seconds,
        is_weaker: false,
    };
    let keeping = Keeping {
        dir: dir.join("cache"),
        key: b"a key".to_vec(),
        cached_bytes_max: u64::MAX,
        room: Room::default(),
    };
    Artifacts::new(confined, keeping).unwrap().0
}

/// What comes of an install whose compiler is this script.
async fn install(dir: &Path, script: &str) -> Result<Compiled, CompileError> {
    let artifacts = under(dir, script, 60);
    let install = artifacts.begin_install(ACME).unwrap();
    compile(&artifacts, &install).await
}

async fn compile(artifacts: &Artifacts, install: &Install) -> Result<Compiled, CompileError> {
    let component = b"a component";
    let digest = Digest::of(component);
    artifacts
        .compile(install, digest, component, &Presence::always())
        .await
}

/// What comes of it where the compiler answers with these bytes.
async fn answered(answer: &[u8]) -> Result<Compiled, CompileError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answer");
    fs::write(&file, answer).unwrap();
    install(dir.path(), &format!("exec /bin/cat {}", file.display())).await
}

pub(super) fn compiled(imports: usize, exports: usize) -> Vec<u8> {
    let names = |count| vec!["a:b/c@0.2.0".to_owned(); count];
    let answer: Result<Compiled, String> = Ok(Compiled {
        code: b"code".to_vec(),
        imports: names(imports),
        exports: names(exports),
    });
    postcard::to_stdvec(&answer).unwrap()
}

/// Kibibytes of memory that this process has had at most.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.split_whitespace().next());
    peak.unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_a_compiler_says_is_taken_within_its_bounds() {
    let taken = answered(&compiled(IMPORTS_MAX, EXPORTS_MAX)).await.unwrap();
    assert_eq!(taken.code, b"code");
    for (imports, exports) in [(IMPORTS_MAX + 1, 0), (0, EXPORTS_MAX + 1)] {
        let refused = answered(&compiled(imports, exports)).await;
        assert!(
            matches!(refused, Err(CompileError::Nonsense)),
            "{refused:?}"
        );
    }
    let refused: Result<Compiled, String> = Err("\u{1b}[2J no".repeat(1_000_000));
    let refused = answered(&postcard::to_stdvec(&refused).unwrap()).await;
    let said = refused.map(drop).unwrap_err().to_string();
    assert!(said.len() < 8_000 && !said.contains('\u{1b}'), "{said}");
}

#[tokio::test]
async fn millions_of_names_cost_the_broker_no_more_than_their_bytes() {
    const NAMES: usize = 64 << 20;
    // `Ok`, no code, and so many empty names: a byte each, and 24 as a `String`.
    let mut answer = vec![0, 0];
    answer.extend(postcard::to_stdvec(&NAMES).unwrap());
    answer.resize(answer.len() + NAMES, 0);
    let before = peak_kib();
    let refused = answered(&answer).await;
    assert!(
        matches!(refused, Err(CompileError::Nonsense)),
        "{refused:?}"
    );
    let more = peak_kib() - before;
    assert!(more < 1 << 20, "{more} KiB");
}

#[tokio::test]
async fn a_compiler_that_answers_for_ever_or_never_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let refused = install(dir.path(), "exec /bin/cat /dev/zero").await;
    assert!(matches!(refused, Err(CompileError::TooLong)), "{refused:?}");

    let dir = tempfile::tempdir().unwrap();
    let artifacts = under(dir.path(), "exec /bin/sleep 600", 1);
    let begun = artifacts.begin_install(ACME).unwrap();
    let refused = compile(&artifacts, &begun).await;
    assert!(
        matches!(refused, Err(CompileError::WallTime(1))),
        "{refused:?}"
    );
    // And the next has its turn.
    let said = compile(&artifacts, &begun).await;
    assert!(matches!(said, Err(CompileError::WallTime(1))), "{said:?}");
}

#[tokio::test]
async fn a_compiler_that_ends_without_an_answer_is_told_apart_by_its_end() {
    for (script, expected) in [
        ("kill -XCPU $$", "compile_cpu_seconds_max = 20"),
        ("kill -ABRT $$", "compile_memory_bytes_max = 1073741824"),
        ("kill -SEGV $$", "made to break it"),
        ("exit 0", "made to break it"),
        ("exit 3", "made to break it"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let said = install(dir.path(), script).await.map(drop).unwrap_err();
        assert!(said.to_string().contains(expected), "{script}: {said}");
    }
}

/// A compiler that never answers: its script, and the file that it writes its
/// number to.
fn sleeper(dir: &Path) -> (String, PathBuf) {
    let (pid, begun) = (dir.join("pid"), dir.join("begun"));
    let (pid, path) = (pid.display(), begun.display());
    let script = format!("echo $$ > {pid}\nmv {pid} {path}\nexec sleep 600");
    (script, begun)
}

async fn until(begun: &Path) {
    while !begun.exists() {
        tokio::task::yield_now().await;
    }
}

fn has_ended(begun: &Path) {
    let process = fs::read_to_string(begun).unwrap();
    let process = Path::new("/proc").join(process.trim());
    assert!(!process.exists(), "{} runs still", process.display());
}

#[tokio::test]
async fn a_compiler_has_ended_when_nobody_waits_for_it_any_more_and_its_turn_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let (script, begun) = sleeper(dir.path());
    let artifacts = under(dir.path(), &script, 600);
    let install = artifacts.begin_install(ACME).unwrap();
    let (waiting, presence) = Presence::of_a_caller();
    let digest = Digest::of(b"a component");
    let compiling = artifacts.compile(&install, digest, b"a component", &presence);
    let departs = async {
        until(&begun).await;
        drop(waiting);
    };
    let (compiled, ()) = tokio::join!(compiling, departs);
    assert!(matches!(compiled, Err(CompileError::Cancelled)));
    has_ended(&begun);
    // Nobody holds the turn.
    let _turn = artifacts.turns.turn(ACME).await;
}

#[tokio::test]
async fn the_turn_of_a_call_that_nobody_waits_for_lasts_until_its_compiler_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (script, begun) = sleeper(dir.path());
    let artifacts = under(dir.path(), &script, 600);
    let component = async || Ok(b"a component".to_vec());
    tokio::select! {
        _ = artifacts.code(ACME, Digest::of(b"a component"), component) => unreachable!(),
        () = until(&begun) => {}
    }
    let _turn = artifacts.turns.turn(ACME).await;
    has_ended(&begun);
}
