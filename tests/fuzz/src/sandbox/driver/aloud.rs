//! The driver, which says in the log what it is about to call: so that a test
//! knows what was reached, whether it came back or not.

use super::{Before, HEAP, I, NAMES, component, module};
use crate::sandbox::shape::Shape;
use crate::sandbox::world::Surface;

/// A function of the host that the driver can call.
#[derive(Clone, Debug)]
pub(crate) struct HostFunction {
    /// As a component imports it, with its version.
    pub(crate) interface: String,
    pub(crate) name: String,
    /// How many numbers it takes.
    pub(crate) arguments: usize,
}

impl HostFunction {
    /// What the log says before it is called.
    pub(crate) fn line(&self) -> String {
        format!("{}#{}", self.interface, self.name)
    }
}

/// The driver as a component, and the functions of the host that it can call, in
/// the order of their numbers.
pub(crate) fn driver_aloud(surface: &Surface) -> (Vec<u8>, Vec<HostFunction>) {
    let shape = Shape::of(&surface.module);
    let functions: Vec<HostFunction> = shape
        .imports
        .iter()
        .map(|(interface, name, of)| HostFunction {
            interface: interface.clone(),
            name: name.clone(),
            arguments: shape.types[*of as usize].params().len(),
        })
        .collect();
    let is_log = |it: &HostFunction| it.line() == "keyway:host/log@0.1.0#write";
    let log = functions.iter().position(is_log).unwrap() as u32;
    let (mut names, mut places) = (Vec::new(), Vec::new());
    for function in &functions {
        let line = function.line();
        places.push((NAMES + names.len() as i32, line.len() as i32));
        names.extend(line.into_bytes());
    }
    assert!(NAMES as usize + names.len() <= HEAP as usize);
    let says: Before<'_> = &|index, body| {
        let (at, length) = places[index as usize];
        let level = I::I32Const(0);
        body.extend([level, I::I32Const(at), I::I32Const(length), I::Call(log)]);
    };
    let module = module(&shape, says, &names);
    (component(surface, module), functions)
}
