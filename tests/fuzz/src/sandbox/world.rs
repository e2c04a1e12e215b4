//! What a guest can import: every function of every linked interface, with its
//! type, read from a module that was made for that (`tests/guests/surface`).

use std::path::Path;
use std::sync::OnceLock;

use keyway_runtime::{World, linked_interfaces};
use wit_component::{
    ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata, metadata,
};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, WorldId};

/// The world of a connector, and a module that imports all of it and does nothing.
pub(crate) struct Surface {
    resolve: Resolve,
    world: WorldId,
    /// Imports every function and exports what a connector must.
    pub(crate) module: Vec<u8>,
}

/// Reads it once.
pub(crate) fn surface() -> &'static Surface {
    static SURFACE: OnceLock<Surface> = OnceLock::new();
    SURFACE.get_or_init(read)
}

fn read() -> Surface {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/target/wasm32-wasip2/release");
    let file = folder.join("guest_surface.wasm");
    let module = std::fs::read(&file).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; build the guests: cd tests/guests && cargo build --release",
            file.display()
        )
    });
    let (_, bindgen) = metadata::decode(&module).expect("the module says what it is made of");
    let mut resolve = bindgen.resolve;
    let world = bindgen.world;
    let linked = linked_interfaces(World::Connector);
    let unlinked: Vec<_> = resolve.worlds[world]
        .imports
        .keys()
        .filter(|key| !is_linked(&linked, &resolve.name_world_key(key)))
        .cloned()
        .collect();
    resolve.worlds[world]
        .imports
        .retain(|key, _| !unlinked.contains(key));
    let names: Vec<String> = resolve.worlds[world]
        .imports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    for interface in linked {
        let is_there = names.iter().any(|name| is_linked(&[interface], name));
        assert!(is_there, "nothing could import {interface}: {names:?}");
    }
    let module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    Surface {
        resolve,
        world,
        module,
    }
}

/// `wasi:io/poll@0.2.12` is linked by `wasi:io/poll@0.2`.
fn is_linked(linked: &[&str], name: &str) -> bool {
    name == "keyway:guest/types@0.1.0"
        || linked.iter().any(|known| {
            name.strip_prefix(known)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
}

impl Surface {
    /// A component of this world around `module`.
    pub(crate) fn component(&self, mut module: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        embed_component_metadata(&mut module, &self.resolve, self.world, StringEncoding::UTF8)?;
        ComponentEncoder::default().module(&module)?.encode()
    }
}
