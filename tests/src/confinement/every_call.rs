//! Every system call by its number, in a worker's place: what
//! `docs/confinement.md` does not list ends the process, and so does what is
//! listed for certain arguments only, for any other.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::{documented, intruder};

/// The listed calls with their numbers on this processor, which never change.
#[rustfmt::skip]
const NUMBERS: [(&str, u32); 53] = [
    ("read", 0), ("write", 1), ("open", 2), ("close", 3), ("fstat", 5), ("mmap", 9),
    ("mprotect", 10), ("munmap", 11), ("brk", 12), ("rt_sigaction", 13),
    ("rt_sigprocmask", 14), ("rt_sigreturn", 15), ("ioctl", 16), ("writev", 20),
    ("access", 21), ("sched_yield", 24), ("mremap", 25), ("madvise", 28),
    ("nanosleep", 35), ("getpid", 39), ("recvmsg", 47), ("clone", 56), ("exit", 60),
    ("fcntl", 72), ("getcwd", 79), ("readlink", 89), ("gettimeofday", 96),
    ("sigaltstack", 131), ("prctl", 157), ("gettid", 186), ("time", 201), ("futex", 202),
    ("sched_getaffinity", 204), ("restart_syscall", 219), ("clock_gettime", 228),
    ("clock_nanosleep", 230), ("exit_group", 231), ("epoll_wait", 232), ("epoll_ctl", 233),
    ("tgkill", 234), ("openat", 257), ("newfstatat", 262), ("readlinkat", 267),
    ("faccessat", 269), ("getcpu", 309), ("getrandom", 318), ("memfd_create", 319),
    ("membarrier", 324), ("statx", 332), ("rseq", 334), ("clone3", 435),
    ("faccessat2", 439), ("process_madvise", 440),
];

/// Past the last number that any kernel has.
const BEYOND: u32 = 600;

/// Two that the kernel takes past every filter, on purpose, and that do nothing
/// where no other process has set a probe: `uretprobe` (Linux 6.14) ends the
/// process, `uprobe` (6.18) has no such address.
const PAST_EVERY_FILTER: [(u32, &str); 2] =
    [(335, "335 ended: status 4\n"), (336, "336 errno 6\n")];

/// The mark of numbers of 32-bit programs in 64-bit processes (x32).
const X32: u32 = 0x4000_0000;

fn number(name: &str) -> u32 {
    NUMBERS.iter().find(|(known, _)| *known == name).unwrap().1
}

/// The native program, with calls to try.
fn sweep(calls: &[String]) -> Command {
    let mut sweep = Command::new(intruder());
    sweep.arg("sweep").args(calls);
    sweep.env_clear().stdin(Stdio::null());
    sweep
}

/// What a process in a worker's place says of each call that does not end it.
fn survived(calls: &[String]) -> String {
    let output = sweep(calls).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A call with its first arguments, as the native program takes it.
fn call(name: &str, arguments: &[i64]) -> String {
    let words = arguments.iter().map(|argument| format!(",{argument}"));
    format!("{}{}", number(name), words.collect::<String>())
}

#[test]
fn every_system_call_that_is_not_listed_ends_the_process() {
    let mut listed = documented("allowed");
    listed.extend(documented("refused"));
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    let named: BTreeSet<&str> = NUMBERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, named);
    let open: BTreeSet<u32> = NUMBERS.iter().map(|(_, number)| *number).collect();
    assert_eq!(open.len(), NUMBERS.len());

    let past = PAST_EVERY_FILTER.map(|(number, _)| number);
    let is_forbidden = |number: &u32| !open.contains(number) && !past.contains(number);
    let forbidden = (0..BEYOND).filter(is_forbidden);
    let of_32_bits = (0..BEYOND).map(|number| X32 | number);
    let odd = [0x7fff_ffff, 0x8000_0000, u32::MAX];
    let all: Vec<String> = forbidden
        .chain(of_32_bits)
        .chain(odd)
        .map(|number| number.to_string())
        .collect();
    assert!(all.len() > 1_100, "{}", all.len());
    assert_eq!(survived(&all), "");
    for (number, told) in PAST_EVERY_FILTER {
        let said = survived(&[number.to_string()]);
        assert!(said.is_empty() || said == told, "{said}");
    }
    // One that is listed is told of.
    assert_eq!(survived(&["39".to_owned()]), "39 worked\n");
}

/// All numbers of a range but some.
fn all_but(range: std::ops::RangeInclusive<i64>, allowed: &[i64]) -> Vec<i64> {
    range.filter(|number| !allowed.contains(number)).collect()
}

