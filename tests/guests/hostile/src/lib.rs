//! Tries to use up whatever there is, and to misuse what it is given.
//!
//! One action for each attack. One that survives says so, with what it saw, as
//! JSON.

mod escapes;
mod exhaust;
mod handles;
mod headers;
mod leftovers;
mod odd;
mod requests;
mod search;
mod time;

use guest_bindings::connector::keyway::guest::types::Failure;

guest_bindings::connector!(act);

const SURVIVED: &str = r#"{"outcome":"survived"}"#;

fn act(name: &str, input: String) -> Result<String, Failure> {
    match name {
        "spin" => exhaust::spin(),
        "memory" => exhaust::memory(),
        "panic" => panic!("a guest's own fault: {input}"),
        "exit" => std::process::exit(3),
        "recursion" => exhaust::recursion(),
        "deep" => exhaust::deep(),
        "host-call-flood" => exhaust::host_calls(),
        "parameter-flood" => exhaust::parameters(),
        "many-host-calls" => exhaust::some_host_calls(),
        "huge-string" => exhaust::huge_string(),
        "huge-list" => exhaust::huge_list(),
        "huge-output" => return Ok("x".repeat(2 << 20)),
        "random" => exhaust::random(),
        "random-flood" => exhaust::random_flood(),
        "log-flood" => escapes::log_flood(),
        "print-flood" => escapes::print_flood(),
        "long-lines" => escapes::long_lines(),
        "log-escapes" => escapes::log(),
        "failure-escapes" => return Err(Failure::Permanent(escapes::TEXT.to_owned())),
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        "never-ready" => time::never_ready(),
        "no-time-at-all" => time::no_time_at_all(),
        "clocks" => return Ok(time::clocks()),
        "timeouts" => return Ok(requests::timeouts()),
        "errors" => return Ok(requests::errors()),
        "hoard-bodies" => requests::hoard_bodies(),
        "hoard-requests" => return Ok(requests::hoard_requests()),
        "hoard-fields" => headers::hoard(),
        "hoard-state" => return Ok(exhaust::state()),
        "header-flood" => return Ok(headers::flood()),
        "header-list" => return Ok(headers::list()),
        "header-names" => return Ok(headers::names()),
        "handles" => handles::flood(),
        "handles-freed" => handles::freed(),
        "forged-handle" => handles::forged(),
        "dropped-handle" => handles::dropped(),
        "foreign-handle" => handles::foreign(),
        "dropped-parent" => handles::dropped_parent(),
        "leave-canary" => leftovers::leave(),
        "find-canary" => return Ok(leftovers::find()),
        "odd-arguments" => odd::arguments(),
        "empty-poll" => odd::empty_poll(),
        "unasked-write" => odd::unasked_write(),
        "endless-zeroes" => odd::endless_zeroes(),
        "search-memory" => return Ok(search::search()),
        other => return Err(Failure::NotFound(other.to_owned())),
    }
    Ok(SURVIVED.to_owned())
}
