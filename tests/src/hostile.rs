//! The hostile-guest suite.

mod arena;
mod victim;

use arena::{Arena, Guest};

pub(crate) fn actions() -> Vec<&'static str> {
    vec!["spin","memory","panic","exit","recursion","host-call-flood","many-host-calls","huge-string","huge-list","huge-output","random","random-flood","log-flood","print-flood","long-lines","log-escapes","failure-escapes","sleep","never-ready","no-time-at-all","clocks","timeouts","errors","hoard-bodies","hoard-requests","hoard-fields","hoard-state","header-flood","header-list","header-names","handles","handles-freed","forged-handle","dropped-handle","foreign-handle","dropped-parent","leave-canary","find-canary"]
}

#[test]
fn probe() {
    let mut arena = Arena::new();
    let mut all: Vec<Guest> = actions().into_iter().map(Guest::Rust).collect();
    for t in ["table_bomb","huge_table","huge_memory","memory_grow","start_loop","realloc_loop","bulk_loop","mutual_recursion","recursion_into_host","wild_string","wild_result","wild_realloc","not_text","wrong_case","reentrance","leftover_table","wrong_signature","async_export","unknown_import"] { all.push(Guest::Text(t)); }
    for guest in all {
        if let Guest::Text(name) = guest {
            let (ok, said) = arena.try_install(name, &guest.bytes());
            if !ok { eprintln!("{guest:?} REFUSED {said}"); continue; }
        }
        let at = std::time::Instant::now();
        let a = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| arena.attempt(guest)));
        match a {
        Ok(a) => eprintln!("{guest:?} {} {} {:?} rss {} MiB {:?}", a.status, a.answer.to_string().chars().take(700).collect::<String>(), a.failure(), rss(arena.workers()[0]), at.elapsed()),
        Err(_) => eprintln!("{guest:?} PANICKED"),
        }
    }
}

fn rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = |n: &str| status.lines().find_map(|l| l.strip_prefix(n)).and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024;
    line("VmHWM:") * 1000 + line("VmRSS:")
}
