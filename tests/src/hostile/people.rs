//! Rows 10 and 21: what guests tell people, and what the host tells guests.

use keyway_model::plain::is_plain;

use super::arena::Arena;
use super::table::Guest;

#[test]
fn nothing_that_a_terminal_would_obey_reaches_people() {
    let mut arena = Arena::new();
    for action in ["log-escapes", "failure-escapes"] {
        arena.attempt(Guest::Rust(action));
        let newest = arena.json("attacker", "job list --limit 1")[0]["id"].clone();
        let id = newest.as_str().unwrap();
        for line in [
            format!("job show {id}"),
            format!("job show {id} --json"),
            "job list".to_owned(),
            "job list --json".to_owned(),
            "audit list".to_owned(),
        ] {
            let told = arena.ok("attacker", &line);
            assert!(
                !line.starts_with("job show") || told.contains("before"),
                "{line}: {told}"
            );
            let odd: String = told
                .chars()
                .filter(|c| *c != '\n' && !is_plain(*c))
                .collect();
            assert_eq!(odd, "", "{line}: {told:?}");
            // A line of the guest's own making would begin like one of the host's.
            let forged = told
                .lines()
                .any(|line| line.starts_with("2026-01-01") || line.starts_with("forged"));
            assert!(!forged, "{line}: {told}");
        }
    }
}

#[test]
fn a_flooded_log_is_cut_and_says_so_in_one_line() {
    // With the lower ones, two thousand lines take all the time that a call has on a slow
    // machine, in a program that is not optimized.
    let mut arena = Arena::at_default_limits();
    for action in ["log-flood", "print-flood"] {
        let job = arena.attempt(Guest::Rust(action)).job;
        let seen = &job["steps"][0]["seen"];
        assert_eq!(seen["log"].as_array().unwrap().len(), 1_000, "{action}");
        assert_eq!(seen["log_lines_dropped"], 1_000, "{action}");
        let told = arena.ok(
            "attacker",
            &format!("job show {}", job["id"].as_str().unwrap()),
        );
        let dropped: Vec<&str> = told
            .lines()
            .filter(|line| line.contains("dropped"))
            .collect();
        assert_eq!(dropped.len(), 1, "{dropped:?}");
        assert!(dropped[0].contains("1000 more lines"), "{dropped:?}");
    }
    let job = arena.attempt(Guest::Rust("long-lines")).job;
    let lines = job["steps"][0]["seen"]["log"].as_array().unwrap();
    // As many of a hundred as fit into all that one call may log.
    assert_eq!(lines.len(), 31);
    for line in lines {
        let message = line["message"].as_str().unwrap();
        assert!(
            message.len() < 5_000 && message.contains("(cut at log_line_bytes_max"),
            "{}",
            message.len()
        );
    }
}

#[test]
fn errors_tell_a_guest_nothing_about_the_host() {
    let mut arena = Arena::new();
    let mut told = arena.attempt(Guest::Rust("errors")).answer.to_string();
    told.push_str(&arena.attempt(Guest::Rust("hoard-state")).answer.to_string());
    told.push_str(&arena.attempt(Guest::Rust("timeouts")).answer.to_string());
    assert!(told.contains("HttpRequestDenied"), "{told}");
    let directory = arena.stage.dir.path().to_str().unwrap().to_owned();
    let port = arena.attackers_upstream.port.to_string();
    for hidden in [
        directory.as_str(),
        port.as_str(),
        "127.0.0.1",
        "::1",
        "169.254",
        "/tmp",
        "/proc",
        "/home",
        "keyway-data",
        ".rs:",
        "panicked",
        "victim",
        "shop",
        "wasmtime",
        "os error",
        "errno",
        "resolve",
        "refused",
    ] {
        assert!(!told.contains(hidden), "`{hidden}` in {told}");
    }
}
