//! What is compiled, what is refused, and what components import.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod support;

use std::collections::BTreeSet;

use keyway_confine::Confinement;
use keyway_runtime::{
    CompileError, CompileLimits, Compiled, Weaker, World, compile, compile_process,
    linked_interfaces,
};
use support::{Broker, guest};

const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// A section of a component.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len())
        .ok()
        .filter(|length| *length < 0x80)
        .unwrap();
    [&[id, length], content].concat()
}

#[test]
fn what_is_not_a_component_is_refused() {
    assert!(matches!(compile(b"hello"), Err(CompileError::Malformed(_))));
    assert!(matches!(compile(b""), Err(CompileError::Malformed(_))));
    assert!(matches!(compile(&MODULE), Err(CompileError::Module)));
    assert!(matches!(
        compile(&vec![0; (16 << 20) + 1]),
        Err(CompileError::TooLong(_))
    ));
}

#[test]
fn a_component_with_code_in_a_component_is_refused() {
    let inner = [COMPONENT.as_slice(), &section(1, &MODULE)].concat();
    let outer = [COMPONENT.as_slice(), &section(4, &inner)].concat();
    assert!(matches!(compile(&outer), Err(CompileError::Composed)));
}

#[test]
fn a_component_in_a_component_in_a_component_is_refused() {
    let inner = [COMPONENT.as_slice(), &section(4, &COMPONENT)].concat();
    let outer = [COMPONENT.as_slice(), &section(4, &inner)].concat();
    assert!(matches!(compile(&outer), Err(CompileError::Composed)));
}

#[test]
fn a_component_of_too_many_modules_is_refused() {
    let modules = section(1, &MODULE).repeat(9);
    let component = [COMPONENT.as_slice(), &modules].concat();
    assert!(matches!(
        compile(&component),
        Err(CompileError::TooMany { max: 8, .. })
    ));
}

#[test]
fn a_component_of_many_instances_is_refused() {
    let of = |part: &str, piece: &str, times| {
        let text = format!("(component {part} {})", piece.repeat(times));
        compile(&wat::parse_str(text).unwrap()).map(drop)
    };
    for (part, piece, times, max, what, name) in [
        (
            "(core module)",
            "(core instance (instantiate 0))",
            4,
            4,
            "core instances",
            "CORE_INSTANCES_MAX",
        ),
        (
            "(component)",
            "(instance (instantiate 0))",
            8,
            8,
            "component instances",
            "COMPONENT_INSTANCES_MAX",
        ),
        // Those that only gather exports, too.
        (
            "",
            "(core instance)",
            128,
            128,
            "instances",
            "INSTANCES_MAX",
        ),
        // And of what each of them would have.
        (
            "",
            "(core module (memory 1))",
            1,
            1,
            "linear memories",
            "MEMORIES_MAX",
        ),
        // Those of one module count like those of several.
        (
            "(core module (table 1 funcref) (table 1 funcref))",
            "(core module (table 1 funcref))",
            2,
            4,
            "tables",
            "TABLES_MAX",
        ),
        (
            "",
            "(component)",
            8,
            8,
            "nested components",
            "NESTED_COMPONENTS_MAX",
        ),
    ] {
        of(part, piece, times).unwrap();
        match of(part, piece, times + 1) {
            Err(CompileError::TooMany {
                what: said,
                name: limit,
                max: value,
            }) => {
                assert_eq!((said, limit, value), (what, name, max));
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn what_takes_a_compiler_more_than_its_bytes_is_counted() {
    let of = |piece: &str, times: usize| {
        let text = format!(
            "(component (core module (memory 1) (table 1 funcref) {}))",
            piece.repeat(times)
        );
        compile(&wat::parse_str(text).unwrap())
    };
    for (piece, max, what, name) in [
        ("(func)", 1 << 16, "functions", "FUNCTIONS_MAX"),
        (
            "(data (i32.const 0) \"\")",
            1 << 12,
            "segments of data",
            "SEGMENTS_MAX",
        ),
        (
            "(elem (i32.const 0))",
            1 << 12,
            "segments of tables",
            "SEGMENTS_MAX",
        ),
    ] {
        let refused = of(piece, max + 1).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("more than {max} {what} (`{name}`)")),
            "{refused}"
        );
    }
    let imports: String = (0..257)
        .map(|n| format!("(import \"a{n}\" (func))"))
        .collect();
    let component = wat::parse_str(format!("(component {imports})")).unwrap();
    let refused = compile(&component).unwrap_err().to_string();
    assert!(
        refused.contains("more than 256 imports (`IMPORTS_MAX`)"),
        "{refused}"
    );
    let long = format!("(func {})", "nop ".repeat((1 << 20) + 1));
    let refused = of(&long, 1).unwrap_err().to_string();
    assert!(refused.contains("`FUNCTION_BYTES_MAX`"), "{refused}");
}

#[test]
fn what_begins_with_more_than_any_call_may_have_is_refused_by_the_limits_name_and_value() {
    let of = |parts: &str| {
        let component = wat::parse_str(format!("(component (core module {parts}))"));
        compile(&component.unwrap()).map(drop)
    };
    assert!(of("(memory 1024) (table 20000 funcref)").is_ok());
    let refused = of("(memory 1025)").unwrap_err().to_string();
    assert!(
        refused.contains("`memory_bytes_max` (67108864)"),
        "{refused}"
    );
    let refused = of("(table 10001 funcref) (table 10000 funcref)").unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("`table_elements_max` (20000)"),
        "{refused}"
    );
}

#[test]
fn strings_are_utf_8_in_every_function_that_is_given_or_taken() {
    let of = |lifted: &str, lowered: &str| {
        let text = format!(
            r#"(component
              (import "log" (func $log (param "line" string)))
              (core module $m
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
                (func (export "take") (param i32 i32)))
              (core instance $i (instantiate $m))
              (alias core export $i "memory" (core memory $memory))
              (core func (canon lower (func $log) (memory $memory) string-encoding={lowered}))
              (func (export "take") (param "text" string)
                (canon lift (core func $i "take") (memory $memory)
                  (realloc (func $i "realloc")) string-encoding={lifted})))"#
        );
        compile(&wat::parse_str(text).unwrap()).map(drop)
    };
    assert!(of("utf8", "utf8").is_ok());
    for other in ["utf16", "latin1+utf16"] {
        for refused in [of(other, "utf8"), of("utf8", other)] {
            assert!(
                matches!(refused, Err(CompileError::Strings)),
                "{other}: {refused:?}"
            );
        }
    }
    let said = of("utf16", "utf8").unwrap_err().to_string();
    assert!(said.contains("build it with UTF-8"), "{said}");
}

