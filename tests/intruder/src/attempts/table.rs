//! Every attempt, by name.

use std::io;

use super::{
    Attempt, DATAGRAM, HERE, INET, PAGE, RW, RWX, RX, STREAM, UNIX, ZERO, map, number,
    old_processor_mode, protect, several,
};

/// Every attempt.
pub(super) const ATTEMPTS: &[(&str, Attempt)] = &[
    // Files.
    ("open", |p| call!(SYS_open, p.path.as_ptr(), libc::O_RDONLY)),
    ("openat", |p| {
        call!(SYS_openat, HERE, p.path.as_ptr(), libc::O_RDONLY)
    }),
    ("openat-path-only", |p| {
        call!(SYS_openat, HERE, p.path.as_ptr(), libc::O_PATH)
    }),
    ("openat2", |p| {
        call!(
            SYS_openat2,
            HERE,
            p.path.as_ptr(),
            p.buffer.as_ptr(),
            24_i64
        )
    }),
    ("creat", |p| call!(SYS_creat, p.path.as_ptr(), 0o600)),
    ("stat", |p| {
        call!(SYS_stat, p.path.as_ptr(), p.buffer.as_ptr())
    }),
    ("lstat", |p| {
        call!(SYS_lstat, p.path.as_ptr(), p.buffer.as_ptr())
    }),
    ("statx", |p| {
        call!(
            SYS_statx,
            HERE,
            p.path.as_ptr(),
            ZERO,
            0xfff_i64,
            p.buffer.as_ptr()
        )
    }),
    ("access", |p| call!(SYS_access, p.path.as_ptr(), ZERO)),
    ("readlink", |p| {
        call!(
            SYS_readlink,
            c"/proc/self/exe".as_ptr(),
            p.buffer.as_ptr(),
            100_i64
        )
    }),
    ("getcwd", |p| {
        call!(SYS_getcwd, p.buffer.as_ptr(), 4_096_i64)
    }),
    ("chdir", |_| call!(SYS_chdir, c"/".as_ptr())),
    ("mkdir", |_| {
        call!(SYS_mkdir, c"/tmp/intruder".as_ptr(), 0o700)
    }),
    ("unlink", |_| call!(SYS_unlink, c"/tmp/intruder".as_ptr())),
    ("rename", |_| {
        call!(
            SYS_rename,
            c"/tmp/intruder".as_ptr(),
            c"/tmp/intruder2".as_ptr()
        )
    }),
    ("symlink", |_| {
        call!(SYS_symlink, c"/".as_ptr(), c"/tmp/intruder".as_ptr())
    }),
    ("getdents", |p| {
        call!(SYS_getdents64, 2_i64, p.buffer.as_ptr(), 4_096_i64)
    }),
    ("name-to-handle", |p| {
        call!(
            SYS_name_to_handle_at,
            HERE,
            p.path.as_ptr(),
            p.buffer.as_ptr(),
            p.buffer.as_ptr(),
            ZERO
        )
    }),
    ("memfd-create", |_| {
        call!(SYS_memfd_create, c"intruder".as_ptr(), ZERO)
    }),
    ("memfd-secret", |_| call!(SYS_memfd_secret, ZERO)),
    ("pread", |p| {
        call!(SYS_pread64, 2_i64, p.buffer.as_ptr(), 8_i64, ZERO)
    }),
    ("lseek", |_| call!(SYS_lseek, 2_i64, ZERO, ZERO)),
    ("inotify", |_| call!(SYS_inotify_init1, ZERO)),
    ("fanotify", |_| call!(SYS_fanotify_init, ZERO, ZERO)),
    // The network, and other processes' sockets.
    ("socket-inet", |_| call!(SYS_socket, INET, STREAM, ZERO)),
    ("socket-inet-datagram", |_| {
        call!(SYS_socket, INET, DATAGRAM, ZERO)
    }),
    ("socket-unix", |_| call!(SYS_socket, UNIX, STREAM, ZERO)),
    ("socket-netlink", |_| {
        call!(
            SYS_socket,
            libc::c_long::from(libc::AF_NETLINK),
            DATAGRAM,
            ZERO
        )
    }),
    ("socket-vsock", |_| {
        call!(SYS_socket, libc::c_long::from(libc::AF_VSOCK), STREAM, ZERO)
    }),
    ("socketpair", |p| {
        call!(SYS_socketpair, UNIX, STREAM, ZERO, p.buffer.as_ptr())
    }),
    ("connect", |p| {
        call!(SYS_connect, 0_i64, p.buffer.as_ptr(), 16_i64)
    }),
    ("bind", |p| {
        call!(SYS_bind, 0_i64, p.buffer.as_ptr(), 16_i64)
    }),
    ("listen", |_| call!(SYS_listen, 0_i64, 1_i64)),
    ("accept", |_| call!(SYS_accept, 0_i64, ZERO, ZERO)),
    ("sendto-address", |p| {
        call!(
            SYS_sendto,
            2_i64,
            p.buffer.as_ptr(),
            1_i64,
            ZERO,
            p.buffer.as_ptr(),
            16_i64
        )
    }),
    ("send", |p| {
        call!(
            SYS_sendto,
            0_i64,
            p.buffer.as_ptr(),
            1_i64,
            ZERO,
            ZERO,
            ZERO
        )
    }),
    ("sendmsg", |p| {
        call!(SYS_sendmsg, 0_i64, p.buffer.as_ptr(), ZERO)
    }),
    ("setsockopt", |p| {
        call!(
            SYS_setsockopt,
            0_i64,
            1_i64,
            2_i64,
            p.buffer.as_ptr(),
            4_i64
        )
    }),
    // Other programs and processes.
    ("execve", |_| {
        call!(SYS_execve, c"/bin/true".as_ptr(), ZERO, ZERO)
    }),
    ("execveat", |_| {
        call!(SYS_execveat, HERE, c"/bin/true".as_ptr(), ZERO, ZERO, ZERO)
    }),
    ("fork", |_| call!(SYS_fork)),
    ("clone", |_| {
        call!(
            SYS_clone,
            libc::c_long::from(libc::SIGCHLD),
            ZERO,
            ZERO,
            ZERO,
            ZERO
        )
    }),
    ("clone3", |p| call!(SYS_clone3, p.buffer.as_ptr(), 64_i64)),
    ("ptrace", |p| {
        call!(
            SYS_ptrace,
            libc::PTRACE_ATTACH as libc::c_long,
            p.parent,
            ZERO,
            ZERO
        )
    }),
    ("read-parent", |p| {
        call!(
            SYS_process_vm_readv,
            p.parent,
            p.buffer.as_ptr(),
            1_i64,
            p.buffer.as_ptr(),
            1_i64,
            ZERO
        )
    }),
    ("write-parent", |p| {
        call!(
            SYS_process_vm_writev,
            p.parent,
            p.buffer.as_ptr(),
            1_i64,
            p.buffer.as_ptr(),
            1_i64,
            ZERO
        )
    }),
    ("kill-parent", |p| call!(SYS_kill, p.parent, ZERO)),
    ("tgkill-parent", |p| {
        call!(SYS_tgkill, p.parent, p.parent, ZERO)
    }),
    ("tkill-parent", |p| call!(SYS_tkill, p.parent, ZERO)),
    ("queue-signal", |p| {
        call!(SYS_rt_sigqueueinfo, p.parent, ZERO, p.buffer.as_ptr())
    }),
    ("pidfd-open", |p| call!(SYS_pidfd_open, p.parent, ZERO)),
    ("pidfd-getfd", |_| call!(SYS_pidfd_getfd, 2_i64, ZERO, ZERO)),
    ("kcmp", |p| {
        call!(SYS_kcmp, p.parent, p.parent, ZERO, ZERO, ZERO)
    }),
    ("prlimit-parent", |p| {
        call!(SYS_prlimit64, p.parent, 7_i64, ZERO, p.buffer.as_ptr())
    }),
    ("setpriority", |p| {
        call!(SYS_setpriority, ZERO, p.parent, ZERO)
    }),
    ("getppid", |_| call!(SYS_getppid)),
    // Memory that runs.
    ("map-write-execute", |_| map(RWX)),
    ("map-execute", |_| map(RX)),
    ("protect-execute", |p| protect(libc::SYS_mprotect, p, RX)),
    ("pkey-protect-execute", |p| {
        protect(libc::SYS_pkey_mprotect, p, RX)
    }),
    ("remap-fixed", |p| {
        call!(
            SYS_mremap,
            p.buffer.as_ptr(),
            PAGE,
            PAGE,
            3_i64,
            p.buffer.as_ptr()
        )
    }),
    ("remap-file-pages", |p| {
        call!(
            SYS_remap_file_pages,
            p.buffer.as_ptr(),
            PAGE,
            ZERO,
            ZERO,
            ZERO
        )
    }),
    ("mlock", |p| call!(SYS_mlock, p.buffer.as_ptr(), PAGE)),
    ("madvise-other", |p| {
        call!(SYS_madvise, p.buffer.as_ptr(), PAGE, 12_i64)
    }),
    ("shmget", |_| call!(SYS_shmget, ZERO, PAGE, 0o600)),
    // What kernels were broken by.
    ("io-uring", |p| {
        call!(SYS_io_uring_setup, 8_i64, p.buffer.as_ptr())
    }),
    ("userfaultfd", |_| call!(SYS_userfaultfd, ZERO)),
    ("bpf", |p| call!(SYS_bpf, ZERO, p.buffer.as_ptr(), 64_i64)),
    ("perf-event", |p| {
        call!(
            SYS_perf_event_open,
            p.buffer.as_ptr(),
            ZERO,
            -1_i64,
            -1_i64,
            ZERO
        )
    }),
    ("keyctl", |_| call!(SYS_keyctl, ZERO, -3_i64, 1_i64)),
    ("add-key", |_| {
        call!(
            SYS_add_key,
            c"user".as_ptr(),
            c"intruder".as_ptr(),
            c"x".as_ptr(),
            1_i64,
            -3_i64
        )
    }),
    ("modify-ldt", |p| {
        call!(SYS_modify_ldt, ZERO, p.buffer.as_ptr(), 16_i64)
    }),
    ("personality", |_| call!(SYS_personality, 0xffff_ffff_i64)),
    ("vmsplice", |p| {
        call!(SYS_vmsplice, 2_i64, p.buffer.as_ptr(), ZERO, ZERO)
    }),
    ("splice", |_| {
        call!(SYS_splice, 0_i64, ZERO, 2_i64, ZERO, 1_i64, ZERO)
    }),
    ("ioctl", |p| {
        call!(SYS_ioctl, 2_i64, libc::TIOCSTI, p.buffer.as_ptr())
    }),
    ("fcntl-dup", |_| {
        call!(SYS_fcntl, 2_i64, i64::from(libc::F_DUPFD), ZERO)
    }),
    ("fcntl-owner", |p| {
        call!(SYS_fcntl, 2_i64, i64::from(libc::F_SETOWN), p.parent)
    }),
    ("dup", |_| call!(SYS_dup, 2_i64)),
    ("epoll-create", |_| call!(SYS_epoll_create1, ZERO)),
    ("eventfd", |_| call!(SYS_eventfd2, ZERO, ZERO)),
    ("timer-create", |p| {
        call!(SYS_timer_create, ZERO, ZERO, p.buffer.as_ptr())
    }),
    ("handle-other-signal", |p| {
        call!(
            SYS_rt_sigaction,
            i64::from(libc::SIGTERM),
            ZERO,
            p.buffer.as_ptr(),
            8_i64
        )
    }),
    // The machine, and rights.
    ("mount", |p| {
        call!(
            SYS_mount,
            c"none".as_ptr(),
            p.path.as_ptr(),
            c"tmpfs".as_ptr(),
            ZERO,
            ZERO
        )
    }),
    ("unshare", |_| {
        call!(SYS_unshare, i64::from(libc::CLONE_NEWUSER))
    }),
    ("setns", |_| call!(SYS_setns, 2_i64, ZERO)),
    ("chroot", |_| call!(SYS_chroot, c"/".as_ptr())),
    ("pivot-root", |_| {
        call!(SYS_pivot_root, c"/".as_ptr(), c"/".as_ptr())
    }),
    ("setuid", |_| call!(SYS_setuid, ZERO)),
    ("setresuid", |_| call!(SYS_setresuid, ZERO, ZERO, ZERO)),
    ("setgroups", |_| call!(SYS_setgroups, ZERO, ZERO)),
    ("capset", |p| {
        call!(SYS_capset, p.buffer.as_ptr(), p.buffer.as_ptr())
    }),
    ("prctl-dumpable", |_| {
        call!(
            SYS_prctl,
            i64::from(libc::PR_SET_DUMPABLE),
            1_i64,
            ZERO,
            ZERO,
            ZERO
        )
    }),
    ("arch-prctl", |p| {
        call!(SYS_arch_prctl, 0x1003_i64, p.buffer.as_ptr())
    }),
    ("seccomp", |p| {
        call!(SYS_seccomp, ZERO, ZERO, p.buffer.as_ptr())
    }),
    ("landlock", |_| {
        call!(SYS_landlock_create_ruleset, ZERO, ZERO, 1_i64)
    }),
    ("init-module", |p| {
        call!(SYS_init_module, p.buffer.as_ptr(), 8_i64, c"".as_ptr())
    }),
    ("kexec", |_| call!(SYS_kexec_load, ZERO, ZERO, ZERO, ZERO)),
    ("reboot", |_| call!(SYS_reboot, ZERO, ZERO, ZERO, ZERO)),
    ("sethostname", |_| {
        call!(SYS_sethostname, c"intruder".as_ptr(), 8_i64)
    }),
    ("clock-settime", |p| {
        call!(SYS_clock_settime, ZERO, p.buffer.as_ptr())
    }),
    ("syslog", |p| {
        call!(SYS_syslog, 3_i64, p.buffer.as_ptr(), 100_i64)
    }),
    ("uname", |p| call!(SYS_uname, p.buffer.as_ptr())),
    ("sysinfo", |p| call!(SYS_sysinfo, p.buffer.as_ptr())),
    ("sched-setaffinity", |p| {
        call!(SYS_sched_setaffinity, ZERO, 8_i64, p.buffer.as_ptr())
    }),
    ("sched-setscheduler", |p| {
        call!(SYS_sched_setscheduler, ZERO, 1_i64, p.buffer.as_ptr())
    }),
    // The same kernel by other doors.
    ("old-processor-mode", |_| old_processor_mode()),
    ("other-abi", |_| number(0x4000_0000 | libc::SYS_getpid)),
    ("fresh-thread", |_| {
        std::thread::Builder::new().spawn(|| ()).map(drop)
    }),
    // As far as the layers behind the filter.
    ("connect-port", several::connect_port),
    ("listen-port", several::listen_port),
    ("connect-abstract", several::connect_abstract),
    ("signal", several::signal),
    ("memory-file", several::memory_file),
    ("wait", |_| several::wait()),
    // What a worker does, so that a filter that refuses everything is seen, too.
    ("own-map", |_| map(RW)),
    ("own-time", |p| {
        call!(SYS_clock_gettime, 1_i64, p.buffer.as_ptr())
    }),
    ("own-random", |p| {
        call!(SYS_getrandom, p.buffer.as_ptr(), 8_i64, ZERO)
    }),
];
