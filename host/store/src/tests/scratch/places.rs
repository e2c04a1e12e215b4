//! Whoever else writes to the directory of scratch files: what is planted,
//! changed, moved or flipped there.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Puts something in the place of the file `victim`.
type Plant = fn(victim: &Path, outside: &Path);

/// Everything that can stand where a file was, and is not that file.
const PLANTS: [(&str, Plant); 10] = [
    ("nothing", |victim, _| fs::remove_file(victim).unwrap()),
    ("a link to a file", |victim, outside| {
        fs::remove_file(victim).unwrap();
        symlink(outside, victim).unwrap();
    }),
    ("a link to a directory", |victim, outside| {
        fs::remove_file(victim).unwrap();
        symlink(outside.parent().unwrap(), victim).unwrap();
    }),
    ("a link to a device", |victim, _| {
        fs::remove_file(victim).unwrap();
        symlink("/dev/zero", victim).unwrap();
    }),
    ("a link to itself, by another name", |victim, _| {
        let moved = victim.with_extension("moved");
        fs::rename(victim, &moved).unwrap();
        symlink(moved.file_name().unwrap(), victim).unwrap();
    }),
    ("another name of a file outside", |victim, outside| {
        fs::remove_file(victim).unwrap();
        fs::hard_link(outside, victim).unwrap();
    }),
    ("itself, with another name outside", |victim, outside| {
        fs::hard_link(victim, outside.with_extension("stolen")).unwrap();
    }),
    ("a pipe", |victim, _| {
        fs::remove_file(victim).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, victim, rustix::fs::Mode::RWXU).unwrap();
    }),
    ("a directory", |victim, _| {
        fs::remove_file(victim).unwrap();
        fs::create_dir(victim).unwrap();
    }),
    ("a copy", |victim, outside| {
        let copy = outside.with_extension("copy");
        fs::copy(victim, &copy).unwrap();
        fs::rename(copy, victim).unwrap();
    }),
];

#[tokio::test]
async fn whatever_stands_in_the_place_of_a_file_is_neither_read_nor_written() {
    for (what, plant) in PLANTS {
        let deployment = Deployment::new().await;
        let outside = deployment.outside();
        let call = deployment.call().filled().await;
        plant(&deployment.only_file(), &outside);
        let read = call.read("rows", 0, 99).await;
        assert!(
            matches!(read, Err(ScratchError::Tampered)),
            "{what}: {read:?}"
        );
        let written = call.write("rows", 0, b"overwritten").await;
        assert!(
            matches!(written, Err(ScratchError::Tampered)),
            "{what}: {written:?}"
        );
        assert_eq!(fs::read_to_string(&outside).unwrap(), ROOT_KEY, "{what}");
        call.scratch.end().await;
        assert!(deployment.call_dirs().is_empty(), "{what}");
        assert_eq!(fs::read_to_string(&outside).unwrap(), ROOT_KEY, "{what}");
    }
}

/// Changes the bytes of a file in place.
type Spoil = fn(&mut Vec<u8>);

const SPOILS: [(&str, Spoil); 4] = [
    ("a flipped bit", |bytes| bytes[3] ^= 1),
    ("a cut", |bytes| bytes.truncate(bytes.len() - 1)),
    ("emptiness", Vec::clear),
    ("other bytes", |bytes| bytes.fill(0)),
];

