//! Components that are small or valid, and hard on whoever compiles them.

use std::fmt::Write as _;

/// A bomb, by name.
pub(crate) struct Bomb {
    pub(crate) name: &'static str,
    pub(crate) text: fn() -> String,
    /// A part of what the installer says, or nothing where it may be taken.
    pub(crate) refused: Option<&'static str>,
}

/// At this limit the compiler ends itself, after seconds.
const LIMIT: &str = "compile_memory_bytes_max";

impl Bomb {
    /// Whether it takes the compiler all that it may have.
    pub(crate) fn is_heavy(&self) -> bool {
        self.refused == Some(LIMIT)
    }
}

fn around(module: &str) -> String {
    format!("(component (core module {module}))")
}

/// `piece`, many times.
fn many(times: usize, piece: impl Fn(usize) -> String) -> String {
    (0..times).fold(String::new(), |mut text, number| {
        write!(text, "{}", piece(number)).unwrap();
        text
    })
}

/// Whichever of its many values a local has after each of many branches.
pub(crate) fn branches(times: usize) -> String {
    const LOCALS: usize = 1_000;
    let branches = many(times, |n| {
        let (to, from) = (1 + n % LOCALS, 1 + (n * 7) % LOCALS);
        format!("(if (local.get 0) (then (local.set {to} (local.get {from}))))")
    });
    let locals = "i32 ".repeat(LOCALS);
    around(&format!("(func (param i32) (local {locals}) {branches})"))
}

pub(crate) const BOMBS: &[Bomb] = &[
    Bomb {
        name: "many-branches",
        text: || branches(50_000),
        refused: Some(LIMIT),
    },
    Bomb {
        name: "one-huge-function",
        text: || {
            let body = many(20_000, |n| {
                format!(
                    "(local.set 1 (i32.xor (local.get 1) (i32.mul (local.get 0) (i32.const {n}))))"
                )
            });
            around(&format!(
                "(func (param i32 i32) (result i32) {body} local.get 1)"
            ))
        },
        refused: None,
    },
    Bomb {
        name: "ten-thousand-functions",
        text: || around(&many(10_000, |_| "(func)".to_owned())),
        refused: None,
    },
    Bomb {
        name: "too-many-functions",
        text: || around(&many(65_537, |_| "(func)".to_owned())),
        refused: Some("functions"),
    },
    Bomb {
        name: "deep-blocks",
        text: || {
            let depth = 20_000;
            around(&format!(
                "(func (param i32) {}{})",
                many(depth, |_| "block (br_if 0 (local.get 0)) ".to_owned()),
                many(depth, |_| "end ".to_owned())
            ))
        },
        refused: None,
    },
    Bomb {
        name: "a-jump-to-everywhere",
        text: || {
            let depth = 2_000;
            around(&format!(
                "(func (param i32) {}(br_table {} (local.get 0)){})",
                many(depth, |_| "block ".to_owned()),
                many(50_000, |n| format!("{} ", n % depth)),
                many(depth, |_| "end ".to_owned())
            ))
        },
        refused: None,
    },
    Bomb {
        name: "too-many-locals",
        text: || around(&format!("(func (local {}))", "i64 ".repeat(50_001))),
        refused: Some("locals"),
    },
    Bomb {
        name: "types-that-double",
        text: || {
            let types = many(40, |n| format!("(type $t{} (tuple $t{n} $t{n}))", n + 1));
            format!("(component (type $t0 (tuple u8 u8)) {types})")
        },
        refused: Some("type size"),
    },
    Bomb {
        name: "types-that-nest",
        text: || {
            let types = many(300, |n| format!("(type $t{} (list $t{n}))", n + 1));
            format!("(component (type $t0 (list u8)) {types})")
        },
        refused: Some("too deep"),
    },
    Bomb {
        name: "many-core-instances",
        text: || {
            let instances = many(900, |_| "(core instance (instantiate $m))".to_owned());
            format!("(component (core module $m (func)) {instances})")
        },
        refused: Some("core instances"),
    },
    Bomb {
        name: "many-component-instances",
        text: || {
            let instances = many(900, |_| "(instance (instantiate $c))".to_owned());
            format!("(component (component $c) {instances})")
        },
        refused: Some("instances"),
    },
    Bomb {
        name: "instances-that-double",
        text: || {
            let nested = (0..20).fold("(component)".to_owned(), |inner, _| {
                format!("(component {inner} (instance (instantiate 0)) (instance (instantiate 0)))")
            });
            format!("(component {nested} (instance (instantiate 0)))")
        },
        refused: Some("composed"),
    },
    Bomb {
        name: "memory-with-far-data",
        text: || {
            around(r#"(memory 65536) (data (i32.const 0) "x") (data (i32.const 0xfffffff0) "x")"#)
        },
        refused: Some("memory_bytes_max"),
    },
    Bomb {
        name: "as-much-memory-as-there-may-be-with-data-at-its-end",
        text: || {
            around(r#"(memory 1024) (data (i32.const 0) "x") (data (i32.const 0x3fffff0) "x")"#)
        },
        refused: None,
    },
    Bomb {
        name: "many-data-segments",
        text: || {
            around(&format!(
                "(memory 1000) {}",
                many(4_097, |n| format!("(data (i32.const {}) \"x\")", n * 700))
            ))
        },
        refused: Some("segments of data"),
    },
    Bomb {
        name: "many-imports",
        text: || {
            let imports = many(100_000, |n| format!("(import \"a{n}\" (func))"));
            format!("(component {imports})")
        },
        refused: Some("imports"),
    },
];
