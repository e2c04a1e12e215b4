//! The table: attack, guests that try it, how each of them ends, and the tests
//! that look closer.

use std::collections::BTreeSet;

/// A guest of the tests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guest {
    /// `tests/guests/hostile`, and what it does.
    Rust(&'static str),
    /// A file of `tests/guests/text`.
    Text(&'static str),
}

/// How a case ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// At a limit, which the job names.
    Limit(&'static str),
    /// In a trap; the job says this.
    Trap(&'static str),
    /// With an answer, which holds this.
    Answer(&'static str),
    /// It is not installed; the installer says this.
    Refused(&'static str),
}

pub(crate) struct Case {
    pub(crate) guest: Guest,
    pub(crate) end: End,
}

/// What a row tries beside its cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Also {
    Nothing,
    /// Components that are hard to compile, one after the other.
    Bombs,
    /// Compiled code in the place of a component, and code of somebody else in the
    /// place of what was compiled.
    Forged,
    /// Callers that go away while a guest runs for them, and calls whose time ends.
    Departures,
}

impl Also {
    /// What a deployment is configured with for it.
    pub(crate) const fn configuration(self) -> &'static str {
        match self {
            // Fewer than the connectors that are called by turns: what was called
            // before is read again from the disk.
            Self::Forged => "[workers]\ncomponents_held_max = 3\n",
            Self::Nothing | Self::Bombs | Self::Departures => "",
        }
    }
}

pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) attack: &'static str,
    pub(crate) cases: &'static [Case],
    pub(crate) also: Also,
    /// Tests that look at the row by itself.
    pub(crate) tests: &'static [&'static str],
}

const fn rust(action: &'static str, end: End) -> Case {
    Case {
        guest: Guest::Rust(action),
        end,
    }
}

const fn text(name: &'static str, end: End) -> Case {
    Case {
        guest: Guest::Text(name),
        end,
    }
}

/// Every action of the guest in Rust that a case uses.
pub(crate) fn actions() -> Vec<&'static str> {
    let cases = ROWS.iter().flat_map(|row| row.cases);
    let actions: BTreeSet<&str> = cases
        .filter_map(|case| match case.guest {
            Guest::Rust(action) => Some(action),
            Guest::Text(_) => None,
        })
        .collect();
    actions.into_iter().collect()
}

use Also::{Bombs, Departures, Forged, Nothing};
use End::{Answer, Limit, Refused, Trap};

