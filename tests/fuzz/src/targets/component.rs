//! Components that nobody wrote: random code of the shape of a connector, which
//! imports interfaces of the host as the input says. Its entries call functions of
//! them, with numbers out of the input, and then what is random.
//!
//! Either they are refused with a reason, or each of their exports is called and
//! ends within its limits.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use arbitrary::Unstructured;
use keyway_ipc::Entrance;
use keyway_model::limit::TABLES_MAX;
use keyway_runtime::{World, imports, linked_interfaces};
use parking_lot::Mutex;
use wasm_smith::{Config, Module};

use super::Target;
use crate::input::Input;
use crate::sandbox::outline::Outline;
use crate::sandbox::with;
use crate::sandbox::world::{is_of, surface};

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
/// The linked interfaces whose functions those imported.
pub(crate) static IMPORTED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
/// The host calls that those made, as the worker counts them.
pub(crate) static HOST_CALLS: AtomicU64 = AtomicU64::new(0);

/// Functions of a module beside those that it imports and exports.
const FURTHER_FUNCTIONS_MAX: usize = 8;

/// What a module may have. The engine takes tables of functions and the
/// instructions for them, and no references to anything else, which the generator
/// cannot leave out: most modules `with_references` are refused.
fn config(outline: &Outline, with_references: bool) -> Config {
    Config {
        module_shape: Some(outline.module()),
        max_funcs: outline.functions() + FURTHER_FUNCTIONS_MAX,
        max_instructions: 80,
        // The outline has one, and no second is taken.
        max_memories: 0,
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
    let outline = Outline::read(surface(), &mut input);
    let mut choices = Unstructured::new(input.rest());
    let with_references = bytes.len().is_multiple_of(4);
    let Ok(module) = Module::new(config(&outline, with_references), &mut choices) else {
        return;
    };
    let Ok(component) = surface().component(outline.around(&module.to_bytes())) else {
        return;
    };
    with(|sandbox| {
        let Some(artifact) = sandbox.load(&component) else {
            return;
        };
        RUN.fetch_add(1, Ordering::Relaxed);
        note_imports(&outline, &component);
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
            let (_, usage) = sandbox.call(artifact, entrance, &mut answers);
            HOST_CALLS.fetch_add(usage.host_calls.into(), Ordering::Relaxed);
        }
        sandbox.unload(artifact);
    });
}

/// Notes which linked interfaces a component imports for their functions: it may
/// import others for their types alone.
fn note_imports(outline: &Outline, component: &[u8]) {
    let imported = imports(component).expect("it is not refused");
    let linked = linked_interfaces(World::Connector);
    let mut noted = IMPORTED.lock();
    for interface in outline.interfaces() {
        if imported.iter().any(|it| it == interface) {
            noted.extend(linked.iter().copied().filter(|it| is_of(it, interface)));
        }
    }
}
