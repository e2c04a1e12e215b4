//! Route by route: who may call it, who may not, how long its body may be, what
//! happens to too many calls, and where each of these is recorded.
//!
//! [`CASES`] is held against `docs/api.md`, which is made from the router: a new
//! route fails here until it has a case, and a case runs for real.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Stage, split};
use crate::quarantine::platform_records;
use crate::routes::{Api, documented, fits, routes, two_workspaces};

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Whoever may open the deployment's socket.
    Platform,
    /// An administrator of the workspace.
    Admin,
    /// Somebody who may read there.
    Analyst,
    /// An administrator of another workspace.
    Rival,
    /// Somebody without a token: no principal, so no record.
    Nobody,
}

/// What is expected of one route.
struct Case {
    method: &'static str,
    path: &'static str,
    operation: &'static str,
    allowed: Who,
    denied: Who,
    body_bytes_max: usize,
}

/// A route that reads, below a workspace.
const fn read(path: &'static str, operation: &'static str, denied: Who) -> Case {
    Case {
        method: "GET",
        path,
        operation,
        allowed: Who::Admin,
        denied,
        body_bytes_max: 0,
    }
}

/// A route that changes something.
const fn change(path: &'static str, operation: &'static str, denied: Who) -> Case {
    Case {
        method: "POST",
        path,
        operation,
        allowed: Who::Admin,
        denied,
        body_bytes_max: 2 << 20,
    }
}

/// A route of the platform administrator.
const fn platform(case: Case) -> Case {
    Case {
        allowed: Who::Platform,
        ..case
    }
}

macro_rules! below {
    ($path:literal) => {
        concat!("/api/v1/workspaces/{ws}/{env}", $path)
    };
}

use Who::{Admin, Analyst, Nobody, Rival};

const CASES: [Case; 29] = [
    platform(change("/api/v1/workspaces", "workspace:create", Admin)),
    // Whoever has a token sees its own workspace there.
    platform(read("/api/v1/workspaces", "workspace:list", Nobody)),
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
    change(
        below!("/connectors/{connector}/revoke"),
        "connector:revoke",
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
    change(below!("/recipes/{name}/start"), "recipe:start", Analyst),
    change(below!("/recipes/{name}/stop"), "recipe:stop", Analyst),
    read(below!("/jobs"), "job:list", Rival),
    read(below!("/jobs/{id}"), "job:show", Rival),
    change(below!("/jobs/{id}/rerun"), "job:rerun", Analyst),
    read(below!("/limits"), "limits:show", Rival),
    change(below!("/limits"), "limits:set", Analyst),
    read(below!("/audit"), "audit:list", Analyst),
    read(below!("/audit/export"), "audit:export", Analyst),
    read(below!("/audit/key"), "audit:export", Analyst),
];

/// A call of one route, as it would be made.
struct Call<'c> {
    case: &'c Case,
    path: String,
    body: Value,
}

/// A deployment and everyone who calls it.
struct Place {
    stage: Stage,
    admin: Api,
    analyst: Api,
    rival: Api,
    job: String,
    digest: String,
    /// The token that is revoked.
    spare: String,
}

impl Place {
    fn new(config: &str) -> Self {
        let (stage, job, digest) = two_workspaces(config);
        let more = "--role admin --label spare --all-environments";
        let spare = stage.json(&format!("--workspace acme token create {more}"))["id"].clone();
        Self {
            admin: Api::of(&stage, "acme", "admin"),
            analyst: Api::of(&stage, "acme", "analyst"),
            rival: Api::of(&stage, "rival", "admin"),
            stage,
            job,
            digest,
            spare: spare.as_str().unwrap().to_owned(),
        }
    }

