//! A deployment and everyone who calls it, and what is recorded of their calls.

use std::io::Read;
use std::ops::Range;

use serde_json::{Value, json};

use super::routes::{CASES, Case};
use crate::client::{Way, over_socket, waiting};
use crate::harness::{Stage, artifact, order, raw, split};
use crate::platform_log::{Log, ended, is_done};
use crate::routes::{Api, fits, routes, two_workspaces};

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Whoever may open the deployment's socket.
    Platform,
    /// An administrator of the workspace.
    Admin,
    /// Somebody who may read there.
    Analyst,
    /// An administrator of another workspace.
    Rival,
    /// Whoever knows the path of the workspace's webhook.
    Sender,
    /// Somebody without a token, or with a path that is no webhook's.
    Nobody,
}

impl Who {
    /// Everybody whose log it is.
    const fn log(self) -> Log {
        match self {
            Self::Platform | Self::Nobody => Log::Platform,
            Self::Rival => Log::Of("rival"),
            Self::Admin | Self::Analyst | Self::Sender => Log::Of("acme"),
        }
    }

    /// How its principal begins in a record.
    const fn principal(self) -> &'static str {
        match self {
            Self::Platform => "platform:",
            Self::Nobody => "nobody",
            Self::Sender => "webhook:",
            Self::Rival | Self::Admin | Self::Analyst => "tok_",
        }
    }
}

/// A call of one route, as it would be made.
pub(super) struct Call {
    pub(super) case: &'static Case,
    pub(super) path: String,
    pub(super) body: Vec<u8>,
}

/// A deployment and everyone who calls it.
pub(super) struct Place {
    pub(super) stage: Stage,
    admin: Api,
    analyst: Api,
    rival: Api,
    job: String,
    digest: String,
    /// The token that is revoked.
    spare: String,
    /// The alarm that is acknowledged.
    alarm: String,
}

/// What a call must leave in a log.
pub(super) struct Trace {
    log: Log,
    /// Which of its records came with the call.
    span: Range<usize>,
    call: String,
    principal: &'static str,
    operation: &'static str,
    expected: Expected,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// That it was allowed and done.
    Done,
    /// That it was denied for this.
    Denied(&'static str),
}

impl Place {
    pub(super) fn new(config: &str) -> Self {
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
            alarm: format!("alm_{}", "0".repeat(32)),
        }
    }

    /// The same with an alarm: somebody has changed compiled code on the disk.
    pub(super) fn with_an_alarm() -> Self {
        let mut place = Self::new("");
        place.stage.serve = None;
        for file in std::fs::read_dir(place.stage.data().join("cache")).unwrap() {
            std::fs::write(file.unwrap().path(), "not ours").unwrap();
        }
        place.restart("");
        assert_eq!(place.stage.post(&place.hook(), &order(2)).0, 200);
        place.alarm = place.stage.until("the alarm", |stage| {
            let alarm = stage.json("alarm list")[0]["id"].clone();
            alarm.as_str().map(str::to_owned)
        });
        place
    }

    /// Ends the deployment and starts it with this configuration.
    pub(super) fn restart(&mut self, config: &str) {
        self.stage.configure_again(config);
        let address = split(&format!("{}/", self.stage.ready["api"].as_str().unwrap())).0;
        for api in [&mut self.admin, &mut self.analyst, &mut self.rival] {
            api.address = address;
        }
    }

    /// The webhook of the workspace's recipe.
    pub(super) fn hook(&self) -> String {
        let shown = self.stage.json("--workspace acme recipe show intake");
        shown["webhook_url"].as_str().unwrap().to_owned()
    }

    /// Every route with a call that is accepted.
    pub(super) fn calls(&self) -> Vec<Call> {
        let below = routes(&self.job, &self.digest);
        let hook = split(&self.hook()).1;
        let token = json!({ "workspace": "acme", "role": "analyst", "label": "l", "expires_in_seconds": 60 });
        let api = |path: &str| format!("/api/v1{path}");
        CASES
            .iter()
            .map(|case| {
                let (path, body) = match (case.method, case.path) {
                    ("POST", "/api/v1/workspaces") => {
                        (api("/workspaces"), bytes(&json!({ "name": "third" })))
                    }
                    ("GET", "/api/v1/workspaces/{ws}") => (api("/workspaces/acme"), Vec::new()),
                    ("POST", "/api/v1/tokens") => (api("/tokens"), bytes(&token)),
                    ("POST", "/api/v1/tokens/{id}/revoke") => {
                        (api(&format!("/tokens/{}/revoke", self.spare)), Vec::new())
                    }
                    ("POST", "/api/v1/alarms/{id}/acknowledge") => (
                        api(&format!("/alarms/{}/acknowledge", self.alarm)),
                        Vec::new(),
                    ),
                    ("POST", "/hooks/{path}") => (hook.clone(), bytes(&order(3))),
                    (_, path) => match path.strip_prefix("/api/v1/workspaces/{ws}/{env}") {
                        None => (path.to_owned(), Vec::new()),
                        Some(rest) => {
                            let call = below.iter().find(|(method, path, _)| {
                                *method == case.method && fits(rest, path)
                            });
                            let (_, path, body) =
                                call.unwrap_or_else(|| panic!("no call of {rest}"));
                            let body = match case.operation {
                                "connector:install" => {
                                    std::fs::read(artifact("orders.wasm")).unwrap()
                                }
                                _ => bytes(body),
                            };
                            (api(&format!("/workspaces/acme/development{path}")), body)
                        }
                    },
                };
                Call { case, path, body }
            })
            .collect()
    }

