//! Each function of the host, called by itself with texts, small numbers and
//! handles: with handles that are none, and with one of its own resource, wherever
//! a guest can come by one.
//!
//! The driver says what it is about to call, so that it is known which functions
//! were reached; the broker's side hears what the worker says meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use keyway_ipc::{CallId, CallOutcome, HostCall, RequestId, ToBroker};
use keyway_model::manifest::imports::{Import, ImportClass, table};

use super::ways::{AFTER_HANDLE, Step, WAYS};
use crate::input::Input;
use crate::sandbox::world::surface;
use crate::sandbox::{HostFunction, driver_aloud, with};

/// How the driver reads the byte behind this one: as a number, as the register
/// whose value is meant, as the register that is pointed to.
pub(super) const NUMBER: u8 = 0;
pub(super) const REGISTER: u8 = 1;
pub(super) const POINTER: u8 = 2;

/// What a function is called with, again and again until it has all that it takes.
const PATTERNS: [[u8; 6]; 5] = [
    // A text of thirty letters, and where the answer goes.
    [POINTER, 64, NUMBER, 30, POINTER, 8],
    [NUMBER, 1, NUMBER, 0, POINTER, 8],
    [NUMBER, 0, NUMBER, 0, POINTER, 8],
    // The first and the second handle, if there are any.
    [REGISTER, 0, POINTER, 64, NUMBER, 30],
    [REGISTER, 1, NUMBER, 1, POINTER, 8],
];

/// What the broker answers out of: a call that brings no parameters, and a reply
/// whose body breaks off; anything else that is asked is granted.
const ANSWERS: [u8; 5] = [1, 0, 1, 100, 0];

/// Functions that no guest sees the end of.
pub(crate) const NEVER_RETURN: [&str; 13] = [
    // They end the guest.
    "wasi:cli/exit@0.2#exit",
    "wasi:cli/exit@0.2#exit-with-code",
    // No guest is given a handle that they take: there is no terminal,
    "wasi:cli/terminal-input@0.2#[resource-drop]terminal-input",
    "wasi:cli/terminal-output@0.2#[resource-drop]terminal-output",
    // and what comes in comes as the input of an action or a trigger.
    "wasi:http/types@0.2#[method]incoming-request.authority",
    "wasi:http/types@0.2#[method]incoming-request.consume",
    "wasi:http/types@0.2#[method]incoming-request.headers",
    "wasi:http/types@0.2#[method]incoming-request.method",
    "wasi:http/types@0.2#[method]incoming-request.path-with-query",
    "wasi:http/types@0.2#[method]incoming-request.scheme",
    "wasi:http/types@0.2#[resource-drop]incoming-request",
    "wasi:http/types@0.2#[resource-drop]response-outparam",
    "wasi:http/types@0.2#[static]response-outparam.set",
];

/// What the broker hears because of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    /// A host call that wants an answer.
    Question,
    /// A line of the log.
    Line,
    /// A piece of the body of a request that it was asked for before.
    Piece,
}

/// The functions of local interfaces that the broker hears anything of: what they write
/// is printed, and becomes lines, or is the next piece of the body of a request.
pub(crate) const WRITERS: [&str; 4] = [
    "wasi:io/streams@0.2#[method]output-stream.blocking-write-and-flush",
    "wasi:io/streams@0.2#[method]output-stream.blocking-write-zeroes-and-flush",
    "wasi:io/streams@0.2#[method]output-stream.write",
    "wasi:io/streams@0.2#[method]output-stream.write-zeroes",
];

/// One function of the host, and what became of its calls.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    /// Its interface as the table of imports names it, and its name.
    pub(crate) function: String,
    pub(crate) class: ImportClass,
    /// Whether the driver said that it called it.
    pub(crate) is_reached: bool,
    /// Whether it came back to its caller at least once.
    pub(crate) has_returned: bool,
    pub(crate) said: BTreeSet<Said>,
}

/// Calls every function; once in a process.
pub(crate) fn all() -> &'static [Called] {
    static CALLED: OnceLock<Vec<Called>> = OnceLock::new();
    CALLED.get_or_init(|| {
        let (component, functions) = driver_aloud(surface());
        let caller = Caller::new(&component, &functions);
        (0..functions.len()).map(|it| caller.call(it)).collect()
    })
}

struct Caller<'a> {
    component: &'a [u8],
    functions: &'a [HostFunction],
    /// The number of each, by its name: where two interfaces have one name, no way uses it.
    numbers: BTreeMap<&'a str, usize>,
    lines: BTreeSet<String>,
}

impl<'a> Caller<'a> {
    fn new(component: &'a [u8], functions: &'a [HostFunction]) -> Self {
        let numbered = functions.iter().enumerate();
        Self {
            component,
            functions,
            numbers: numbered.map(|(at, it)| (it.name.as_str(), at)).collect(),
            lines: functions.iter().map(HostFunction::line).collect(),
        }
    }

    fn call(&self, number: usize) -> Called {
        let function = &self.functions[number];
        let line = line_of_the_table(function);
        let mut called = Called {
            function: format!("{}#{}", line.interface, function.name),
            class: line.class,
            is_reached: false,
            has_returned: false,
            said: BTreeSet::new(),
        };
        for pattern in PATTERNS {
            self.once(number, &[], &pattern, &mut called);
            let of_resource = resource(function);
            for way in WAYS.iter().filter(|way| Some(way.resource) == of_resource) {
                // `poll` takes a list of handles: a pointer to one.
                let kind = if function.name == "poll" {
                    POINTER
                } else {
                    REGISTER
                };
                let steps: Vec<Step> = way.steps.concat();
                let handle = [kind, way.register];
                let arguments: Vec<u8> = handle.into_iter().chain(pattern).collect();
                self.once(number, &steps, &arguments, &mut called);
            }
        }
        called
    }

