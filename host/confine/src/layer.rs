//! The layers, and how each of them stands.

use std::fmt;

/// One thing that a process gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Descriptors that the broker's own parent left open are closed.
    Descriptors,
    /// It runs as a user that owns nothing.
    User,
    /// No program that it might start has more rights than it has.
    NoNewPrivileges,
    /// Its memory is not for other processes, nor for a dump.
    NotDumpable,
    /// It does not outlive the broker.
    ParentDeath,
    /// No file, no port, no signal to others.
    Landlock,
    /// Limits of the kernel on memory, files, processes and time.
    Limits,
    /// No memory is both written and run.
    WriteXorExecute,
    /// A list of system calls; any other ends the process.
    Filter,
}

impl Layer {
    /// Every layer, in the order in which a worker takes them.
    pub const ALL: [Self; 9] = [
        Self::Descriptors,
        Self::User,
        Self::NoNewPrivileges,
        Self::NotDumpable,
        Self::ParentDeath,
        Self::Landlock,
        Self::Limits,
        Self::WriteXorExecute,
        Self::Filter,
    ];

    /// As people and configurations read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::User => "user",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::NotDumpable => "not-dumpable",
            Self::ParentDeath => "parent-death",
            Self::Landlock => "landlock",
            Self::Limits => "limits",
            Self::WriteXorExecute => "write-xor-execute",
            Self::Filter => "system-call-filter",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a layer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerState {
    /// It holds.
    Held,
    /// It holds in part, or not, and another layer covers what is missing.
    Covered(String),
    /// The kernel or the container refuses it.
    Refused(String),
}

/// A layer and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerReport {
    /// Which.
    pub layer: Layer,
    /// How it stands.
    pub state: LayerState,
}

/// How every layer stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Report(Vec<LayerReport>);

impl Report {
    pub(crate) fn put(&mut self, layer: Layer, state: LayerState) {
        self.0.push(LayerReport { layer, state });
    }

    pub(crate) fn put_result<E: fmt::Display>(&mut self, layer: Layer, result: Result<(), E>) {
        let state = match result {
            Ok(()) => LayerState::Held,
            Err(error) => LayerState::Refused(error.to_string()),
        };
        self.put(layer, state);
    }

    /// Every layer, in the order in which it was taken.
    pub fn layers(&self) -> &[LayerReport] {
        &self.0
    }

    /// The layers that were refused, with why: nothing, if guests may run here.
    pub fn refused(&self) -> impl Iterator<Item = (Layer, &str)> {
        self.0.iter().filter_map(|report| match &report.state {
            LayerState::Refused(why) => Some((report.layer, why.as_str())),
            LayerState::Held | LayerState::Covered(_) => None,
        })
    }
}
