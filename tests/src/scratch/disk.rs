//! Where scratch files lie: what is left of them there, and what happens when
//! somebody else plays with the directory.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::{Bench, CANARY, file_in, filled_and};

#[test]
fn nothing_of_a_file_is_readable_in_the_data_directory_while_the_call_runs_or_after_it() {
    let bench = Bench::new("");
    let reply = bench.begin(&filled_and(&[
        json!({ "do": "wait" }),
        json!({ "do": "read", "name": "rows", "length": 99 }),
    ]));
    let waiting = bench.waits();
    assert_eq!(bench.dirs().len(), 1);
    // The file is there: sealed, it is longer by one tag than what was written.
    let sealed = std::fs::read(file_in(&bench.dirs()[0])).unwrap();
    assert_eq!(sealed.len(), CANARY.len() + 16);
    let mut left = vec![bench.stage.data()];
    while let Some(path) = left.pop() {
        assert!(
            !path.display().to_string().contains("rows"),
            "{}",
            path.display()
        );
        match std::fs::read_dir(&path) {
            Ok(entries) => left.extend(entries.map(|entry| entry.unwrap().path())),
            Err(_) => {
                let bytes = std::fs::read(&path).unwrap_or_default();
                let found = memchr::memmem::find(&bytes, CANARY.as_bytes());
                assert_eq!(found, None, "{}", path.display());
            }
        }
    }
    waiting.release();
    assert!(reply.join().unwrap().contains(CANARY));
    assert!(bench.dirs().is_empty());
}

#[test]
fn files_are_gone_however_a_call_ends() {
    let bench = Bench::new("cpu_ms_max = 200\nwall_ms_max = 3000\n");
    for end in ["trap", "spin"] {
        let (status, reply) = bench.stage.post(
            &bench.hook,
            &json!({ "steps": filled_and(&[json!({ "do": end })]) }),
        );
        assert_ne!(status, 200, "{end}: {reply}");
        assert!(bench.dirs().is_empty(), "{end}");
    }
    // Over its time while it waits for an upstream that says nothing.
    let reply = bench.begin(&filled_and(&[json!({ "do": "wait" })]));
    let waiting = bench.waits();
    assert_eq!(bench.dirs().len(), 1);
    drop(reply.join().unwrap());
    bench.no_dirs();
    drop(waiting);
}

