//! Loading compiled code: the one place where bytes become something that runs.

use std::os::fd::OwnedFd;

use wasmtime::component::Component;

use crate::bindings::code::CodePre;
use crate::bindings::connector::ConnectorPre;
use crate::bindings::expressions::ExpressionEnginePre;
use crate::engine::Runner;
use crate::host::Guest;
use crate::linker::{Linkers, World};
use crate::sealed::{self, SealError};

/// Why compiled code cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It did not arrive as it should.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It was made by another compiler or with other settings.
    #[error("compiled code does not fit this worker, compile the component again: {0:#}")]
    Foreign(wasmtime::Error),
    /// It exports none of the worlds.
    #[error("the component exports neither `keyway:guest/actions` nor `keyway:guest/logic`")]
    NoWorld,
    /// It imports what its world does not have, or lacks an export.
    #[error("the component does not fit the world `{world}`: {cause:#}")]
    Unfit {
        /// Which world its exports say.
        world: World,
        /// What is missing.
        cause: wasmtime::Error,
    },
}

/// A component that is ready to be instantiated.
pub(crate) enum Loaded {
    Connector(ConnectorPre<Guest>),
    Code(CodePre<Guest>),
    Expressions(ExpressionEnginePre<Guest>),
}

/// Loads what the broker compiled and sealed.
pub(crate) fn load(
    runner: &Runner,
    linkers: &Linkers,
    file: OwnedFd,
    length: u64,
) -> Result<Loaded, LoadError> {
    let component = trust(runner, file, length)?;
    let ty = component.component_type();
    let exports = ty.exports(&runner.engine).map(|(name, _)| name);
    let world = World::of_exports(exports).ok_or(LoadError::NoWorld)?;
    let unfit = |cause| LoadError::Unfit { world, cause };
    let pre = linkers
        .of(world)
        .instantiate_pre(&component)
        .map_err(unfit)?;
    match world {
        World::Connector => ConnectorPre::new(pre).map(Loaded::Connector),
        World::Code => CodePre::new(pre).map(Loaded::Code),
        World::ExpressionEngine => ExpressionEnginePre::new(pre).map(Loaded::Expressions),
    }
    .map_err(unfit)
}

/// Turns a file into native code. It comes from the broker, which compiled
/// it or found it in its cache under a valid MAC, and it cannot change; wasmtime
/// checks that compiler and settings are its own.
#[expect(
    unsafe_code,
    reason = "compiled code is trusted because the broker made and sealed it"
)]
pub(crate) fn trust(runner: &Runner, file: OwnedFd, length: u64) -> Result<Component, LoadError> {
    let bytes = sealed::check(&file, length)?;
    let map = runner.maps.map(file, bytes).map_err(SealError::from)?;
    // SAFETY: the bytes are the unchanged output of `compile` (see above); they
    // stay mapped until the engine says that it no longer runs them.
    unsafe { Component::deserialize_raw(&runner.engine, map) }.map_err(|error| {
        runner.maps.give_back(map);
        LoadError::Foreign(error)
    })
}
