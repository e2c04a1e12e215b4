//! A worker that was taken over, with nothing but its program made up: the native program of
//! `tests/intruder` is started, handed its lane and locked in as any worker is, says that it is
//! ready, and then makes a system call that no worker makes.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use keyway_gate::{LogicInput, Presence, run_logic};
use keyway_ipc::{CallOutcome, Entrance, Trap};
use keyway_model::limit::Limits;
use tokio::time::timeout;

use super::*;

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The native program, which lies beside the one of this test.
fn intruder() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let built = test.parent().and_then(Path::parent);
    let intruder = built
        .context("no folder of programs")?
        .join("keyway-intruder");
    let place = intruder.display();
    ensure!(
        intruder.exists(),
        "{place} is not built: run `cargo xtask test`"
    );
    Ok(intruder)
}

/// A key that everybody may read, as far as file rights go.
fn key() -> Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let key = folder.path().join("root.key");
    std::fs::write(&key, "a key")?;
    set_permissions(&key, Permissions::from_mode(0o644))?;
    Ok((folder, key))
}

/// How a call of a component ends, whose worker tries what `attempts` names, one after the
/// other, with `key` where they take a path.
async fn call(
    workers: &Workers,
    (tenant, component): (TenantId, Digest),
    attempts: &str,
    key: &Path,
) -> Result<CallOutcome> {
    let lane = timeout(PATIENCE, workers.lane(tenant, component)).await??;
    let input = LogicInput::of(Entrance::Action {
        name: attempts.to_owned(),
        input: key.display().to_string(),
    })?;
    let (limits, presence) = (Limits::default(), Presence::always());
    let (outcome, _) = run_logic(&lane, tenant, component, input, &limits, &presence).await;
    Ok(outcome)
}

#[tokio::test]
async fn a_worker_that_makes_a_forbidden_call_is_told_of_and_another_takes_its_place() -> Result<()>
{
    let (_folder, key) = key()?;
    let plan = WorkerPlan::of(intruder()?);
    let own = Digest::of(b"the host's own");
    let (workers, mut notices) = Workers::start(plan, 1, own).await?;
    let (tenant, component) = (TenantId::random(), Digest::of(b"component"));
    let first = workers.pids();

    // What is answered with an error does not end it, or the last would not be tried; what
    // worked would end it otherwise.
    let gone = CallOutcome::Trap(Trap::WorkerGone);
    let attempts = "open openat statx memfd-create clone prctl-dumpable sendmsg";
    let outcome = call(&workers, (tenant, component), attempts, &key).await?;
    assert_eq!(outcome, gone);
    let notice = timeout(PATIENCE, notices.recv()).await?;
    let components = BTreeSet::from([component]);
    assert_eq!(notice, Some(Notice::Forbidden { components }));

    // Others are served as before, by another.
    let other = workers.lane(tenant, Digest::of(b"another component"));
    let other = timeout(PATIENCE, other).await??;
    assert!(other.is_open());
    let second = workers.pids();
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first, second);

    // In a worker of its own it is the one that did it.
    let outcome = call(&workers, (tenant, component), "openat socket-inet", &key).await?;
    assert_eq!(outcome, gone);
    let notice = timeout(PATIENCE, notices.recv()).await?;
    let notice = notice.context("nobody is told")?;
    assert_eq!(notice.subject(), component.to_string());
    assert!(matches!(notice, Notice::Quarantined { .. }), "{notice:?}");
    assert!(notice.text().contains("(signal 31)"), "{notice:?}");
    let stands = workers.stands(&component);
    assert!(matches!(stands, Err(NoLane::Quarantined(_))), "{stands:?}");
    assert!(other.is_open(), "its neighbours' worker goes on");
    Ok(())
}
