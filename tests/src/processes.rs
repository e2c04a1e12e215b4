//! The processes that a deployment has.

use std::collections::BTreeSet;

use rustix::process::{Pid, Signal, kill_process};

/// The children of a process that have not ended.
pub(crate) fn children(parent: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // One that ends meanwhile is none.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let mut fields = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let (state, ppid) = (fields.next(), fields.next());
        if state.is_some_and(|state| state != "Z") && ppid == Some(parent.to_string().as_str()) {
            found.insert(pid);
        }
    }
    found
}

/// Memory of a process that is in use, in MiB.
pub(crate) fn resident_mib(pid: u32) -> u64 {
    mib(pid, "VmRSS:")
}

/// The most that a process has ever had of it.
pub(crate) fn most_resident_mib(pid: u32) -> u64 {
    mib(pid, "VmHWM:")
}

fn mib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib >> 10
}

/// Descriptors that a process has open.
pub(crate) fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

/// Sends a signal to a child of a deployment that the test started.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have ended by itself.
    kill_process(pid, signal).ok();
}
