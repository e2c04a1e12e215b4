//! The second line: what answers a native program in a worker's place where the filter of
//! system calls does not. Each attempt works for one that has given up its descriptors and its
//! user and nothing else (`begun`), and is refused to one that has taken every layer but the
//! filter (`unfiltered`): by the layer that its test names.

use std::fs::{Permissions, set_permissions};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};

use super::attempts::{
    Answer, NO_ACCESS, NOBODY, NOT_PERMITTED, attempt, copy_for_everybody, intruder,
};
use super::owner_of_what_it_is;
use crate::harness::{Process, root};

/// The first versions of Landlock that have rules for ports (Linux 6.7), and for sockets
/// without a file and signals (Linux 6.12).
const PORTS_SINCE: i32 = 4;
const SCOPES_SINCE: i32 = 6;

/// That an attempt works without the layers, and is answered so behind them.
fn is_refused(arguments: &[&str], answer: Answer) {
    let behind = |mode: &'static str| {
        let mut all = vec![mode];
        all.extend(arguments);
        attempt(&all)
    };
    assert_eq!(behind("begun"), Answer::Works, "{arguments:?}");
    assert_eq!(behind("unfiltered"), answer, "{arguments:?}");
}

/// What the kernel has of something, by the native program's word: less than nothing, if it
/// does not have it.
fn kernel(name: &str) -> i32 {
    let output = Command::new(intruder()).arg("kernel").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let mut lines = said.lines().filter_map(|line| line.split_once(' '));
    let (_, number) = lines.find(|(known, _)| *known == name).unwrap();
    number.parse().unwrap()
}

/// Whether Landlock is as young as that; where it is not, the filter alone refuses the same.
fn has_landlock(since: i32, what: &str) -> bool {
    let version = kernel("landlock");
    if version < since {
        eprintln!("Landlock {version} of this kernel has no rules for {what}: not tried");
    }
    version >= since
}

#[test]
fn without_the_filter_landlock_opens_and_makes_no_file_and_starts_no_program() {
    let (folder, copy) = copy_for_everybody(&root().join("LICENSE"));
    let (inside, copy) = (folder.path().to_str().unwrap(), copy.to_str().unwrap());
    for call in ["open", "openat", "openat2"] {
        is_refused(&[call, copy], NO_ACCESS);
        // Nor is it seen what is in a folder.
        is_refused(&[call, inside], NO_ACCESS);
    }
    // Where everybody may make files.
    set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    for (mode, answer) in [("begun", Answer::Works), ("unfiltered", NO_ACCESS)] {
        let made = folder.path().join(mode);
        let tried = attempt(&[mode, "creat", made.to_str().unwrap()]);
        assert_eq!(tried, answer, "{mode}");
        assert_eq!(made.exists(), answer == Answer::Works, "{mode}");
    }
    assert_eq!(attempt(&["unfiltered", "execve"]), NO_ACCESS);
    // None of these answers is the filter's, which ends a process for this.
    assert_eq!(attempt(&["unfiltered", "uname"]), Answer::Works);
}

#[test]
fn without_the_filter_landlock_dials_no_port_and_takes_none() {
    if !has_landlock(PORTS_SINCE, "ports") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    is_refused(&["connect-port", &port.to_string()], NO_ACCESS);
    is_refused(&["listen-port", "0"], NO_ACCESS);
}

/// A process of the user that the native program has, which waits.
fn bystander() -> Process {
    let mut waits = Command::new("cat");
    waits.stdin(Stdio::piped()).stdout(Stdio::null());
    if rustix::process::geteuid().is_root() {
        waits.uid(NOBODY).gid(NOBODY);
    }
    Process(waits.spawn().unwrap())
}

#[test]
fn without_the_filter_landlock_reaches_no_socket_and_no_process_outside() {
    if !has_landlock(SCOPES_SINCE, "sockets without a file and signals") {
        return;
    }
    let name = format!("keyway-second-line-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    is_refused(&["connect-abstract", &name], NOT_PERMITTED);
    let bystander = bystander();
    is_refused(&["signal", &bystander.pid().to_string()], NOT_PERMITTED);
    assert_eq!(attempt(&["unfiltered", "kill-parent"]), NOT_PERMITTED);
}

#[test]
fn roots_process_gets_no_signal_from_the_user_that_a_worker_becomes() {
    // Whoever runs the tests as another user is its own native program's user.
    let expected = match rustix::process::geteuid().is_root() {
        true => NOT_PERMITTED,
        false => Answer::Works,
    };
    assert_eq!(attempt(&["begun", "kill-parent"]), expected);
}

#[test]
fn without_the_filter_no_memory_that_was_written_becomes_code() {
    if kernel("mdwe") < 0 {
        eprintln!("this kernel has no switch for memory that is written and run: not tried");
        return;
    }
    is_refused(&["map-write-execute"], NO_ACCESS);
    is_refused(&["protect-execute"], NO_ACCESS);
    // Neither answer is the filter's, which ends a process for this, too.
    assert_eq!(attempt(&["unfiltered", "map-execute"]), Answer::Works);
}

#[test]
fn without_the_filter_no_memory_file_has_room_for_code() {
    assert_eq!(attempt(&["begun", "memory-file"]), Answer::Works);
    let mut limited = Command::new(intruder());
    limited.args(["unfiltered", "memory-file"]).env_clear();
    let output = limited.stdin(Stdio::null()).output().unwrap();
    // `SIGXFSZ`: no file takes a byte.
    assert_eq!(output.status.signal(), Some(25), "{output:?}");
}

/// What a native program's status is while it waits, and who owns what the kernel tells of it.
fn looked_at(mode: &str) -> (String, u32) {
    looked_at_as(Command::new(intruder()), mode)
}

/// The same of one that is started so.
fn looked_at_as(mut waits: Command, mode: &str) -> (String, u32) {
    waits.args([mode, "wait"]);
    waits.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process(waits.spawn().unwrap());
    let mut stderr = BufReader::new(process.0.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert_eq!(said, "waits\n", "{mode}");
    let pid = process.pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let owner = owner_of_what_it_is(pid);
    drop(process.0.stdin.take());
    assert!(process.0.wait().unwrap().success(), "{mode}");
    (status, owner)
}

#[test]
fn without_the_filter_it_has_no_right_left_and_its_own_user_cannot_look_into_it() {
    let (_, owner) = looked_at("begun");
    let own = rustix::process::geteuid();
    let user = if own.is_root() { NOBODY } else { own.as_raw() };
    assert_eq!(owner, user);

    let (status, owner) = looked_at("unfiltered");
    assert_eq!(owner, 0);
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    has_no_capability(&status);
}

fn has_no_capability(status: &str) {
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        let none = format!("{set}:\t0000000000000000");
        assert!(status.contains(&none), "{none}: {status}");
    }
}

#[test]
fn flags_that_keep_capabilities_over_a_change_of_user_keep_none() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root has such flags and capabilities: not tried");
        return;
    }
    let mut started = Command::new("setpriv");
    started.args([
        "--securebits=+no_setuid_fixup",
        "--inh-caps=+net_bind_service",
    ]);
    started.arg(intruder());
    let (status, _) = looked_at_as(started, "begun");
    assert!(
        status.contains(&format!("Uid:\t{NOBODY}\t{NOBODY}")),
        "{status}"
    );
    has_no_capability(&status);
}