#[test]
fn more_exports_than_a_connector_can_need_and_names_without_an_end_are_refused() {
    let exports = |count: usize, name: &str| {
        let exports: String = (0..count)
            .map(|n| format!("(export \"{name}{n}\" (instance $i))"))
            .collect();
        let text = format!("(component (instance $i) {exports})");
        compile(&wat::parse_str(text).unwrap()).map(drop)
    };
    assert!(exports(256, "a").is_ok());
    let refused = exports(257, "a").unwrap_err().to_string();
    assert!(
        refused.contains("more than 256 exports (`EXPORTS_MAX`)"),
        "{refused}"
    );
    let refused = exports(1, &"a".repeat(512)).unwrap_err().to_string();
    assert!(
        refused.contains("more than 512 bytes in the name"),
        "{refused}"
    );
}

/// Without its patch version, as `wit/imports.toml` names it.
fn without_patch(import: &str) -> String {
    match import.rsplit_once('.') {
        Some((minor, _)) if import.starts_with("wasi:") => minor.to_owned(),
        _ => import.to_owned(),
    }
}

#[test]
fn honest_guests_import_only_what_their_world_links() {
    let worlds = [
        ("echo", World::Connector),
        ("host", World::Connector),
        ("http", World::Connector),
        ("hostile", World::Connector),
        ("logic", World::Code),
        ("expressions", World::ExpressionEngine),
    ];
    for (name, world) in worlds {
        let linked = linked_interfaces(world);
        for import in compile(&guest(name)).unwrap().imports {
            // Types alone, which the worlds' exports use.
            if import == "keyway:guest/types@0.1.0" {
                continue;
            }
            let import = without_patch(&import);
            assert!(linked.contains(&import.as_str()), "{name} imports {import}");
        }
    }
}

#[test]
fn the_linker_offers_exactly_what_the_table_of_imports_lists() {
    let table: BTreeSet<&str> = keyway_model::manifest::imports::table()
        .iter()
        .map(|line| line.interface.as_str())
        // Types alone: a world names them, and nobody links them.
        .filter(|interface| *interface != "keyway:guest/types@0.1.0")
        .collect();
    let worlds = [World::Connector, World::Code, World::ExpressionEngine];
    let linked: BTreeSet<&str> = worlds.into_iter().flat_map(linked_interfaces).collect();
    assert_eq!(linked, table);
}

#[test]
fn only_connectors_have_a_way_out() {
    let out = "wasi:http/outgoing-handler@0.2";
    assert!(linked_interfaces(World::Connector).contains(&out));
    assert!(!linked_interfaces(World::Code).contains(&out));
    assert!(!linked_interfaces(World::ExpressionEngine).contains(&out));
}

#[tokio::test]
async fn a_guest_that_uses_files_or_sockets_does_not_load() {
    let mut broker = Broker::with("echo").await;
    let compiled = compile(&guest("outside")).unwrap();
    assert!(
        compiled
            .imports
            .iter()
            .any(|import| import.starts_with("wasi:filesystem/"))
    );
    assert!(
        compiled
            .imports
            .iter()
            .any(|import| import.starts_with("wasi:sockets/"))
    );
    broker.artifact = keyway_model::Digest::of(b"outside");
    let failed = broker.load(&compiled.code).await.unwrap();
    assert!(
        failed.contains("does not fit the world `connector`"),
        "{failed}"
    );
    assert!(failed.contains("wasi:"), "{failed}");
}

#[test]
fn the_compile_process_answers_with_code_or_a_reason() {
    let answer = |component: &[u8]| {
        let mut output = Vec::new();
        let confinement = Confinement::dangerous_none();
        let limits = CompileLimits::default();
        let weaker = Weaker::Refused;
        compile_process(confinement, &limits, weaker, component, &mut output).unwrap();
        postcard::from_bytes::<Result<Compiled, String>>(&output).unwrap()
    };
    assert_eq!(
        answer(&guest("logic")),
        Ok(compile(&guest("logic")).unwrap())
    );
    assert!(answer(&MODULE).unwrap_err().contains("wasm32-wasip2"));
}
