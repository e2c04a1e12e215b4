//! What guests may not be written with. Each case is a component that uses one
//! feature of WebAssembly beyond what compilers for WASI 0.2 emit.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use keyway_runtime::{CompileError, compile};
use wasmparser::{Validator, WasmFeatures};

/// A component around one core module.
fn around(module: &str) -> Vec<u8> {
    wat::parse_str(format!("(component (core module {module}))")).unwrap()
}

/// Each is valid WebAssembly with its feature, as wasmtime would take it.
const MODULES: &[(&str, &str)] = &[
    ("64-bit memory", "(memory i64 1)"),
    ("64-bit tables", "(table i64 1 funcref)"),
    ("several memories", "(memory 1) (memory 1)"),
    ("tail calls", "(func $f return_call $f)"),
    (
        "relaxed vectors",
        "(func (param v128 v128 v128) (result v128) local.get 0 local.get 1 local.get 2 f32x4.relaxed_madd)",
    ),
    ("shared memory", "(memory 1 1 shared)"),
    (
        "atomic operations",
        "(memory 1) (func (result i32) i32.const 0 i32.atomic.load)",
    ),
    ("garbage collection", "(type (struct (field i32)))"),
    (
        "references to functions",
        "(type $f (func)) (func (param (ref $f)) local.get 0 call_ref $f)",
    ),
    ("exceptions", "(tag $e) (func throw $e)"),
    (
        "stack switching",
        "(type $f (func)) (type $c (cont $f)) (func (param (ref $f)) local.get 0 cont.new $c drop)",
    ),
    (
        "wide arithmetic",
        "(func (param i64 i64) (result i64 i64) local.get 0 local.get 1 i64.mul_wide_u)",
    ),
    ("custom page sizes", "(memory 1 (pagesize 1))"),
    (
        "arithmetic in constants",
        "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
    ),
];

/// The same of the component model.
const COMPONENTS: &[(&str, &str)] = &[
    (
        "an async export",
        r#"(core module $m (func (export "f") (result i32) i32.const 0)
              (func (export "cb") (param i32 i32 i32) (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func (export "f") async (canon lift (core func $i "f") async (callback (func $i "cb"))))"#,
    ),
    (
        "an async import",
        r#"(import "f" (func $f async)) (core func (canon lower (func $f) async))"#,
    ),
    ("tasks", "(core func (canon task.cancel))"),
    ("waitable sets", "(core func (canon waitable-set.new))"),
    (
        "streams",
        "(type $s (stream u8)) (core func (canon stream.new $s))",
    ),
    (
        "futures",
        "(type $f (future u8)) (core func (canon future.new $f))",
    ),
    ("subtasks", "(core func (canon subtask.drop))"),
    ("thread yields", "(core func (canon thread.yield))"),
    ("error contexts", "(core func (canon error-context.drop))"),
    ("lists of fixed length", "(type (list u8 4))"),
    ("maps", "(type (map string u8))"),
];

fn refused(feature: &str, component: &[u8]) {
    let known = Validator::new_with_features(WasmFeatures::all()).validate_all(component);
    known.unwrap_or_else(|error| panic!("{feature}: the case itself is wrong: {error}"));
    match compile(component) {
        Err(CompileError::Invalid(_)) => {}
        other => panic!("{feature}: {:?}", other.map(|compiled| compiled.code.len())),
    }
}

#[test]
fn a_module_with_a_feature_beyond_wasi_0_2_is_refused() {
    for (feature, module) in MODULES {
        refused(feature, &around(module));
    }
}

#[test]
fn a_component_with_a_feature_beyond_wasi_0_2_is_refused() {
    for (feature, text) in COMPONENTS {
        refused(
            feature,
            &wat::parse_str(format!("(component {text})")).unwrap(),
        );
    }
}

/// The refusals above are not those of a compiler that refuses everything.
#[test]
fn what_compilers_for_wasi_0_2_emit_is_taken() {
    for module in [
        "(memory 1) (table 1 funcref) (func (result i32 i64) i32.const 0 i64.const 0)",
        "(func (param v128) (result v128) local.get 0 i32x4.neg)",
        "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)))",
        "(func (param f32) (result i32) local.get 0 i32.trunc_sat_f32_s i32.extend8_s)",
        "(global $g (export \"g\") (mut i32) (i32.const 0))",
    ] {
        compile(&around(module)).unwrap_or_else(|error| panic!("{module}: {error}"));
    }
}
