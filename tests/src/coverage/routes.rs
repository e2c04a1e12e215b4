//! Route by route: who may call it, who may not, how long its body may be, what
//! happens to too many calls, and where each of these is recorded.
//!
//! [`CASES`] is held against `docs/api.md`, which is made from the tables that the
//! routers of all listeners are made from: a new route fails here until it has a
//! case, and a case runs for real.

use std::collections::BTreeSet;

use super::place::{Call, Expected, Place, Who};
use crate::harness::root;
use crate::routes::documented;
use crate::tidy::sources;

/// What is expected of one route.
pub(super) struct Case {
    pub(super) listener: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) operation: &'static str,
    allowed: Who,
    denied: Refusal,
    body_bytes_max: usize,
    recorded: Recorded,
}

/// What it does not do for everybody.
#[derive(Clone, Copy)]
enum Refusal {
    /// It refuses somebody.
    To(Who),
    /// It says less to somebody than to who is allowed.
    SaysLessTo(Who),
    /// It refuses and hides nothing, for this reason.
    Nothing(&'static str),
}

/// What is recorded of it.
#[derive(Clone, Copy)]
enum Recorded {
    /// Each call, allowed or denied.
    Each,
    /// What is denied. What is allowed is elsewhere, for this reason.
    Denials(&'static str),
    /// Nothing but that it was called too often, for this reason.
    Nothing(&'static str),
}

use Who::{Admin, Analyst, Nobody, Platform, Rival, Sender};

/// A route of the API that reads.
const fn read(path: &'static str, operation: &'static str, denied: Who) -> Case {
    Case {
        listener: "API",
        method: "GET",
        path,
        operation,
        allowed: Admin,
        denied: Refusal::To(denied),
        body_bytes_max: 0,
        recorded: Recorded::Each,
    }
}

/// A route of the API that changes something.
const fn change(path: &'static str, operation: &'static str, denied: Who) -> Case {
    Case {
        method: "POST",
        body_bytes_max: 2 << 20,
        ..read(path, operation, denied)
    }
}

/// A route of the platform administrator.
const fn platform(case: Case) -> Case {
    Case {
        allowed: Platform,
        ..case
    }
}

/// A route that tells a supervisor how the node is.
const fn health(path: &'static str, allowed: Who, denied: Refusal) -> Case {
    const REASON: &str = "supervisors ask every few seconds, and it says nothing of anybody";
    Case {
        allowed,
        denied,
        recorded: Recorded::Nothing(REASON),
        ..read(path, "health:show", Nobody)
    }
}

macro_rules! below {
    ($path:literal) => {
        concat!("/api/v1/workspaces/{ws}/{env}", $path)
    };
}

/// In an order in which each call can be served.
pub(super) const CASES: [Case; 33] = [
    platform(change("/api/v1/workspaces", "workspace:create", Admin)),
    platform(read("/api/v1/workspaces", "workspace:list", Admin)),
    read("/api/v1/workspaces/{ws}", "workspace:show", Rival),
    change("/api/v1/tokens", "token:create", Analyst),
    read("/api/v1/tokens", "token:list", Analyst),
    change("/api/v1/tokens/{id}/revoke", "token:revoke", Rival),
    platform(read("/api/v1/alarms", "alarm:list", Admin)),
    platform(change(
        "/api/v1/alarms/{id}/acknowledge",
        "alarm:acknowledge",
        Admin,
    )),
    Case {
        body_bytes_max: 16 << 20,
        ..change(below!("/connectors"), "connector:install", Analyst)
    },
    read(below!("/connectors"), "connector:list", Rival),
    read(below!("/connectors/{connector}"), "connector:show", Rival),
    change(
        below!("/connectors/{connector}/approve"),
        "connector:approve",
        Analyst,
    ),
    change(below!("/connections"), "connection:create", Analyst),
    read(below!("/connections"), "connection:list", Rival),
    change(
        below!("/connections/{name}/check"),
        "connection:check",
        Analyst,
    ),
    change(below!("/recipes"), "recipe:apply", Analyst),
    change(below!("/recipes/validate"), "recipe:validate", Rival),
    read(below!("/recipes"), "recipe:list", Rival),
    read(below!("/recipes/{name}"), "recipe:show", Rival),
    change(below!("/recipes/{name}/stop"), "recipe:stop", Analyst),
    change(below!("/recipes/{name}/start"), "recipe:start", Analyst),
    read(below!("/jobs"), "job:list", Rival),
    read(below!("/jobs/{id}"), "job:show", Rival),
    change(below!("/jobs/{id}/rerun"), "job:rerun", Analyst),
    read(below!("/limits"), "limits:show", Rival),
    change(below!("/limits"), "limits:set", Analyst),
    read(below!("/audit"), "audit:list", Analyst),
    read(below!("/audit/export"), "audit:export", Analyst),
    read(below!("/audit/key"), "audit:export", Analyst),
    health(
        "/healthz",
        Nobody,
        Refusal::Nothing("it says `ok`, whoever asks"),
    ),
    health("/readyz", Platform, Refusal::SaysLessTo(Nobody)),
    Case {
        listener: "webhook",
        method: "POST",
        path: "/hooks/{path}",
        operation: "webhook:receive",
        allowed: Sender,
        denied: Refusal::To(Nobody),
        body_bytes_max: 1 << 20,
        recorded: Recorded::Denials("the job that it becomes is kept, with its event"),
    },
    // What the routes before need it for is over.
    change(
        below!("/connectors/{connector}/revoke"),
        "connector:revoke",
        Analyst,
    ),
];

/// Whether it has the limits of a call of the API: by caller, and of its body.
fn is_of_api(case: &Case) -> bool {
    case.path.starts_with("/api/")
}

#[test]
fn every_route_has_a_case_with_the_operation_and_the_limit_that_are_documented() {
    let cases = CASES.iter().map(|case| {
        let words = [case.listener, case.method, case.path, case.operation].map(str::to_owned);
        (words, case.body_bytes_max)
    });
    let documented = documented().into_iter().map(|route| {
        let words = [route.listener, route.method, route.path, route.operation];
        (words, route.body_bytes_max)
    });
    let cases: BTreeSet<_> = cases.collect();
    assert_eq!(cases, documented.collect());
    assert_eq!(cases.len(), CASES.len(), "a route with two cases");
    // Every route of the API is refused to somebody, and records each of its calls.
    for case in CASES {
        let needs_none = match case.denied {
            Refusal::Nothing(reason) => Some(reason),
            Refusal::To(_) | Refusal::SaysLessTo(_) => None,
        };
        let records_less = match case.recorded {
            Recorded::Denials(reason) | Recorded::Nothing(reason) => Some(reason),
            Recorded::Each => None,
        };
        for reason in needs_none.into_iter().chain(records_less) {
            assert!(!is_of_api(&case) && !reason.is_empty(), "{}", case.path);
        }
    }
}

#[test]
fn no_router_is_made_but_of_the_tables_of_routes() {
    let mut files = Vec::new();
    sources(&root().join("host"), &mut files);
    let made = files.into_iter().filter(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        let ways = ["Router::new(", ".route(", ".nest(", ".route_service("];
        let mut ways = ways.iter();
        text.contains("axum") && ways.any(|way| text.contains(way))
    });
    let made: Vec<_> = made.collect();
    assert_eq!(made, [root().join("host/keyway/src/routes.rs")]);
}

#[test]
fn every_route_serves_who_may_call_it_and_that_is_recorded() {
    let place = Place::with_an_alarm();
    let mut traces = Vec::new();
    for call in place.calls() {
        let case = call.case;
        let ((status, answer), trace) =
            place.traced(case.allowed, &call, &call.body, Expected::Done);
        assert_eq!(status, 200, "{} {}: {answer}", case.method, call.path);
        match case.recorded {
            Recorded::Each => traces.push(trace),
            Recorded::Denials(_) => {
                let job = place.stage.json("--workspace acme job list --limit 1");
                let reply = &answer;
                assert_eq!(job[0]["state"], "succeeded", "{reply}");
            }
            Recorded::Nothing(_) => trace.left_nothing(),
        }
    }
    place.end().hold(traces);
}

#[test]
fn every_route_is_refused_to_who_may_not_call_it_and_that_is_recorded() {
    let place = Place::new("");
    let (mut traces, mut of_nobody) = (Vec::new(), [0, 0]);
    let calls = place.calls();
    for call in &calls {
        let case = call.case;
        let named = format!("{} {}", case.method, call.path);
        match case.denied {
            Refusal::Nothing(_) => {}
            Refusal::SaysLessTo(who) => {
                let (all, less) = (
                    place.send(case.allowed, call, b"").1,
                    place.send(who, call, b""),
                );
                assert_eq!(less.0, 200, "{named}");
                assert!(less.1.len() < all.len(), "{named}: {} {all}", less.1);
                assert!(all.starts_with(&less.1), "{named}: {} {all}", less.1);
            }
            Refusal::To(Nobody) => {
                assert_eq!(place.send(Nobody, call, &call.body).0, 404, "{named}");
                of_nobody[1] += 1;
            }
            Refusal::To(who) => {
                let expected = if who == Rival { 404 } else { 403 };
                let expectation = Expected::Denied("role");
                let ((status, answer), trace) = place.traced(who, call, &call.body, expectation);
                assert_eq!(status, expected, "{named}: {answer}");
                traces.push(trace);
            }
        }
        // And nothing of the API is for who has no token.
        if is_of_api(case) {
            assert_eq!(place.send(Nobody, call, &call.body).0, 401, "{named}");
            of_nobody[0] += 1;
        }
    }
    let logs = place.end();
    logs.hold(traces);
    for (operation, calls) in ["api:call", "webhook:receive"].into_iter().zip(of_nobody) {
        assert!(calls > 0, "{operation}");
        let counted = logs.denials(Nobody, operation, "unknown");
        let counted = counted.iter().map(|record| calls_of(record));
        assert_eq!(counted.sum::<u64>(), calls, "{operation}");
    }
}

/// How many calls a record of those whom nobody knows counts.
fn calls_of(record: &serde_json::Value) -> u64 {
    let text = record["remedy"].as_str().unwrap();
    let (_, rest) = text.split_once("calls: ").unwrap();
    rest.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn every_route_refuses_a_body_that_is_longer_than_documented_and_records_it() {
    let place = Place::new("");
    let mut traces = Vec::new();
    for call in place.calls() {
        let case = call.case;
        let named = format!("{} {}", case.method, call.path);
        let mut body = call.body.clone();
        body.resize(case.body_bytes_max + 1, b' ');
        let expected = Expected::Denied("limit");
        let ((status, answer), trace) = place.traced(case.allowed, &call, &body, expected);
        if let Recorded::Nothing(_) = case.recorded {
            // It reads none, however long.
            assert_eq!(status, 200, "{named}: {answer}");
            continue;
        }
        assert_eq!(status, 413, "{named}: {answer}");
        let said = match case.body_bytes_max {
            0 => "takes no body".to_owned(),
            max => format!("({max} bytes)"),
        };
        assert!(answer.contains(&said), "{named}: {answer}");
        traces.push(trace);
        // One that is just as long as it may be is read.
        body.truncate(case.body_bytes_max);
        let (status, answer) = place.send(case.allowed, &call, &body);
        assert_ne!(status, 413, "{named}: {answer}");
    }
    place.end().hold(traces);
}

/// Calls of a route in vain, until it is refused for a limit.
const CALLS_MAX: usize = 100;

/// Sends a call until it is refused for its rate; how that is told.
fn over_the_rate(place: &Place, who: Who, call: &Call) -> String {
    let refused = (0..CALLS_MAX).find_map(|_| {
        let (status, answer) = place.send(who, call, b"x");
        (status == 429).then_some(answer)
    });
    refused.unwrap_or_else(|| panic!("{} {} has no rate", call.case.method, call.path))
}

#[test]
pub(crate) fn every_route_counts_towards_its_callers_calls_a_second() {
    let mut place = Place::new("");
    let calls = place.calls();
    place.restart(
        "[limits]\napi_calls_per_second_max = 2\ncalls_without_token_per_second_max = 2\n",
    );
    for call in &calls {
        let case = call.case;
        // Whoever knows a webhook's path has the limits of the workspace's jobs.
        let who = match case.allowed == Sender {
            true => Nobody,
            false => case.allowed,
        };
        let answer = over_the_rate(&place, who, call);
        let limit = match is_of_api(case) {
            true => "`api_calls_per_second_max` (2)",
            false => "`calls_without_token_per_second_max` (2)",
        };
        assert!(answer.contains(limit), "{answer}");
        assert!(answer.contains("too-many"), "{answer}");
    }
    // Whoever else calls has a rate of its own.
    let list = calls.iter().find(|call| call.case.operation == "job:list");
    let list = list.unwrap();
    over_the_rate(&place, Admin, list);
    assert_eq!(place.send(Analyst, list, b"").0, 200);
    let logs = place.end();
    for case in CASES {
        let who = match is_of_api(&case) {
            true => case.allowed,
            false => Nobody,
        };
        let recorded = logs.denials(who, case.operation, "limit");
        assert!(!recorded.is_empty(), "{}", case.operation);
    }
}

#[test]
pub(crate) fn every_route_of_the_api_counts_towards_its_callers_calls_at_once() {
    let place = Place::new("[limits]\napi_calls_at_once_max = 1\nwall_ms_max = 60_000\n");
    let calls = place.calls();
    let requests = || place.stage.upstream.effects()["requests"].as_u64().unwrap();
    let check = calls
        .iter()
        .find(|call| call.case.operation == "connection:check");
    let check = check.unwrap();
    place.stage.upstream.mode("hang");
    let seen = requests();
    let busy = [Admin, Platform].map(|who| place.waiting(who, check));
    place.stage.until("the requests of the checks", |_| {
        (requests() >= seen + 2).then_some(())
    });
    for call in calls.iter().filter(|call| is_of_api(call.case)) {
        let (status, answer) = place.send(call.case.allowed, call, b"");
        assert_eq!(status, 429, "{} {}: {answer}", call.case.method, call.path);
        assert!(answer.contains("`api_calls_at_once_max` (1)"), "{answer}");
        // Whoever else calls has room of its own.
        assert_ne!(place.send(Analyst, call, b"").0, 429);
    }
    // When those have ended, there is room again.
    drop(busy);
    let list = calls
        .iter()
        .find(|call| call.case.operation == "connection:list");
    for who in [Admin, Platform] {
        place.stage.until("room for a call", |_| {
            (place.send(who, list.unwrap(), b"").0 == 200).then_some(())
        });
    }
    let logs = place.end();
    for case in CASES.iter().filter(|case| is_of_api(case)) {
        let recorded = logs.denials(case.allowed, case.operation, "limit");
        assert!(!recorded.is_empty(), "{}", case.operation);
    }
}
