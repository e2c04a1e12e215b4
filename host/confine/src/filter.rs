//! The system calls of a confined process: a list, with conditions on
//! arguments. Whatever is not on it ends the process with `SIGSYS`.
//!
//! Libraries probe for some calls and go on without them; those are answered
//! with an error instead. The kernel takes the strictest answer of all filters,
//! so each kind of answer is a filter of its own, and the list is the last.

use std::collections::BTreeMap;
use std::fmt;

use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{self, Eq, MaskedEq};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use crate::kernel;

/// `ioctl(PAGEMAP_SCAN)`, by which the engine finds the pages to reset.
const PAGEMAP_SCAN: u64 = 0xC060_6610;

/// `PIDFD_SELF`, as the kernel sees it in 32 bits.
const PIDFD_SELF: u64 = 0xFFFF_D8F0;

const READ_WRITE: u64 = (libc::PROT_READ | libc::PROT_WRITE) as u64;
const READ_EXECUTE: u64 = (libc::PROT_READ | libc::PROT_EXEC) as u64;
/// How descriptors are taken, and nothing else: data beside the stream, for one,
/// has broken kernels.
const AS_A_WORKER_TAKES: u64 = libc::MSG_CMSG_CLOEXEC as u64;
const ANONYMOUS: u64 = libc::MAP_ANONYMOUS as u64;

/// Rules for one call: allowed if all conditions of one rule hold.
type Rules = Vec<Vec<Condition>>;

/// An argument, how much of it is looked at, and what it must be.
#[derive(Clone, Debug)]
struct Condition {
    argument: u8,
    is_wide: bool,
    operation: SeccompCmpOp,
    value: u64,
}

const fn low(argument: u8, operation: SeccompCmpOp, value: u64) -> Condition {
    Condition {
        argument,
        is_wide: false,
        operation,
        value,
    }
}

const fn wide(argument: u8, operation: SeccompCmpOp, value: u64) -> Condition {
    Condition {
        argument,
        is_wide: true,
        operation,
        value,
    }
}

/// Why there is no filter.
#[derive(Debug)]
pub(crate) enum FilterError {
    Processor(BackendError),
    Rules(BackendError),
    Kernel(std::io::Error),
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processor(error) => write!(f, "no list for this processor: {error}"),
            Self::Rules(error) => write!(f, "the list is not one: {error}"),
            Self::Kernel(error) => write!(f, "{error}"),
        }
    }
}

/// Calls that are allowed whatever their arguments are. The descriptors they
/// name can only be the sockets and pipes of the broker, the page map, and
/// event queues.
const ANY_ARGUMENTS: [(i64, &str); 26] = [
    (libc::SYS_read, "read"),
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_close, "close"),
    (libc::SYS_fstat, "fstat"),
    (libc::SYS_epoll_wait, "epoll_wait"),
    (libc::SYS_epoll_ctl, "epoll_ctl"),
    (libc::SYS_futex, "futex"),
    (libc::SYS_munmap, "munmap"),
    (libc::SYS_brk, "brk"),
    (libc::SYS_rt_sigprocmask, "rt_sigprocmask"),
    (libc::SYS_rt_sigreturn, "rt_sigreturn"),
    (libc::SYS_sigaltstack, "sigaltstack"),
    (libc::SYS_exit, "exit"),
    (libc::SYS_exit_group, "exit_group"),
    (libc::SYS_clock_gettime, "clock_gettime"),
    (libc::SYS_clock_nanosleep, "clock_nanosleep"),
    (libc::SYS_nanosleep, "nanosleep"),
    (libc::SYS_restart_syscall, "restart_syscall"),
    (libc::SYS_getrandom, "getrandom"),
    (libc::SYS_sched_yield, "sched_yield"),
    (libc::SYS_gettid, "gettid"),
    (libc::SYS_getpid, "getpid"),
    // Where a thread runs, which the allocator asks for.
    (libc::SYS_getcpu, "getcpu"),
    (libc::SYS_gettimeofday, "gettimeofday"),
    (libc::SYS_time, "time"),
];

