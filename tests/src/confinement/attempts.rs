//! A native program in a worker's place, and what the kernel says to each of its
//! attempts.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Stage, built};

/// The kernel's answer to an attempt of a confined process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It ends the process: `SIGSYS`.
    Ends,
    /// It says that this is not allowed.
    Errno(i32),
    Works,
}

use Answer::{Ends, Errno, Works};

const NO_SUCH_CALL: Answer = Errno(38);
pub(super) const NO_ACCESS: Answer = Errno(13);
pub(super) const NOT_PERMITTED: Answer = Errno(1);

/// What the native program knows, and what comes of it in a worker's place.
const ATTEMPTS: [(&str, Answer); 112] = [
    ("open", NO_ACCESS),
    ("openat", NO_ACCESS),
    ("openat-path-only", NO_ACCESS),
    ("openat2", Ends),
    ("creat", Ends),
    ("stat", Ends),
    ("lstat", Ends),
    ("statx", NO_ACCESS),
    ("access", NO_ACCESS),
    ("readlink", NO_ACCESS),
    ("getcwd", NO_ACCESS),
    ("chdir", Ends),
    ("mkdir", Ends),
    ("unlink", Ends),
    ("rename", Ends),
    ("symlink", Ends),
    ("getdents", Ends),
    ("name-to-handle", Ends),
    ("memfd-create", NO_SUCH_CALL),
    ("memfd-secret", Ends),
    ("pread", Ends),
    ("lseek", Ends),
    ("inotify", Ends),
    ("fanotify", Ends),
    ("socket-inet", Ends),
    ("socket-inet-datagram", Ends),
    ("socket-unix", Ends),
    ("socket-netlink", Ends),
    ("socket-vsock", Ends),
    ("socketpair", Ends),
    ("connect", Ends),
    ("bind", Ends),
    ("listen", Ends),
    ("accept", Ends),
    ("sendto-address", Ends),
    ("send", Ends),
    ("sendmsg", Ends),
    ("setsockopt", Ends),
    ("execve", Ends),
    ("execveat", Ends),
    ("fork", Ends),
    ("clone", NOT_PERMITTED),
    ("clone3", NO_SUCH_CALL),
    ("ptrace", Ends),
    ("read-parent", Ends),
    ("write-parent", Ends),
    ("kill-parent", Ends),
    ("tgkill-parent", Ends),
    ("tkill-parent", Ends),
    ("queue-signal", Ends),
    ("pidfd-open", Ends),
    ("pidfd-getfd", Ends),
    ("kcmp", Ends),
    ("prlimit-parent", Ends),
    ("setpriority", Ends),
    ("getppid", Ends),
    ("map-write-execute", Ends),
    ("map-execute", Ends),
    ("protect-execute", Ends),
    ("pkey-protect-execute", Ends),
    ("remap-fixed", Ends),
    ("remap-file-pages", Ends),
    ("mlock", Ends),
    ("madvise-other", Ends),
    ("shmget", Ends),
    ("io-uring", Ends),
    ("userfaultfd", Ends),
    ("bpf", Ends),
    ("perf-event", Ends),
    ("keyctl", Ends),
    ("add-key", Ends),
    ("modify-ldt", Ends),
    ("personality", Ends),
    ("vmsplice", Ends),
    ("splice", Ends),
    ("ioctl", Ends),
    ("fcntl-dup", Ends),
    ("fcntl-owner", Ends),
    ("dup", Ends),
    ("epoll-create", Ends),
    ("eventfd", Ends),
    ("timer-create", Ends),
    ("handle-other-signal", Ends),
    ("mount", Ends),
    ("unshare", Ends),
    ("setns", Ends),
    ("chroot", Ends),
    ("pivot-root", Ends),
    ("setuid", Ends),
    ("setresuid", Ends),
    ("setgroups", Ends),
    ("capset", Ends),
    ("prctl-dumpable", NOT_PERMITTED),
    ("arch-prctl", Ends),
    ("seccomp", Ends),
    ("landlock", Ends),
    ("init-module", Ends),
    ("kexec", Ends),
    ("reboot", Ends),
    ("sethostname", Ends),
    ("clock-settime", Ends),
    ("syslog", Ends),
    ("uname", Ends),
    ("sysinfo", Ends),
    ("sched-setaffinity", Ends),
    ("sched-setscheduler", Ends),
    ("own-map", Works),
    ("own-time", Works),
    ("own-random", Works),
    ("old-processor-mode", Ends),
    ("other-abi", Ends),
    ("fresh-thread", Ends),
];

