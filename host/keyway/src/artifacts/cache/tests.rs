//! What is kept, what goes, and whose it is, in a directory of its own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

const CODE_BYTES: usize = 1_000;

const ACME: TenantId = TenantId::from_bits(1);
const RIVAL: TenantId = TenantId::from_bits(2);

fn cache(dir: &Path, bytes_max: u64) -> io::Result<Cache> {
    Cache::new(dir.to_owned(), b"a key", "engine".to_owned(), bytes_max)
}

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn has(cache: &Cache, name: &str) -> bool {
    let is_there = cache.path(digest(name), ACME).exists();
    let is_known = cache.files.lock().owner(&digest(name)) == Some(ACME);
    assert_eq!(is_there, is_known, "{name}");
    is_there
}

/// Puts the last use of a file into the past, in seconds.
fn used(cache: &Cache, name: &str, seconds: i64) -> io::Result<()> {
    let at = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: at,
        last_modification: at,
    };
    let flags = rustix::fs::AtFlags::empty();
    rustix::fs::utimensat(CWD, cache.path(digest(name), ACME), &times, flags)?;
    Ok(())
}

#[test]
fn code_on_the_disk_stays_within_its_bytes_and_what_was_used_longest_ago_goes() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let cache = cache(dir.path(), 3_500)?;
    for name in ["a", "b", "c"] {
        cache.keep(digest(name), ACME, &[1; CODE_BYTES])?;
    }
    // What is read was used.
    assert!(matches!(cache.read(digest("a"))?, Cached::Code(_)));
    cache.keep(digest("d"), ACME, &[1; CODE_BYTES])?;
    assert_eq!(cache.read(digest("b"))?, Cached::Nothing);
    for name in ["a", "c", "d"] {
        assert_eq!(
            cache.read(digest(name))?,
            Cached::Code(vec![1; CODE_BYTES]),
            "{name}"
        );
    }
    // What is longer than everything together is kept alone.
    cache.keep(digest("huge"), ACME, &[1; 9_000])?;
    assert_eq!(fs::read_dir(dir.path())?.count(), 1);
    assert!(matches!(cache.read(digest("huge"))?, Cached::Code(_)));
    Ok(())
}

#[test]
fn code_that_workers_have_at_hand_is_not_what_was_used_longest_ago() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let cache = cache(dir.path(), 2_500)?;
    for name in ["a", "b"] {
        cache.keep(digest(name), ACME, &[1; CODE_BYTES])?;
    }
    assert_eq!(cache.note_use(digest("a"), Instant::now()), None);
    cache.keep(digest("c"), ACME, &[1; CODE_BYTES])?;
    assert!(has(&cache, "a") && !has(&cache, "b") && has(&cache, "c"));
    Ok(())
}

#[test]
fn a_start_finds_what_was_used_last_as_it_was_noted_once_in_a_while() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let before = cache(dir.path(), 2_500)?;
    for (name, at) in [("a", 10), ("b", 20)] {
        before.keep(digest(name), ACME, &[1; CODE_BYTES])?;
        used(&before, name, at)?;
    }
    let later = Instant::now() + NOTE_EVERY;
    let noted = before.note_use(digest("a"), later);
    note_on_disk(&noted.ok_or_else(|| io::Error::other("is to be noted"))?);
    // Again when as much time has passed.
    assert_eq!(before.note_use(digest("a"), later), None);
    drop(before);
    let after = cache(dir.path(), 2_500)?;
    after.keep(digest("c"), ACME, &[1; CODE_BYTES])?;
    assert!(has(&after, "a") && !has(&after, "b") && has(&after, "c"));
    Ok(())
}

#[test]
fn one_that_has_many_components_compiled_takes_the_place_of_its_own_even_after_a_start()
-> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let before = cache(dir.path(), 5_500)?;
    before.keep(digest("a"), ACME, &[1; CODE_BYTES])?;
    let flood = |cache: &Cache, from: usize| {
        (from..from + 20).try_for_each(|number| {
            cache.keep(digest(&format!("rival {number}")), RIVAL, &[1; CODE_BYTES])
        })
    };
    flood(&before, 0)?;
    assert!(has(&before, "a"));
    drop(before);
    let after = cache(dir.path(), 5_500)?;
    flood(&after, 20)?;
    assert!(has(&after, "a"));
    assert_eq!(fs::read_dir(dir.path())?.count(), 5);
    // What another has compiled again is still the one's who had it first.
    after.keep(digest("a"), RIVAL, &[2; CODE_BYTES])?;
    assert!(has(&after, "a"));
    assert_eq!(
        after.read(digest("a"))?,
        Cached::Code(vec![2; CODE_BYTES]),
        "it is the newer one"
    );
    Ok(())
}