    /// Every route with a call that would be accepted.
    fn calls(&self) -> Vec<Call<'static>> {
        let below = routes(&self.job, &self.digest);
        let token = json!({ "workspace": "acme", "role": "analyst", "label": "l", "expires_in_seconds": 60 });
        CASES
            .iter()
            .map(|case| {
                let (path, body) = match (case.method, case.path) {
                    ("POST", "/api/v1/workspaces") => {
                        ("/workspaces".to_owned(), json!({ "name": "third" }))
                    }
                    ("POST", "/api/v1/tokens") => ("/tokens".to_owned(), token.clone()),
                    ("POST", "/api/v1/tokens/{id}/revoke") => {
                        (format!("/tokens/{}/revoke", self.spare), Value::Null)
                    }
                    ("POST", "/api/v1/alarms/{id}/acknowledge") => (
                        format!("/alarms/alm_{}/acknowledge", "0".repeat(32)),
                        Value::Null,
                    ),
                    (_, path) => match path.strip_prefix("/api/v1/workspaces/{ws}/{env}") {
                        None => (path.trim_start_matches("/api/v1").to_owned(), Value::Null),
                        Some(rest) => {
                            let call = below.iter().find(|(method, path, _)| {
                                *method == case.method && fits(rest, path)
                            });
                            let (_, path, body) =
                                call.unwrap_or_else(|| panic!("no call of {rest}"));
                            (format!("/workspaces/acme/development{path}"), body.clone())
                        }
                    },
                };
                Call { case, path, body }
            })
            .collect()
    }

    fn caller(&self, who: Who) -> Api {
        let api = |api: &Api| Api {
            address: api.address,
            token: api.token.clone(),
        };
        match who {
            Who::Admin => api(&self.admin),
            Who::Analyst => api(&self.analyst),
            Who::Rival => api(&self.rival),
            Who::Nobody => Api {
                token: "kwt_of-nobody".to_owned(),
                ..api(&self.admin)
            },
            Who::Platform => unreachable!("it comes by the socket"),
        }
    }

    fn send(&self, who: Who, call: &Call<'_>, body: &[u8]) -> (u16, String) {
        let path = format!("/api/v1{}", call.path);
        match who {
            Who::Platform => {
                let socket = self.stage.data().join("api.sock");
                crate::client::over_socket(&socket, call.case.method, &path, body)
            }
            Who::Admin | Who::Analyst | Who::Rival | Who::Nobody => {
                self.caller(who).send(call.case.method, &path, body)
            }
        }
    }

    /// How often it is recorded that `who` asked for an operation, with this
    /// decision; for a denial, with this reason.
    fn recorded(&self, who: Who, operation: &str, decision: &str, reason: Option<&str>) -> u64 {
        let workspace = match who {
            Who::Platform => return platform_records(&self.stage),
            Who::Rival => "rival",
            Who::Admin | Who::Analyst | Who::Nobody => "acme",
        };
        let log = self
            .stage
            .json(&format!("--workspace {workspace} audit list --limit 1000"));
        let fitting = log.as_array().unwrap().iter().filter(|line| {
            let record = &line["record"];
            record["operation"] == operation
                && record["decision"] == decision
                && reason.is_none_or(|reason| record["reason"] == reason)
                && record["actor"]["principal"]
                    .as_str()
                    .unwrap()
                    .starts_with("tok_")
        });
        fitting.count() as u64
    }
}

/// The body of a call, as it is sent.
fn bytes(body: &Value) -> Vec<u8> {
    if body.is_null() {
        return Vec::new();
    }
    body.to_string().into_bytes()
}

#[test]
fn every_route_has_a_case_with_the_operation_and_the_limit_that_are_documented() {
    let cases = CASES.iter().map(|case| {
        let part = |text: &str| text.to_owned();
        (
            part(case.method),
            part(case.path),
            part(case.operation),
            case.body_bytes_max,
        )
    });
    let documented: BTreeSet<_> = documented()
        .into_iter()
        .map(|route| {
            (
                route.method,
                route.path,
                route.operation,
                route.body_bytes_max,
            )
        })
        .collect();
    assert_eq!(cases.collect::<BTreeSet<_>>(), documented);
}

#[test]
fn every_route_serves_who_may_call_it_and_that_is_recorded() {
    let place = Place::new("");
    for call in place.calls() {
        let case = call.case;
        let recorded = || place.recorded(case.allowed, case.operation, "allowed", None);
        let before = recorded();
        let (status, answer) = place.send(case.allowed, &call, &bytes(&call.body));
        // There is no such alarm, which only who may ask for it is told; an
        // empty artifact is none.
        let is_served = match case.operation {
            "alarm:acknowledge" => status == 404,
            "connector:install" => status == 422,
            _ => status == 200 || status == 409,
        };
        assert!(
            is_served,
            "{} {}: {status} {answer}",
            case.method, call.path
        );
        assert!(recorded() > before, "{} {}", case.method, call.path);
    }
}

#[test]
fn every_route_is_refused_to_who_may_not_call_it_and_that_is_recorded() {
    let place = Place::new("");
    for call in place.calls() {
        let case = call.case;
        let recorded = || place.recorded(case.denied, case.operation, "denied", None);
        let before = recorded();
        let (status, answer) = place.send(case.denied, &call, &bytes(&call.body));
        let expected = match case.denied {
            Who::Nobody => 401,
            Who::Rival => 404,
            Who::Platform | Who::Admin | Who::Analyst => 403,
        };
        assert_eq!(status, expected, "{} {}: {answer}", case.method, call.path);
        if case.denied != Who::Nobody {
            assert_eq!(recorded(), before + 1, "{} {}", case.method, call.path);
        }
    }
}