#[test]
fn what_is_listed_for_certain_arguments_ends_the_process_with_any_other() {
    const CLOEXEC: i64 = 0x4000_0000;
    const SCAN: i64 = 0xC060_6610;
    const OWN: i64 = -10_000;
    const ANONYMOUS: i64 = 0x22;
    const FILE: i64 = 2;
    let bits = || (0..32).map(|bit| 1_i64 << bit);
    let mut calls = Vec::new();
    // Out of band (1), to peek, errors, to wait for all: alone and beside the one flag.
    calls.push(call("recvmsg", &[-1, 0, 0]));
    for flag in bits().filter(|flag| *flag != CLOEXEC) {
        calls.push(call("recvmsg", &[-1, 0, flag]));
        calls.push(call("recvmsg", &[-1, 0, CLOEXEC | flag]));
    }
    for request in [SCAN - 1, SCAN + 1, 0, 0x5401, 0x5412, 0x541B, 0x8933] {
        calls.push(call("ioctl", &[0, request, 0]));
    }
    // Other processes, by a descriptor of theirs or as a group; other advice; with flags.
    for process in (-1..64).chain([OWN - 1, OWN + 1]) {
        calls.push(call("process_madvise", &[process, 0, 0, 4, 0]));
    }
    for advice in all_but(0..=110, &[4]) {
        calls.push(call("process_madvise", &[OWN, 0, 0, advice, 0]));
    }
    for flag in [1, 1 << 31, 1 << 32] {
        calls.push(call("process_madvise", &[OWN, 0, 0, 4, flag]));
    }
    for advice in all_but(0..=110, &[4, 8, 14, 15]) {
        calls.push(call("madvise", &[0, 0, advice]));
    }
    // To run what is written, what is nobody's file, or with a bit that no list knows.
    for protection in 4..=7 {
        calls.push(call("mmap", &[0, 4_096, protection, ANONYMOUS, -1, 0]));
        calls.push(call("mprotect", &[0, 4_096, protection]));
    }
    for protection in [4, 6, 7] {
        calls.push(call("mmap", &[0, 4_096, protection, FILE, 0, 0]));
    }
    for bit in (2..63).map(|bit| 1_i64 << bit) {
        calls.push(call("mmap", &[0, 4_096, 1 | bit, ANONYMOUS, -1, 0]));
        calls.push(call("mprotect", &[0, 4_096, 1 | bit]));
    }
    for flags in all_but(0..=8, &[1]) {
        calls.push(call("mremap", &[0, 4_096, 8_192, flags, 0]));
    }
    for what in all_but(0..=40, &[1, 3]) {
        calls.push(call("fcntl", &[0, what, 0]));
    }
    for what in all_but(1_024..=1_050, &[1_034]) {
        calls.push(call("fcntl", &[0, what, 0]));
    }
    for process in [-1, 0, 1] {
        calls.push(call("tgkill", &[process, 1, 0]));
    }
    for signal in all_but(0..=65, &[4, 6, 7, 8, 11]) {
        calls.push(call("rt_sigaction", &[signal, 0, 0, 8]));
    }
    assert_eq!(survived(&calls), "");
}

#[test]
fn what_a_worker_does_with_those_calls_is_let_through() {
    const BAD_DESCRIPTOR: &str = "errno 9";
    const CASES: [(&str, &[i64], &str); 9] = [
        ("recvmsg", &[-1, 0, 0x4000_0000], BAD_DESCRIPTOR),
        ("ioctl", &[-1, 0xC060_6610, 0], BAD_DESCRIPTOR),
        ("madvise", &[0, 0, 4], "worked"),
        ("mmap", &[0, 4_096, 3, 0x22, -1, 0], "worked"),
        ("mmap", &[0, 4_096, 5, 2, -1, 0], BAD_DESCRIPTOR),
        ("mprotect", &[0, 0, 3], "worked"),
        ("fcntl", &[0, 3, 0], "worked"),
        ("rt_sigaction", &[11, 0, 0, 8], "worked"),
        ("openat", &[-100, 0, 0], "errno 13"),
    ];
    for (name, arguments, told) in CASES {
        let tried = call(name, arguments);
        let expected = format!("{tried} {told}\n");
        assert_eq!(survived(&[tried]), expected, "{name}");
    }
}

#[test]
fn memory_is_bounded_and_no_file_takes_a_byte() {
    let map = |bytes: i64| call("mmap", &[0, bytes, 3, 0x22, -1, 0]);
    let (little, much) = (map(256 << 20), map(513 << 20));
    let expected = format!("{little} worked\n{much} errno 12\n");
    assert_eq!(survived(&[little, much]), expected);

    // The kernel ends what writes to a file (`SIGXFSZ`), here what would be told;
    // whoever waits for it has no such limit, and tells that.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("told");
    let file = std::fs::File::create(&path).unwrap();
    let status = sweep(&["39".to_owned()]).stderr(file).status().unwrap();
    assert!(status.success());
    let told = std::fs::read_to_string(&path).unwrap();
    assert_eq!(told, "39 ended: status 25\n");
}