pub(crate) const ROWS: &[Row] = &[
    Row {
        number: 1,
        attack: "a loop without an end, also before the first function and where the host asks for memory",
        cases: &[
            rust("spin", Limit("cpu_ms_max")),
            text("start_loop", Limit("cpu_ms_max")),
            text("realloc_loop", Limit("cpu_ms_max")),
            text("bulk_loop", Limit("cpu_ms_max")),
        ],
        also: Nothing,
        tests: &["a_loop_ends_soon_after_its_time"],
    },
    Row {
        number: 2,
        attack: "more memory than allowed",
        cases: &[
            rust("memory", Limit("memory_bytes_max")),
            text("memory_grow", Limit("memory_bytes_max")),
            text("huge_memory", Refused("`memory_bytes_max` (67108864)")),
        ],
        also: Nothing,
        tests: &["memory_bombs_stay_within_their_limit_and_leave_no_memory_behind"],
    },
    Row {
        number: 3,
        attack: "more table than allowed",
        cases: &[
            text("table_bomb", Limit("table_elements_max")),
            text("huge_table", Refused("`table_elements_max` (20000)")),
            text("table_64", Refused("64-bit")),
            text("memory_64", Refused("64-bit")),
        ],
        also: Nothing,
        tests: &["a_module_with_a_feature_beyond_wasi_0_2_is_refused"],
    },
    Row {
        number: 4,
        attack: "a stack without an end",
        cases: &[
            rust("deep", Limit("STACK_BYTES_MAX")),
            rust("recursion", Trap("out of bounds memory access")),
            text("mutual_recursion", Limit("STACK_BYTES_MAX")),
            text("recursion_into_host", Limit("STACK_BYTES_MAX")),
        ],
        also: Nothing,
        tests: &["every_setting_of_the_engine_is_the_one_that_was_reviewed"],
    },
    Row {
        number: 5,
        attack: "a flood of host calls",
        cases: &[
            rust("host-call-flood", Limit("host_calls_max")),
            rust("parameter-flood", Limit("host_calls_max")),
            rust("many-host-calls", Answer("survived")),
            rust("hoard-state", Answer("state_keys_max")),
        ],
        also: Nothing,
        tests: &["a_short_call_does_not_wait_for_each_of_many_loops"],
    },
    Row {
        number: 6,
        attack: "floods of tasks, streams and futures: the ABI that has them is off",
        cases: &[
            text("async_export", Refused("async")),
            text("task_flood", Refused("async")),
            text("stream_flood", Refused("async")),
        ],
        also: Nothing,
        tests: &["a_component_with_a_feature_beyond_wasi_0_2_is_refused"],
    },
    Row {
        number: 7,
        attack: "handles, and instances of parts, without an end",
        cases: &[
            rust("handles", Limit("handles_max")),
            rust("handles-freed", Answer("survived")),
            text("many_instances", Refused("core instances")),
        ],
        also: Nothing,
        tests: &["a_component_of_many_instances_is_refused"],
    },
    Row {
        number: 8,
        attack: "huge and wild values across the boundary",
        cases: &[
            rust("huge-string", Limit("host_call_bytes_max")),
            rust("huge-list", Limit("host_call_bytes_max")),
            rust("huge-output", Limit("value_bytes_max")),
            text("wild_string", Trap("out of bounds of memory")),
            text("wild_result", Trap("out of bounds of memory")),
            text("wild_realloc", Trap("beyond end of memory")),
            text("not_text", Trap("invalid utf-8")),
            text("wrong_case", Trap("discriminant")),
        ],
        also: Nothing,
        tests: &[],
    },
    Row {
        number: 9,
        attack: "what the host keeps, over many small calls",
        cases: &[
            rust("hoard-bodies", Limit("RETAINED_BYTES_MAX")),
            rust("hoard-fields", Limit("FIELD_BYTES_MAX")),
            rust("hoard-requests", Limit("host_calls_in_flight_max")),
        ],
        also: Nothing,
        tests: &[
            "what_leaves_makes_room_for_more",
            "hoards_stay_within_their_budget",
        ],
    },
    Row {
        number: 10,
        attack: "floods and escapes in the log",
        cases: &[
            rust("log-flood", Answer("survived")),
            rust("print-flood", Answer("survived")),
            rust("long-lines", Answer("survived")),
            rust("log-escapes", Answer("survived")),
            rust("failure-escapes", Trap("before")),
        ],
        also: Nothing,
        tests: &[
            "nothing_that_a_terminal_would_obey_reaches_people",
            "a_flooded_log_is_cut_and_says_so_in_one_line",
        ],
    },
    Row {
        number: 11,
        attack: "random bytes without an end, clocks to measure by",
        cases: &[
            rust("random", Limit("random_bytes_max")),
            rust("random-flood", Limit("cpu_ms_max")),
            rust("clocks", Answer("monotonic_ns")),
        ],
        also: Nothing,
        tests: &["no_clock_of_a_guest_steps_by_less_than_a_millisecond"],
    },
    Row {
        number: 12,
        attack: "headers: too many, too long, ill-formed",
        cases: &[
            rust("header-flood", Limit("FIELD_BYTES_MAX")),
            rust("header-list", Limit("FIELD_BYTES_MAX")),
            rust("header-names", Answer(r#"{"taken":[]}"#)),
        ],
        also: Nothing,
        tests: &[],
    },
    Row {
        number: 13,
        attack: "waiting for ever, for nothing, and for no time",
        cases: &[
            rust("sleep", Limit("wall_ms_max")),
            rust("never-ready", Limit("wall_ms_max")),
            rust("no-time-at-all", Limit("_ms_max")),
            rust("timeouts", Answer("Ok(200)")),
        ],
        also: Nothing,
        tests: &[],
    },
    Row {
        number: 14,
        attack: "components that are hard to compile",
        cases: &[],
        also: Bombs,
        tests: &["bombs_for_the_compiler_are_refused_or_compiled_and_hurt_nobody"],
    },
    Row {
        number: 15,
        attack: "forged compiled code, also in the place of what the host has compiled",
        cases: &[
            text("genuine_code", Answer("genuine")),
            text("foreign_code", Answer("foreign")),
        ],
        also: Forged,
        tests: &[
            "compiled_code_is_not_an_artifact",
            "code_that_is_changed_while_calls_are_served_is_compiled_again_and_told_of",
            "compiled_code_that_was_tampered_with_is_not_run",
        ],
    },
    Row {
        number: 16,
        attack: "callers that go away in the middle, and time that ends there",
        cases: &[],
        also: Departures,
        tests: &[
            "ten_thousand_callers_go_away_and_nothing_of_their_calls_stays",
            "the_record_of_a_call_whose_caller_went_away_says_so",
            "callers_that_go_away_cost_nobody_anything",
        ],
    },
    Row {
        number: 17,
        attack: "a panic in a function of the host",
        cases: &[
            rust("odd-arguments", Answer("survived")),
            rust("empty-poll", Trap("empty poll list")),
            rust("unasked-write", Trap("write")),
            rust("endless-zeroes", Limit("RETAINED_BYTES_MAX")),
            rust("panic", Trap("unreachable")),
            rust("exit", Trap("ended itself")),
        ],
        also: Nothing,
        tests: &["a_panic_of_a_host_function_ends_its_call_and_nothing_else"],
    },
    Row {
        number: 18,
        attack: "handles forged, dropped, of another type; entering again; wrong types",
        cases: &[
            rust("forged-handle", Trap("unknown handle index")),
            rust("dropped-handle", Trap("unknown handle index")),
            rust("foreign-handle", Trap("wrong type")),
            rust("dropped-parent", Trap("has children")),
            text("reentrance", Trap("cannot leave component instance")),
            text("wrong_signature", Trap("indirect call type mismatch")),
        ],
        also: Nothing,
        tests: &[],
    },
    Row {
        number: 19,
        attack: "looking for what others left",
        cases: &[
            rust("leave-canary", Answer("survived")),
            rust("find-canary", Answer(r#""found":0"#)),
            text("leftover_table", Answer(r#""found":0"#)),
            text("leftover_stack", Answer(r#""found":0"#)),
        ],
        also: Nothing,
        tests: &["nothing_that_a_call_leaves_is_found_by_the_next"],
    },
    Row {
        number: 20,
        attack: "reading a worker's whole memory, by a fault or by timing: there is no key in it",
        cases: &[
            rust("search-memory", Answer(r#""found":0"#)),
            text("beyond_memory", Trap("out of bounds memory access")),
            text("beyond_table", Trap("undefined element")),
            text("by_timing", Answer(r#""told":0"#)),
        ],
        also: Nothing,
        tests: &["no_key_and_no_credential_is_in_the_memory_of_any_worker"],
    },
    Row {
        number: 21,
        attack: "learning about the host from its errors",
        cases: &[
            rust("errors", Answer("HttpRequestDenied")),
            text("unknown_import", Refused("keyway:host/secrets")),
        ],
        also: Nothing,
        tests: &["errors_tell_a_guest_nothing_about_the_host"],
    },
];
