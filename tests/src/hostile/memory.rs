//! Rows 2, 9, 19 and 20: what guests take, leave, and must never find.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::arena::Arena;
use super::table::{Guest, ROWS};
use crate::harness::{http, order, split};
use crate::processes::{most_resident_mib, resident_mib};

fn workers_mib(arena: &Arena) -> u64 {
    arena.workers().into_iter().map(resident_mib).sum()
}

#[test]
fn memory_bombs_stay_within_their_limit_and_leave_no_memory_behind() {
    let mut arena = Arena::new();
    let at_rest = arena.workers().into_iter().map(resident_mib).max().unwrap();
    let guests = [
        Guest::Rust("memory"),
        Guest::Text("bulk_loop"),
        Guest::Text("table_bomb"),
    ];
    for guest in guests {
        arena.attempt(guest);
    }
    let before = workers_mib(&arena);
    for _ in 0..5 {
        for guest in guests {
            arena.attempt(guest);
        }
    }
    let after = workers_mib(&arena);
    // What the pool keeps of one slot for the next call, and a little.
    assert!(
        after <= before + 8,
        "{before} MiB before, {after} MiB after"
    );
    // One at a time: `memory_bytes_max`, and a little, whatever a guest asked for.
    let workers = arena.workers().into_iter();
    let most = workers.map(most_resident_mib).max().unwrap();
    assert!(
        most <= at_rest + 64 + 24,
        "{at_rest} MiB before all, {most} MiB at most"
    );
}

#[test]
fn hoards_stay_within_their_budget() {
    let mut arena = Arena::new();
    let before = workers_mib(&arena);
    for guest in ["hoard-bodies", "hoard-fields", "hoard-requests"] {
        arena.attempt(Guest::Rust(guest));
        let after = workers_mib(&arena);
        // Sixteen MiB of bodies, what headers may keep, and the guest's own memory.
        assert!(
            after < before + 64,
            "{guest}: {before} MiB before, {after} MiB after"
        );
    }
}

#[test]
fn nothing_that_a_call_leaves_is_found_by_the_next() {
    let mut arena = Arena::new();
    for _ in 0..8 {
        assert_eq!(arena.attempt(Guest::Rust("leave-canary")).status, 200);
        let found = arena.attempt(Guest::Rust("find-canary")).answer;
        assert_eq!(found["found"], 0, "{found}");
        assert!(found["words"].as_u64().unwrap() > 1_000_000, "{found}");
        for text in ["leftover_table", "leftover_stack"] {
            let found = arena.attempt(Guest::Text(text)).answer;
            assert_eq!(found["found"], 0, "{text}: {found}");
        }
    }
}

/// Which of `needles` are in memory of a process.
fn found(pid: u32, needles: &[Vec<u8>]) -> BTreeSet<usize> {
    let open = |name: &str| std::fs::File::open(format!("/proc/{pid}/{name}")).unwrap();
    let (memory, pages) = (open("mem"), open("pagemap"));
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let finders: Vec<_> = needles.iter().map(memchr::memmem::Finder::new).collect();
    let mut found = BTreeSet::new();
    let mut before = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        for at in (start..end).step_by(PIECE_BYTES) {
            let length = PIECE_BYTES.min((end - at) as usize);
            if !is_in_use(&pages, at, length) {
                before.clear();
                continue;
            }
            let mut piece = vec![0; length];
            let read = memory.read_at(&mut piece, at).unwrap_or(0);
            // What begins at the end of one piece and ends in the next.
            let whole = [&before[before.len().saturating_sub(256)..], &piece[..read]].concat();
            let hit = |finder: &memchr::memmem::Finder<'_>| finder.find(&whole).is_some();
            let hits = finders.iter().enumerate().filter(|(_, it)| hit(it));
            found.extend(hits.map(|(index, _)| index));
            before = whole;
        }
    }
    found
}

/// What guests do while the memory of workers is searched, each of a few things twice.
const LOOKS_MIN: u32 = 8;

const PIECE_BYTES: usize = 1 << 18;
const PAGE_BYTES: usize = 4 << 10;

/// Whether the kernel has any page of a piece: of gigabytes of a pool, most
/// were never touched.
fn is_in_use(pages: &std::fs::File, at: u64, length: usize) -> bool {
    let mut entries = vec![0; length / PAGE_BYTES * 8];
    let offset = at / PAGE_BYTES as u64 * 8;
    let read = pages.read_at(&mut entries, offset).unwrap_or(0);
    let mut entries = entries[..read].chunks_exact(8);
    // The highest two bits: in memory, or swapped out.
    entries.any(|entry| entry[7] >> 6 != 0)
}

#[test]
fn no_key_and_no_credential_is_in_the_memory_of_any_worker() {
    let mut arena = Arena::new();
    let cache_key = arena.cache_key();
    let (address, path) = split(&arena.victim_hook);
    http(address, "POST", &path, Some(&order(1)));
    arena.attempt(Guest::Rust("timeouts"));
    let root_key = std::fs::read(arena.stage.data().join("root.key")).unwrap();
    let text = String::from_utf8_lossy(&root_key).into_owned();
    let words = text.split_whitespace().filter(|word| word.len() >= 32);
    let mut keys: Vec<Vec<u8>> = words.clone().map(|word| word.as_bytes().to_vec()).collect();
    keys.extend(words.filter_map(|word| hex::decode(word).ok()));
    keys.push(root_key);
    // Of what is derived from the root key, and of keys that it wraps, the broker keeps no
    // bytes, but what an HMAC has made of them; of this one it was given the bytes.
    keys.push(cache_key);
    // What it took to get in, and where the victim's events go.
    keys.push(arena.installer().token.into_bytes());
    keys.push(path.rsplit('/').next().unwrap().as_bytes().to_vec());
    let credential = arena.stage.upstream.token.clone().into_bytes();
    keys.push(credential);
    let broker = arena.stage.serve.as_ref().unwrap().pid();
    // That the broker's are found shows that the search works.
    let there = found(broker, &keys);
    assert!(there.contains(&(keys.len() - 1)), "{there:?}");
    // While the victim's calls are made with its credential, and guests look for it.
    let row = ROWS.iter().find(|row| row.number == 20).unwrap();
    let attacks = row.attacks(&mut arena);
    let looks = AtomicU32::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for attack in attacks.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                (attack.once)();
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            let mut number = 2..;
            while !stop.load(Ordering::Relaxed) {
                let order = order(number.next().unwrap());
                let (status, answer) = http(address, "POST", &path, Some(&order));
                assert_eq!(status, 200, "{answer}");
            }
        });
        let workers = arena.workers_now();
        let searched = std::panic::catch_unwind(|| {
            while looks.load(Ordering::Relaxed) < LOOKS_MIN {
                for worker in &workers {
                    assert_eq!(found(*worker, &keys), BTreeSet::new());
                }
            }
        });
        stop.store(true, Ordering::Relaxed);
        searched.unwrap();
    });
    for attack in &attacks {
        (attack.told)();
    }
}