#[tokio::test]
async fn a_page_that_was_changed_moved_or_taken_from_an_older_state_does_not_open() {
    let deployment = Deployment::new().await;
    for (what, spoil) in SPOILS {
        let call = deployment.call().filled().await;
        let file = deployment.only_file();
        let mut bytes = fs::read(&file).unwrap();
        spoil(&mut bytes);
        fs::write(&file, bytes).unwrap();
        let read = call.read("rows", 0, 99).await;
        assert!(
            matches!(read, Err(ScratchError::Tampered)),
            "{what}: {read:?}"
        );
        call.scratch.end().await;
    }
    let call = deployment.call().filled().await;
    let file = deployment.only_file();
    let older = fs::read(&file).unwrap();
    call.write("rows", 0, b"THE").await.unwrap();
    let newer = fs::read(&file).unwrap();
    fs::write(&file, &older).unwrap();
    assert!(matches!(
        call.read("rows", 0, 9).await,
        Err(ScratchError::Tampered)
    ));
    fs::write(&file, &newer).unwrap();
    assert_eq!(call.read("rows", 0, 3).await.unwrap(), b"THE");
    call.open("others").await.unwrap();
    call.write("others", 0, CANARY).await.unwrap();
    fs::write(file.with_file_name(format!("{:016x}", 1)), &newer).unwrap();
    assert!(matches!(
        call.read("others", 0, 9).await,
        Err(ScratchError::Tampered)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_flips_into_a_link_and_back_never_shows_or_changes_what_is_outside() {
    const ROUNDS: usize = 3_000;
    let deployment = Deployment::new().await;
    let outside = deployment.outside();
    let call = deployment.call().filled().await;
    let victim = deployment.only_file();
    let aside = victim.with_extension("aside");
    let link = deployment.directory.path().join("link");
    symlink(&outside, &link).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let flips = std::thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            let mut flips = 0;
            let turn = || {
                fs::rename(&victim, &aside)?;
                fs::rename(&link, &victim)?;
                fs::rename(&victim, &link)?;
                fs::rename(&aside, &victim)
            };
            // Until the end of the call takes one of the names away.
            while !is_over.load(Ordering::Relaxed) && turn().is_ok() {
                flips += 1;
            }
            flips
        }
    });
    let (mut right, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        match call.read("rows", 0, 99).await {
            Ok(bytes) => {
                assert_eq!(bytes, CANARY);
                right += 1;
            }
            Err(ScratchError::Tampered) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        if round % 16 == 0 {
            match call.write("rows", 0, CANARY).await {
                Ok(_) | Err(ScratchError::Tampered) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    call.scratch.end().await;
    is_over.store(true, Ordering::Relaxed);
    let flips = flips.join().unwrap();
    assert_eq!(right + refused, ROUNDS);
    assert!(
        flips > 10,
        "{flips} flips, {right} right, {refused} refused"
    );
    assert_eq!(fs::read_to_string(&outside).unwrap(), ROOT_KEY);
    // What was not removed while it flipped is removed with the next call.
    deployment.call().filled().await.scratch.end().await;
    assert!(deployment.call_dirs().is_empty());
}

#[tokio::test]
async fn a_directory_that_was_moved_away_is_still_the_calls_own_and_is_emptied() {
    let deployment = Deployment::new().await;
    let outside = deployment.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("0000000000000000"), ROOT_KEY).unwrap();
    let call = deployment.call().filled().await;
    let (place, moved) = (
        deployment.call_dirs().remove(0),
        outside.with_extension("moved"),
    );
    fs::rename(&place, &moved).unwrap();
    symlink(&outside, &place).unwrap();
    assert_eq!(call.read("rows", 0, 99).await.unwrap(), CANARY);
    call.write("rows", 0, b"THE").await.unwrap();
    call.scratch.end().await;
    assert_eq!(fs::read_dir(&moved).unwrap().count(), 0);
    let kept = fs::read_to_string(outside.join("0000000000000000")).unwrap();
    assert_eq!(kept, ROOT_KEY);
}

#[tokio::test]
async fn what_could_not_be_removed_is_removed_when_the_next_call_begins() {
    let deployment = Deployment::new().await;
    let call = deployment.call().filled().await;
    let dir = deployment.call_dirs().remove(0);
    // A mount point, for one, cannot be removed; here it is a directory that is not empty for good.
    let is_over = Arc::new(AtomicBool::new(false));
    let refill = std::thread::spawn({
        let (dir, is_over) = (dir.clone(), Arc::clone(&is_over));
        move || {
            let mut number = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                drop(fs::write(dir.join(number.to_string()), "more"));
            }
        }
    });
    call.scratch.end().await;
    is_over.store(true, Ordering::Relaxed);
    refill.join().unwrap();
    let next = deployment.call().filled().await;
    assert!(!dir.exists());
    next.scratch.end().await;
    assert!(deployment.call_dirs().is_empty());
}
