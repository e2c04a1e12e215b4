//! What a guest can import: every function of every linked interface, once, with
//! its type, read from a module that was made for that (`tests/guests/surface`).

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
    // Each library brings the version of WASI that it was written for; a component imports the
    // highest of each interface, in the place of all.
    let merged = resolve.merge_world_imports_based_on_semver(world);
    merged.expect("what is linked together has versions that fit");
    let linked = linked_interfaces(World::Connector);
    let unlinked: Vec<_> = resolve.worlds[world]
        .imports
        .keys()
        .filter(|key| !is_importable(&linked, &resolve.name_world_key(key)))
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
        let imported = names.iter().filter(|name| is_of(interface, name));
        assert_eq!(imported.count(), 1, "of {interface}: {names:?}");
    }
    let module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    Surface {
        resolve,
        world,
        module,
    }
}

fn is_importable(linked: &[&str], name: &str) -> bool {
    name == "keyway:guest/types@0.1.0" || linked.iter().any(|interface| is_of(interface, name))
}

/// `wasi:io/poll@0.2.12` is linked by `wasi:io/poll@0.2`.
pub(crate) fn is_of(linked: &str, name: &str) -> bool {
    name.strip_prefix(linked)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Surface {
    /// A component of this world around `module`.
    pub(crate) fn component(&self, mut module: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        embed_component_metadata(&mut module, &self.resolve, self.world, StringEncoding::UTF8)?;
        ComponentEncoder::default().module(&module)?.encode()
    }
}