    /// Goes all steps of a way, then calls the function with what `first` begins with.
    fn once(&self, number: usize, steps: &[Step], first: &[u8], called: &mut Called) {
        let function = &self.functions[number];
        let mut program: Vec<u8> = steps.iter().flat_map(|step| self.step(step)).collect();
        program.push(u8::try_from(number).expect("one byte says each function"));
        // Behind a handle, the pattern goes round and round.
        let pattern = &first[first.len() - PATTERNS[0].len()..];
        let arguments = first.iter().chain(pattern.iter().cycle());
        program.extend(arguments.take(2 * function.arguments));
        if function.name == "handle" {
            program.extend(AFTER_HANDLE.iter().flat_map(|step| self.step(step)));
        }
        let mut ear = Ear {
            lines: &self.lines,
            of_the_way: steps.iter().filter(|(name, _)| *name == "handle").count(),
            call: None,
            announced: Vec::new(),
            exchanges: Vec::new(),
            said: BTreeSet::new(),
        };
        let outcome = with(|sandbox| {
            let artifact = sandbox.load(self.component);
            let artifact = artifact.expect("the driver is a connector");
            let entrance = super::entrance(&program);
            let mut answers = Input::new(&ANSWERS);
            sandbox.overhear(artifact, entrance, &mut answers, &mut |it| ear.hear(it))
        });
        let reached = ear.announced.get(steps.len());
        assert!(
            reached.is_some() || steps.is_empty(),
            "the way of {} ends with {:?}: {outcome:?}",
            called.function,
            ear.announced.last()
        );
        called.is_reached |= reached == Some(&function.line());
        called.has_returned |= matches!(outcome, CallOutcome::Value(_));
        called.said.extend(ear.said);
    }

    fn step(&self, (name, arguments): &Step) -> Vec<u8> {
        let number = self.numbers.get(*name);
        let number = *number.unwrap_or_else(|| panic!("there is no function {name}"));
        let takes = self.functions[number].arguments;
        assert_eq!(arguments.len(), 2 * takes, "{name} takes {takes}");
        let mut bytes = vec![number as u8];
        bytes.extend(*arguments);
        bytes
    }
}

/// What is heard of one call of the driver.
struct Ear<'a> {
    /// What the driver says by itself.
    lines: &'a BTreeSet<String>,
    /// Requests that the way sends, before the function is called.
    of_the_way: usize,
    /// Which call this is, once it has said something.
    call: Option<CallId>,
    announced: Vec<String>,
    exchanges: Vec<RequestId>,
    said: BTreeSet<Said>,
}

impl Ear<'_> {
    fn hear(&mut self, message: &ToBroker) {
        match message {
            ToBroker::Host {
                call,
                request,
                host_call,
            } => {
                self.call = Some(*call);
                self.hear_host_call(*request, host_call);
            }
            ToBroker::Chunk { call, request, .. } => {
                if self.goes_on(*call, *request) {
                    self.said.insert(Said::Piece);
                }
            }
            // How an exchange ends, if by nothing else then by the end of its guest.
            ToBroker::ChunkEnd { call, request, .. }
            | ToBroker::Credit { call, request, .. }
            | ToBroker::Forget { call, request } => {
                self.goes_on(*call, *request);
            }
            ToBroker::Ready(_) | ToBroker::Loaded { .. } | ToBroker::Done { .. } => {}
        }
    }

    fn hear_host_call(&mut self, request: RequestId, host_call: &HostCall) {
        match host_call {
            HostCall::Log(lines) => {
                for line in lines {
                    if self.lines.contains(&line.message) {
                        self.announced.push(line.message.clone());
                    } else {
                        self.said.insert(Said::Line);
                    }
                }
            }
            HostCall::Http(_) if self.exchanges.len() < self.of_the_way => {
                self.exchanges.push(request);
            }
            HostCall::Http(_) => {
                self.exchanges.push(request);
                self.said.insert(Said::Question);
            }
            _ => {
                self.said.insert(Said::Question);
            }
        }
    }

    /// Whether this is of the call: an earlier one may have left something behind.
    fn goes_on(&self, call: CallId, request: RequestId) -> bool {
        let is_of_the_call = self.call == Some(call);
        assert!(
            !is_of_the_call || self.exchanges.contains(&request),
            "nobody asked for what {request:?} goes on with"
        );
        is_of_the_call
    }
}

/// The resource whose handle a function takes first, by its name.
fn resource(function: &HostFunction) -> Option<&str> {
    match function.name.as_str() {
        "poll" => Some("pollable"),
        "handle" => Some("outgoing-request"),
        "http-error-code" => Some("error"),
        "[constructor]outgoing-request" | "[constructor]outgoing-response" => Some("fields"),
        name => {
            let (_, method) = name.split_once(']')?;
            method.split('.').next()
        }
    }
}

fn line_of_the_table(function: &HostFunction) -> &'static Import {
    let is_its = |line: &&Import| {
        let name = line.function.as_deref();
        line.covers(&function.interface) && name.is_none_or(|name| name == function.name)
    };
    let mut lines = table().iter().filter(is_its);
    let (line, other) = (lines.next(), lines.next());
    assert!(other.is_none(), "{}: {line:?} {other:?}", function.line());
    line.unwrap_or_else(|| panic!("{} is in no line of wit/imports.toml", function.line()))
}