#[test]
fn files_of_a_call_whose_worker_was_killed_are_gone_when_the_call_is_made_again() {
    let bench = Bench::new("");
    let reply = bench.begin(&filled_and(&[
        json!({ "do": "wait" }),
        json!({ "do": "list" }),
    ]));
    let first = bench.waits();
    let before = bench.dirs();
    assert_eq!(before.len(), 1);
    for worker in bench.stage.ready["workers"].as_array().unwrap() {
        let pid = rustix::process::Pid::from_raw(worker.as_i64().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    let second = bench.waits();
    bench.stage.until("the end of the first call's files", |_| {
        (bench.dirs().len() == 1).then_some(())
    });
    assert_ne!(bench.dirs(), before);
    second.release();
    drop(first);
    let reply = reply.join().unwrap();
    assert!(reply.contains(&format!("{}", CANARY.len())), "{reply}");
    bench.no_dirs();
}

#[test]
fn files_of_a_broker_that_was_killed_are_swept_when_it_starts_again() {
    let mut bench = Bench::new("");
    let reply = bench.begin(&filled_and(&[json!({ "do": "wait" })]));
    let waiting = bench.waits();
    let left = bench.dirs();
    assert_eq!(left.len(), 1);
    bench.stage.serve.as_mut().unwrap().kill();
    drop(waiting);
    drop(reply.join());
    assert_eq!(
        bench.dirs(),
        left,
        "a process that is killed removes nothing"
    );
    bench.stage.start();
    assert!(!left[0].exists());
    // The job goes on: it makes its call again, with files of its own.
    bench.waits().release();
    bench.no_dirs();
}

/// Puts something in the place of a call's file; the third path is the root key.
type Plant = fn(victim: &Path, outside: &Path, root_key: &Path);

const PLANTS: [(&str, Plant); 5] = [
    ("a link to the root key", |victim, _, root_key| {
        std::fs::remove_file(victim).unwrap();
        symlink(root_key, victim).unwrap();
    }),
    ("a relative link to the root key", |victim, _, _| {
        std::fs::remove_file(victim).unwrap();
        symlink("../../root.key", victim).unwrap();
    }),
    ("another name of the root key", |victim, _, root_key| {
        std::fs::remove_file(victim).unwrap();
        std::fs::hard_link(root_key, victim).unwrap();
    }),
    ("a link to a directory outside", |victim, outside, _| {
        std::fs::remove_file(victim).unwrap();
        symlink(outside, victim).unwrap();
    }),
    ("a pipe", |victim, _, _| {
        std::fs::remove_file(victim).unwrap();
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mkfifoat(rustix::fs::CWD, victim, mode).unwrap();
    }),
];

#[test]
fn what_is_planted_in_the_place_of_a_file_ends_the_call_and_gives_it_nothing() {
    let bench = Bench::new("");
    let (outside, root_key) = (bench.stage.dir.path(), bench.stage.data().join("root.key"));
    let before = bench.root_key();
    for (what, plant) in PLANTS {
        for then in ["read", "write"] {
            let step = json!({ "do": then, "name": "rows", "length": 99, "text": "overwritten" });
            let reply = bench.begin(&filled_and(&[json!({ "do": "wait" }), step]));
            let waiting = bench.waits();
            plant(&file_in(&bench.dirs()[0]), outside, &root_key);
            waiting.release();
            let reply = reply.join().unwrap();
            assert!(reply.starts_with("502"), "{what}, {then}: {reply}");
            let job = bench.stage.last_job();
            let failure = job["failure"].as_str().unwrap();
            assert!(
                failure.contains("by somebody else"),
                "{what}, {then}: {job}"
            );
            assert_eq!(bench.root_key(), before, "{what}, {then}");
            assert!(bench.dirs().is_empty(), "{what}, {then}");
        }
    }
    let spoiled = bench.stage.audit().into_iter().filter(|line| {
        let ended = line["record"]["ended"].as_str().unwrap_or("");
        line["kind"] == "tally" && ended.contains("changed by somebody else")
    });
    assert_eq!(spoiled.count(), PLANTS.len() * 2);
}

#[test]
fn a_file_that_flips_into_a_link_to_the_root_key_gives_a_guest_its_own_bytes_or_nothing() {
    const CALLS: usize = 4;
    let bench = Bench::new("");
    let before = bench.root_key();
    for call in 0..CALLS {
        let link = bench.stage.dir.path().join(format!("link{call}"));
        symlink(bench.stage.data().join("root.key"), &link).unwrap();
        let reply = bench.begin(&filled_and(&[
            json!({ "do": "wait" }),
            json!({ "do": "read", "name": "rows", "length": 99, "times": 100 }),
        ]));
        let waiting = bench.waits();
        let victim = file_in(&bench.dirs()[0]);
        let is_over = Arc::new(AtomicBool::new(false));
        let flips = std::thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || flip(&victim, &link, &is_over)
        });
        waiting.release();
        let reply = reply.join().unwrap();
        is_over.store(true, Ordering::Relaxed);
        flips.join().unwrap();
        assert!(
            reply.contains(CANARY) || reply.starts_with("502"),
            "{reply}"
        );
        assert_eq!(bench.root_key(), before);
        // What was not removed while it flipped is removed with the next call.
        bench.call(&json!([{ "do": "open", "name": "next" }]));
        assert!(bench.dirs().is_empty());
    }
}

/// Renames file and link in turn to `victim`, until the call is over: then one
/// of them cannot be found any more.
fn flip(victim: &Path, link: &Path, is_over: &AtomicBool) {
    let aside = victim.with_extension("aside");
    while !is_over.load(Ordering::Relaxed) {
        let turn = std::fs::rename(victim, &aside)
            .and_then(|()| std::fs::rename(link, victim))
            .and_then(|()| std::fs::rename(victim, link))
            .and_then(|()| std::fs::rename(&aside, victim));
        if turn.is_err() {
            break;
        }
    }
}