#[test]
fn every_route_refuses_a_body_that_is_longer_than_documented_and_records_it() {
    let place = Place::new("");
    for call in place.calls() {
        let case = call.case;
        let recorded = || place.recorded(case.allowed, case.operation, "denied", Some("limit"));
        let before = recorded();
        let mut body = bytes(&call.body);
        body.resize(case.body_bytes_max + 1, b' ');
        let (status, answer) = place.send(case.allowed, &call, &body);
        assert_eq!(status, 413, "{} {}: {answer}", case.method, call.path);
        let said = match case.body_bytes_max {
            0 => "takes no body".to_owned(),
            max => format!("({max} bytes)"),
        };
        assert!(
            answer.contains(&said),
            "{} {}: {answer}",
            case.method,
            call.path
        );
        assert_eq!(recorded(), before + 1, "{} {}", case.method, call.path);
        // One that is just as long as it may be is read.
        body.truncate(case.body_bytes_max);
        let (status, answer) = place.send(case.allowed, &call, &body);
        assert_ne!(status, 413, "{} {}: {answer}", case.method, call.path);
    }
}

/// Calls of a route in vain, until it is refused for a limit.
const CALLS_MAX: usize = 100;

#[test]
fn every_route_counts_towards_its_callers_calls_a_second() {
    let mut place = Place::new("");
    let calls = place.calls();
    place
        .stage
        .configure_again("[api]\ncalls_per_second_max = 2\n");
    let address = split(&format!("{}/", place.stage.ready["api"].as_str().unwrap())).0;
    (place.admin.address, place.rival.address) = (address, address);
    for call in &calls {
        let case = call.case;
        let refused = (0..CALLS_MAX).find_map(|_| {
            let (status, answer) = place.send(case.allowed, call, b"x");
            (status == 429).then_some(answer)
        });
        let answer = refused.unwrap_or_else(|| panic!("{} {} has no rate", case.method, call.path));
        assert!(
            answer.contains("`api_calls_per_second_max` (2)"),
            "{answer}"
        );
        assert!(answer.contains("too-many"), "{answer}");
        // Another caller has a rate of its own.
        assert_ne!(place.send(Who::Nobody, call, b"").0, 429);
    }
    place.stage.configure_again("");
    let of_platform = |case: &&Case| case.allowed == Who::Platform;
    for case in CASES.iter().filter(|case| !of_platform(case)) {
        let recorded = place.recorded(case.allowed, case.operation, "denied", Some("limit"));
        assert!(recorded > 0, "{}", case.operation);
    }
    // Last, since it ends the deployment.
    let records = crate::platform_log::records(&mut place.stage);
    for case in CASES.iter().filter(of_platform) {
        let is_recorded = records.iter().any(|record| {
            record["operation"] == case.operation
                && record["decision"] == "denied"
                && record["reason"] == "limit"
        });
        assert!(is_recorded, "{}", case.operation);
    }
}

#[test]
fn every_route_counts_towards_its_callers_calls_at_once() {
    let place = Place::new("[api]\ncalls_at_once_max = 1\n\n[limits]\nwall_ms_max = 60_000\n");
    let calls = place.calls();
    place.stage.upstream.mode("hang");
    let seen = place.stage.upstream.effects()["requests"].as_u64();
    let check = calls
        .iter()
        .find(|call| call.case.operation == "connection:check");
    let check = check.unwrap();
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| place.send(Who::Admin, check, b""));
        place.stage.until("the check's request", |stage| {
            (stage.upstream.effects()["requests"].as_u64() > seen).then_some(())
        });
        for call in calls.iter().filter(|call| call.case.allowed == Who::Admin) {
            let (status, answer) = place.send(Who::Admin, call, b"");
            assert_eq!(status, 429, "{} {}: {answer}", call.case.method, call.path);
            assert!(answer.contains("`api_calls_at_once_max` (1)"), "{answer}");
            let recorded = place.recorded(Who::Admin, call.case.operation, "denied", Some("limit"));
            assert!(recorded > 0, "{}", call.case.operation);
            // Whoever else calls has room of its own.
            assert_ne!(place.send(Who::Analyst, call, b"").0, 429);
        }
        place.stage.upstream.mode("up");
        assert_eq!(busy.join().unwrap().0, 200);
    });
}
