//! What guests are linked with, interface by interface; nothing is added in
//! bulk. `wit/imports.toml` gives each of these its class, and a test compares
//! the two.

use std::fmt;

use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::p2::bindings::{cli, clocks, io, random};
use wasmtime_wasi_http::p2::bindings::{LinkOptions, http};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView as _};

use crate::bindings::{connection, log, scratch, state};
use crate::host::Guest;

/// What a component can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// A connector: the only one with a way out.
    Connector,
    /// Logic of a recipe.
    Code,
    /// Logic that also compiles expressions.
    ExpressionEngine,
}

impl World {
    /// The world that a component with these exports is written for.
    pub(crate) fn of_exports<'a>(exports: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut found = None;
        for export in exports {
            match export {
                "keyway:guest/actions@0.1.0" => return Some(Self::Connector),
                "keyway:guest/expressions@0.1.0" => return Some(Self::ExpressionEngine),
                "keyway:guest/logic@0.1.0" => found = Some(Self::Code),
                _ => {}
            }
        }
        found
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connector => "connector",
            Self::Code => "code",
            Self::ExpressionEngine => "expression-engine",
        })
    }
}

/// The interfaces that a guest of `world` can import, as they are named in
/// `wit/imports.toml` (WASI without its patch version).
pub fn linked_interfaces(world: World) -> Vec<&'static str> {
    of_world(world).map(|interface| interface.name).collect()
}

struct Interface {
    name: &'static str,
    add: fn(&mut Linker<Guest>) -> wasmtime::Result<()>,
}

/// Adds one interface that [`Guest`] itself implements.
macro_rules! own {
    ($name:literal, $($module:ident)::+) => {
        Interface {
            name: $name,
            add: |linker| $($module)::+::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest),
        }
    };
}

const EVERY_WORLD: &[Interface] = &[
    own!("wasi:io/error@0.2", io::error),
    own!("wasi:io/poll@0.2", io::poll),
    own!("wasi:io/streams@0.2", io::streams),
    own!("wasi:clocks/monotonic-clock@0.2", clocks::monotonic_clock),
    own!("wasi:clocks/wall-clock@0.2", clocks::wall_clock),
    own!("wasi:random/random@0.2", random::random),
    own!("wasi:random/insecure@0.2", random::insecure),
    own!("wasi:random/insecure-seed@0.2", random::insecure_seed),
    own!("wasi:cli/environment@0.2", cli::environment),
    own!("wasi:cli/exit@0.2", cli::exit),
    own!("wasi:cli/stdin@0.2", cli::stdin),
    own!("wasi:cli/stdout@0.2", cli::stdout),
    own!("wasi:cli/stderr@0.2", cli::stderr),
    own!("wasi:cli/terminal-input@0.2", cli::terminal_input),
    own!("wasi:cli/terminal-output@0.2", cli::terminal_output),
    own!("wasi:cli/terminal-stdin@0.2", cli::terminal_stdin),
    own!("wasi:cli/terminal-stdout@0.2", cli::terminal_stdout),
    own!("wasi:cli/terminal-stderr@0.2", cli::terminal_stderr),
    own!("keyway:host/log@0.1.0", log),
];

const CONNECTORS: &[Interface] = &[
    own!("keyway:host/connection@0.1.0", connection),
    own!("keyway:host/scratch@0.1.0", scratch),
    own!("keyway:host/state@0.1.0", state),
    Interface {
        name: "wasi:http/types@0.2",
        add: |linker| {
            let options = (&LinkOptions::default()).into();
            http::types::add_to_linker::<_, WasiHttp>(linker, &options, Guest::http)
        },
    },
    Interface {
        name: "wasi:http/outgoing-handler@0.2",
        add: |linker| http::outgoing_handler::add_to_linker::<_, WasiHttp>(linker, Guest::http),
    },
];

fn of_world(world: World) -> impl Iterator<Item = &'static Interface> {
    let more = match world {
        World::Connector => CONNECTORS,
        World::Code | World::ExpressionEngine => &[],
    };
    EVERY_WORLD.iter().chain(more)
}

/// One linker for those with a way out, one for those without.
pub(crate) struct Linkers {
    connector: Linker<Guest>,
    logic: Linker<Guest>,
}

impl Linkers {
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        Ok(Self {
            connector: link(engine, World::Connector)?,
            logic: link(engine, World::Code)?,
        })
    }

    pub(crate) const fn of(&self, world: World) -> &Linker<Guest> {
        match world {
            World::Connector => &self.connector,
            World::Code | World::ExpressionEngine => &self.logic,
        }
    }
}

fn link(engine: &Engine, world: World) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    for interface in of_world(world) {
        (interface.add)(&mut linker)?;
    }
    Ok(linker)
}
