//! Components that nobody wrote: random code of the shape of a connector, which
//! imports functions of the host as it likes.
//!
//! Either they are refused with a reason, or each of their exports is called and
//! ends within its limits.

use std::sync::atomic::{AtomicU64, Ordering};

use arbitrary::Unstructured;
use keyway_ipc::Entrance;
use keyway_model::limit::TABLES_MAX;
use wasm_smith::{Config, Module};

use super::Target;
use crate::input::Input;
use crate::sandbox::with;
use crate::sandbox::world::surface;

pub(super) const TARGET: Target = Target {
    name: "component",
    run,
    tokens: &[
        "\x00",
        "\x01",
        "\u{ff}",
        "\x00\x00\x00\x00",
        "\x10\x27",
        "A",
        "\x0b",
    ],
    input_bytes_max: 4 << 10,
    memory_bytes_max: 256 << 20,
    test_inputs: 40,
};

/// How many components were not refused.
pub(crate) static RUN: AtomicU64 = AtomicU64::new(0);

/// What a module may have. The engine takes tables of functions and the
/// instructions for them, and no references to anything else, which the generator
/// cannot leave out: most modules `with_references` are refused.
fn config(with_references: bool) -> Config {
    let surface = surface();
    Config {
        available_imports: Some(surface.module.clone()),
        exports: Some(surface.module.clone()),
        max_funcs: 24,
        max_instructions: 80,
        max_memory32_bytes: 4 << 20,
        max_table_elements: 500,
        // The encoder adds one of its own.
        max_tables: TABLES_MAX as usize - 1,
        max_type_size: 100,
        // What the engine takes, and nothing that it refuses.
        bulk_memory_enabled: true,
        multi_value_enabled: true,
        reference_types_enabled: with_references,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        simd_enabled: true,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        extended_const_enabled: false,
        ..Config::default()
    }
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut answers = Input::new(input.piece(128));
    let mut choices = Unstructured::new(input.rest());
    let with_references = bytes.len().is_multiple_of(4);
    let Ok(module) = Module::new(config(with_references), &mut choices) else {
        return;
    };
    let Ok(component) = surface().component(module.to_bytes()) else {
        return;
    };
    with(|sandbox| {
        let Some(artifact) = sandbox.load(&component) else {
            return;
        };
        RUN.fetch_add(1, Ordering::Relaxed);
        let text = "{}".to_owned();
        for entrance in [
            Entrance::Action {
                name: "a".to_owned(),
                input: text.clone(),
            },
            Entrance::Poll {
                name: "a".to_owned(),
                input: text.clone(),
                cursor: None,
            },
            Entrance::Check,
            Entrance::Run { input: text },
        ] {
            drop(sandbox.call(artifact, entrance, &mut answers));
        }
        sandbox.unload(artifact);
    });
}