    /// Sends a call as somebody; status and answer.
    pub(super) fn send(&self, who: Who, call: &Call, body: &[u8]) -> (u16, String) {
        let method = call.case.method;
        if who == Who::Platform {
            let socket = self.stage.data().join("api.sock");
            return over_socket(&socket, method, &call.path, body);
        }
        let (listener, path) = match (call.case.listener, who) {
            ("webhook", Who::Sender) => ("webhook", call.path.clone()),
            ("webhook", _) => ("webhook", format!("{}x", call.path)),
            _ => ("api", call.path.clone()),
        };
        let url = format!("{}/", self.stage.ready[listener].as_str().unwrap());
        let authorization = format!("Bearer {}", self.token(who));
        let headers = [("authorization", authorization.as_str())];
        let (status, answer) = raw(split(&url).0, method, &path, &headers, body).unwrap();
        (status, String::from_utf8(answer).unwrap())
    }

    /// Sends a call of the API, and waits for its answer until this is dropped.
    pub(super) fn waiting(&self, who: Who, call: &Call) -> Box<dyn Read> {
        let socket = self.stage.data().join("api.sock");
        let way = match who {
            Who::Platform => Way::Socket(&socket),
            Who::Admin | Who::Analyst | Who::Rival | Who::Sender | Who::Nobody => {
                Way::Listener(self.admin.address, self.token(who))
            }
        };
        waiting(way, call.case.method, &call.path)
    }

    fn token(&self, who: Who) -> &str {
        match who {
            Who::Admin => &self.admin.token,
            Who::Analyst => &self.analyst.token,
            Who::Rival => &self.rival.token,
            Who::Sender | Who::Nobody => "kwt_of-nobody",
            Who::Platform => unreachable!("it comes by the socket"),
        }
    }

    /// Sends a call, and notes what must be recorded of it.
    pub(super) fn traced(
        &self,
        who: Who,
        call: &Call,
        body: &[u8],
        expected: Expected,
    ) -> ((u16, String), Trace) {
        let log = who.log();
        let before = log.length(&self.stage);
        let answer = self.send(who, call, body);
        let trace = Trace {
            log,
            span: before..log.length(&self.stage),
            call: format!("{} {}: {}", call.case.method, call.path, answer.1),
            principal: who.principal(),
            operation: call.case.operation,
            expected,
        };
        (answer, trace)
    }

    /// Ends the deployment; what its logs hold.
    pub(super) fn end(mut self) -> Logs {
        self.stage.serve = None;
        let logs = [Log::Platform, Log::Of("acme"), Log::Of("rival")];
        let records = ended(&self.stage, logs);
        Logs(logs.into_iter().zip(records).collect())
    }
}

/// The records of everybody.
pub(super) struct Logs(Vec<(Log, Vec<Value>)>);

impl Logs {
    fn of(&self, log: Log) -> &[Value] {
        &self.0.iter().find(|(one, _)| *one == log).unwrap().1
    }

    /// Whether each call has left exactly what it must.
    pub(super) fn hold(&self, traces: Vec<Trace>) {
        for trace in traces {
            let records = self.of(trace.log);
            let fitting = records[trace.span.clone()]
                .iter()
                .filter(|record| trace.fits(records, record));
            assert_eq!(
                fitting.count(),
                1,
                "{:?} of {} by {} in {:?}, {}: {:#?}",
                trace.expected,
                trace.operation,
                trace.principal,
                trace.log,
                trace.call,
                &records[trace.span.clone()]
            );
        }
    }

    /// Records that somebody was denied an operation for a reason.
    pub(super) fn denials(&self, who: Who, operation: &str, reason: &str) -> Vec<&Value> {
        let of_whom = self.of(who.log()).iter();
        let fitting = of_whom.filter(|record| {
            says(record, who.principal(), operation)
                && record["decision"] == "denied"
                && record["reason"] == reason
        });
        fitting.collect()
    }
}

impl Trace {
    /// The call must have left no record at all.
    pub(super) fn left_nothing(&self) {
        assert!(self.span.is_empty(), "{}: {:?}", self.call, self.span);
    }

    fn fits(&self, records: &[Value], record: &Value) -> bool {
        says(record, self.principal, self.operation)
            && match self.expected {
                Expected::Done => record["decision"] == "allowed" && is_done(records, record),
                Expected::Denied(reason) => {
                    record["decision"] == "denied" && record["reason"] == reason
                }
            }
    }
}

fn says(record: &Value, principal: &str, operation: &str) -> bool {
    let who = record["actor"]["principal"].as_str();
    record["operation"] == operation && who.is_some_and(|who| who.starts_with(principal))
}

/// The body of a call, as it is sent.
fn bytes(body: &Value) -> Vec<u8> {
    if body.is_null() {
        return Vec::new();
    }
    body.to_string().into_bytes()
}