#[test]
fn a_start_deletes_what_is_no_code_of_this_engine_and_what_has_no_room() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let before = cache(dir.path(), 10_000)?;
    for (name, at) in [("a", 10), ("b", 20)] {
        before.keep(digest(name), ACME, &[1; CODE_BYTES])?;
        used(&before, name, at)?;
    }
    let other = Cache::new(dir.path().to_owned(), b"a key", "older".to_owned(), 10_000)?;
    assert_eq!(fs::read_dir(dir.path())?.count(), 0, "of another engine");
    other.keep(digest("c"), ACME, b"code")?;
    for (name, at) in [("a", 10), ("b", 20)] {
        before.keep(digest(name), ACME, &[1; CODE_BYTES])?;
        used(&before, name, at)?;
    }
    fs::write(dir.path().join("unfinished.new"), b"half")?;
    fs::create_dir(dir.path().join("not ours"))?;
    let after = cache(dir.path(), 1_500)?;
    assert!(!has(&after, "a") && has(&after, "b"));
    assert_eq!(fs::read_dir(dir.path())?.count(), 2, "and what is no file");
    Ok(())
}

#[test]
fn code_that_somebody_else_put_there_is_foreign_and_is_deleted() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let first = cache(dir.path(), u64::MAX)?;
    assert_eq!(first.read(digest("a"))?, Cached::Nothing);
    first.keep(digest("a"), ACME, b"code")?;
    let ours = fs::read(first.path(digest("a"), ACME))?;
    // That of another component, one byte more, and less than a MAC.
    let longer = [ours.as_slice(), b"!"].concat();
    for (name, foreign) in [("b", ours.as_slice()), ("a", &longer), ("a", b"short")] {
        fs::write(first.path(digest(name), ACME), foreign)?;
        let cache = cache(dir.path(), u64::MAX)?;
        assert_eq!(cache.read(digest(name))?, Cached::Foreign, "{name}");
        assert_eq!(cache.read(digest(name))?, Cached::Nothing, "{name}");
    }
    Ok(())
}

#[test]
fn code_for_which_another_is_named_is_still_only_what_its_mac_says() -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let before = cache(dir.path(), u64::MAX)?;
    before.keep(digest("a"), ACME, b"code")?;
    let renamed = before.path(digest("b"), RIVAL);
    fs::rename(before.path(digest("a"), ACME), renamed)?;
    // What is gone without our doing is not missed.
    assert_eq!(before.read(digest("a"))?, Cached::Nothing);
    let after = cache(dir.path(), u64::MAX)?;
    assert_eq!(after.read(digest("b"))?, Cached::Foreign);
    Ok(())
}

/// Limits are a whole process's, so it is one of its own that has no descriptor.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test tells itself that it is the child"
)]
fn a_file_that_no_descriptor_is_left_for_is_read_when_there_is_one() -> io::Result<()> {
    const IS_CHILD: &str = "KEYWAY_TEST_WITHOUT_DESCRIPTORS";
    const NAME: &str = "a_file_that_no_descriptor_is_left_for_is_read_when_there_is_one";
    if std::env::var_os(IS_CHILD).is_none() {
        let (_, module) = module_path!().split_once("::").unwrap_or_default();
        let output = std::process::Command::new(std::env::current_exe()?)
            .args(["--exact", &format!("{module}::{NAME}")])
            .env(IS_CHILD, "1")
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let cache = cache(dir.path(), u64::MAX)?;
    cache.keep(digest("a"), ACME, &[1; CODE_BYTES])?;
    let enough = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(0),
        ..enough
    };
    setrlimit(Resource::Nofile, none)?;
    let said = cache.read(digest("a"));
    setrlimit(Resource::Nofile, enough)?;
    let errno = said.map_err(|error| error.raw_os_error());
    assert_eq!(errno, Err(Some(rustix::io::Errno::MFILE.raw_os_error())));
    assert!(has(&cache, "a"));
    assert_eq!(cache.read(digest("a"))?, Cached::Code(vec![1; CODE_BYTES]));
    // What is gone, or is no file, is compiled again.
    fs::remove_file(cache.path(digest("a"), ACME))?;
    fs::create_dir(cache.path(digest("a"), ACME))?;
    assert_eq!(cache.read(digest("a"))?, Cached::Nothing);
    assert!(!cache.has(digest("a")));
    Ok(())
}