/// Attempts that work for a process that is not confined: that they do not in a
/// worker's place is the confinement's doing. None of them changes the machine.
const WORK_WHEN_FREE: [&str; 24] = [
    "open",
    "openat",
    "openat-path-only",
    "stat",
    "statx",
    "readlink",
    "getcwd",
    "chdir",
    "memfd-create",
    "inotify",
    "socket-inet",
    "socket-inet-datagram",
    "socket-unix",
    "socketpair",
    "kill-parent",
    "pidfd-open",
    "getppid",
    "map-write-execute",
    "map-execute",
    "protect-execute",
    "dup",
    "epoll-create",
    "eventfd",
    "uname",
];

pub(crate) fn intruder() -> PathBuf {
    built().join("keyway-intruder")
}

pub(super) fn attempt(arguments: &[&str]) -> Answer {
    let output = Command::new(intruder())
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match (
        std::os::unix::process::ExitStatusExt::signal(&output.status),
        said.trim(),
    ) {
        (Some(31), "") => Ends,
        (None, "worked") => Works,
        (None, said) if output.status.success() => {
            Errno(said.strip_prefix("errno ").unwrap().parse().unwrap())
        }
        other => panic!("{arguments:?}: {other:?}"),
    }
}

#[test]
fn a_native_program_in_a_workers_place_can_do_nothing() {
    for (name, expected) in ATTEMPTS {
        assert_eq!(attempt(&["locked", name]), expected, "{name}");
    }
}

#[test]
fn what_it_tries_works_for_a_process_that_is_not_confined() {
    for name in WORK_WHEN_FREE {
        assert_eq!(attempt(&["free", name]), Works, "{name}");
    }
}

#[test]
fn a_fault_of_memory_in_a_workers_place_ends_the_process_and_does_not_go_on_for_ever() {
    let output = Command::new(intruder())
        .arg("fault")
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    // `SIGSEGV`. A filter that ended the process for what its handler does would say `SIGSYS`
    // (31), a read that is made for ever `SIGXCPU` (24), and one that waits `SIGALRM` (14).
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!(signal, Some(11), "{output:?}");
}

/// Whom the native program becomes, where it is root's.
pub(super) const NOBODY: u32 = 65_534;

/// A copy of a file, which nothing but confinement keeps from anybody; there until the folder
/// is dropped.
pub(super) fn copy_for_everybody(file: &Path) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("copy");
    std::fs::copy(file, &copy).unwrap();
    set_permissions(&copy, Permissions::from_mode(0o644)).unwrap();
    let mut reader = Command::new("cat");
    reader.arg(&copy);
    if rustix::process::geteuid().is_root() {
        reader.uid(NOBODY).gid(NOBODY);
    }
    let read = reader.output().unwrap();
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "file rights keep it: {said}");
    assert!(read.stdout == std::fs::read(file).unwrap());
    (folder, copy)
}

#[test]
fn the_root_key_and_the_database_are_out_of_its_reach() {
    let stage = Stage::with_shop();
    for name in ["root.key", "keyway.db", "api.sock"] {
        let path = stage.data().join(name);
        let path = path.to_str().unwrap();
        let free = attempt(&["free", "openat-path-only", path]);
        assert_eq!(free, Works, "{name}");
        for call in ["open", "openat", "openat-path-only", "access"] {
            assert_eq!(attempt(&["locked", call, path]), NO_ACCESS, "{name}");
        }
    }
    // Where these are, its user may open nothing; the same key where everybody may.
    let (_folder, copy) = copy_for_everybody(&stage.data().join("root.key"));
    let copy = copy.to_str().unwrap();
    for call in ["open", "openat", "openat-path-only", "access", "statx"] {
        assert_eq!(attempt(&["free", call, copy]), Works, "{call}");
        assert_eq!(attempt(&["locked", call, copy]), NO_ACCESS, "{call}");
    }
    let broker = stage.serve.as_ref().unwrap().pid();
    for file in ["mem", "environ", "maps", "root", "fd"] {
        let path = format!("/proc/{broker}/{file}");
        assert_eq!(attempt(&["locked", "openat", &path]), NO_ACCESS, "{file}");
    }
}