/// Calls that libraries try and do without, with what they are told.
const REFUSED: [(i64, &str, i32); 17] = [
    // Without it the engine copies data segments instead of mapping them, and
    // no memory file can be made that could be mapped as code.
    (libc::SYS_memfd_create, "memfd_create", libc::ENOSYS),
    (libc::SYS_clone3, "clone3", libc::ENOSYS),
    (libc::SYS_membarrier, "membarrier", libc::ENOSYS),
    (libc::SYS_rseq, "rseq", libc::ENOSYS),
    (libc::SYS_clone, "clone", libc::EPERM),
    (libc::SYS_prctl, "prctl", libc::EPERM),
    (
        libc::SYS_sched_getaffinity,
        "sched_getaffinity",
        libc::EPERM,
    ),
    (libc::SYS_open, "open", libc::EACCES),
    (libc::SYS_openat, "openat", libc::EACCES),
    (libc::SYS_access, "access", libc::EACCES),
    (libc::SYS_faccessat, "faccessat", libc::EACCES),
    (libc::SYS_faccessat2, "faccessat2", libc::EACCES),
    (libc::SYS_readlink, "readlink", libc::EACCES),
    (libc::SYS_readlinkat, "readlinkat", libc::EACCES),
    (libc::SYS_statx, "statx", libc::EACCES),
    (libc::SYS_newfstatat, "newfstatat", libc::EACCES),
    (libc::SYS_getcwd, "getcwd", libc::EACCES),
];

/// Names of the calls that are allowed, some of them for certain arguments
/// only: for documents and tests.
pub fn allowed_system_calls() -> Vec<&'static str> {
    let conditional = with_conditions().into_iter().map(|(_, name, _)| name);
    ANY_ARGUMENTS
        .iter()
        .map(|(_, name)| *name)
        .chain(conditional)
        .collect()
}

/// Names of the calls that are answered with an error instead.
pub fn refused_system_calls() -> Vec<&'static str> {
    REFUSED.iter().map(|(_, name, _)| *name).collect()
}

/// Calls that are allowed for certain arguments.
fn with_conditions() -> Vec<(i64, &'static str, Rules)> {
    let own_pid = u64::from(std::process::id());
    let each = |argument, values: &[i32]| -> Rules {
        let one = |value: &i32| vec![low(argument, Eq, u64::from(value.unsigned_abs()))];
        values.iter().map(one).collect()
    };
    vec![
        // A worker only takes descriptors, and sends none: on a socket it only writes.
        (
            libc::SYS_recvmsg,
            "recvmsg",
            vec![vec![low(2, Eq, AS_A_WORKER_TAKES)]],
        ),
        (
            libc::SYS_ioctl,
            "ioctl",
            vec![vec![low(1, Eq, PAGEMAP_SCAN)]],
        ),
        (
            libc::SYS_process_madvise,
            "process_madvise",
            vec![vec![
                low(0, Eq, PIDFD_SELF),
                low(3, Eq, libc::MADV_DONTNEED as u64),
                wide(4, Eq, 0),
            ]],
        ),
        (
            libc::SYS_madvise,
            "madvise",
            each(
                2,
                &[
                    libc::MADV_DONTNEED,
                    libc::MADV_FREE,
                    libc::MADV_HUGEPAGE,
                    libc::MADV_NOHUGEPAGE,
                ],
            ),
        ),
        // Memory to write, or a file of the broker's to run: never both.
        (
            libc::SYS_mmap,
            "mmap",
            vec![
                vec![wide(2, MaskedEq(!READ_WRITE), 0)],
                vec![wide(2, Eq, READ_EXECUTE), wide(3, MaskedEq(ANONYMOUS), 0)],
            ],
        ),
        (
            libc::SYS_mprotect,
            "mprotect",
            vec![vec![wide(2, MaskedEq(!READ_WRITE), 0)]],
        ),
        (libc::SYS_mremap, "mremap", each(3, &[libc::MREMAP_MAYMOVE])),
        (
            libc::SYS_fcntl,
            "fcntl",
            each(1, &[libc::F_GETFD, libc::F_GETFL, libc::F_GET_SEALS]),
        ),
        // Itself, to abort.
        (libc::SYS_tgkill, "tgkill", vec![vec![low(0, Eq, own_pid)]]),
        // The handler of a crash gives the signal back; refused, it would spin for ever.
        (
            libc::SYS_rt_sigaction,
            "rt_sigaction",
            each(
                0,
                &[
                    libc::SIGSEGV,
                    libc::SIGBUS,
                    libc::SIGILL,
                    libc::SIGFPE,
                    libc::SIGABRT,
                ],
            ),
        ),
    ]
}

