//! Looking at running processes from outside: a request over loopback, and resident memory.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context as _;

const REPLY_WAIT_MAX: Duration = Duration::from_secs(40);

/// One request over clear HTTP to a port of this machine; the reply's status.
pub(crate) fn request(port: u16, method: &str, path: &str) -> anyhow::Result<u16> {
    request_with(port, method, path, "")
}

/// The same with a body.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is outside the product; it asks listeners on loopback as any client would"
)]
pub(crate) fn request_with(port: u16, method: &str, path: &str, body: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(REPLY_WAIT_MAX))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let status = reply
        .split_whitespace()
        .nth(1)
        .context("the reply has no status")?;
    status
        .parse()
        .with_context(|| format!("`{status}` is no status"))
}

/// Resident memory of a process and all its descendants, in MiB.
///
/// Pages that they share are counted in each: the figure errs against Keyway, never for it.
pub(crate) fn resident_mib(process: u32) -> anyhow::Result<f64> {
    let mut kib = 0.0;
    for id in family(process)? {
        // A process that has ended meanwhile holds nothing.
        let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) else {
            continue;
        };
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.trim().strip_suffix("kB"));
        kib += resident
            .and_then(|text| text.trim().parse::<f64>().ok())
            .unwrap_or(0.0);
    }
    Ok(kib / 1024.0)
}

/// A process and all its descendants.
fn family(process: u32) -> anyhow::Result<BTreeSet<u32>> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .context("cannot list processes")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|id| Some((id, parent(id)?)))
        .collect();
    let mut family = BTreeSet::from([process]);
    loop {
        let known = family.len();
        let children = parents.iter().filter(|(_, parent)| family.contains(parent));
        let children: Vec<u32> = children.map(|(id, _)| *id).collect();
        family.extend(children);
        if family.len() == known {
            return Ok(family);
        }
    }
}

fn parent(process: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))?
        .trim()
        .parse()
        .ok()
}