/// Puts the filters over every thread.
pub(crate) fn install() -> Result<(), FilterError> {
    // All are made before the first is installed: making one takes memory.
    for program in programs()? {
        kernel::install(&program).map_err(FilterError::Kernel)?;
    }
    Ok(())
}

fn programs() -> Result<Vec<BpfProgram>, FilterError> {
    let target: TargetArch = std::env::consts::ARCH
        .try_into()
        .map_err(FilterError::Processor)?;
    let mut filters = Vec::new();
    for answer in [libc::ENOSYS, libc::EPERM, libc::EACCES] {
        let calls = REFUSED.iter().filter(|(_, _, told)| *told == answer);
        let rules = calls.map(|(number, _, _)| (*number, Vec::new())).collect();
        let errno = SeccompAction::Errno(answer.unsigned_abs());
        filters.push((rules, SeccompAction::Allow, errno));
    }
    let list = list().map_err(FilterError::Rules)?;
    filters.push((list, SeccompAction::KillProcess, SeccompAction::Allow));
    filters
        .into_iter()
        .map(|(rules, otherwise, matched)| {
            SeccompFilter::new(rules, otherwise, matched, target)?.try_into()
        })
        .collect::<Result<_, _>>()
        .map_err(FilterError::Rules)
}

/// The list: what may happen, and what another filter has refused already.
fn list() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut list: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    list.extend(
        ANY_ARGUMENTS
            .iter()
            .map(|(number, _)| (*number, Vec::new())),
    );
    list.extend(REFUSED.iter().map(|(number, _, _)| (*number, Vec::new())));
    for (number, _, rules) in with_conditions() {
        let rules: Result<_, _> = rules.into_iter().map(rule).collect();
        list.insert(number, rules?);
    }
    Ok(list)
}

fn rule(conditions: Vec<Condition>) -> Result<SeccompRule, BackendError> {
    let conditions: Result<_, _> = conditions
        .into_iter()
        .map(|condition| {
            let length = if condition.is_wide { Qword } else { Dword };
            SeccompCondition::new(
                condition.argument,
                length,
                condition.operation,
                condition.value,
            )
        })
        .collect();
    SeccompRule::new(conditions?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_refused() {
        let allowed = allowed_system_calls();
        for name in refused_system_calls() {
            assert!(!allowed.contains(&name), "{name}");
        }
    }

    #[test]
    fn nothing_that_opens_connects_starts_or_looks_into_others_is_allowed() {
        let allowed = allowed_system_calls();
        for name in [
            "open",
            "openat",
            "openat2",
            "creat",
            "socket",
            "socketpair",
            "connect",
            "bind",
            "listen",
            "accept",
            "accept4",
            "execve",
            "execveat",
            "fork",
            "vfork",
            "clone",
            "clone3",
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "pidfd_open",
            "pidfd_getfd",
            "kill",
            "tkill",
            "io_uring_setup",
            "userfaultfd",
            "bpf",
            "perf_event_open",
            "memfd_create",
            "prctl",
            "pread64",
            "lseek",
            "dup",
            "pkey_mprotect",
        ] {
            assert!(!allowed.contains(&name), "{name}");
        }
    }

    #[test]
    fn the_filters_are_programs_that_the_kernel_takes() {
        let programs = programs().unwrap_or_default();
        assert_eq!(programs.len(), 4);
        assert!(programs.iter().all(|program| program.len() < 4_096));
    }
}
