//! Compiling a component: bytes of a third party in, code for workers out.
//!
//! Runs in a process of its own with limits on time and memory, since what a
//! compiler does with hostile input is not bounded otherwise.

use std::io::{self, Read, Write};
use std::process;

use keyway_confine::Confinement;
use keyway_model::limit::{
    ARTIFACT_BYTES_MAX, COMPILE_CPU_SECONDS_MAX, COMPILE_MEMORY_BYTES_MAX, CallLimits,
};

use crate::answer::Compiled;
use crate::confine;
use crate::engine::{self, EngineError};
use crate::shape::{self, Shape};

/// Why a component is not compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Over the size limit.
    #[error(
        "the component has {0} bytes; at most {ARTIFACT_BYTES_MAX} are allowed (`ARTIFACT_BYTES_MAX`)"
    )]
    TooLong(usize),
    /// Not WebAssembly, or broken.
    #[error("this is not a WebAssembly component: {0}")]
    Malformed(String),
    /// A core module.
    #[error("this is a core module, not a component; build it for the target wasm32-wasip2")]
    Module,
    /// More than one component in one file.
    #[error(
        "this is composed of several components; publish each one by itself, the host connects them"
    )]
    Composed,
    /// Strings of another encoding.
    #[error(
        "a function of this component does not use UTF-8 strings; build it with UTF-8 string encoding"
    )]
    Strings,
    /// Too many parts.
    #[error("this component has more than {max} {what} (`{name}`)")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        name: &'static str,
        /// Its value.
        max: usize,
    },
    /// It begins with more than any call may have.
    #[error(
        "this component begins with {begins} {what}; no call may have more than `{name}` ({value})"
    )]
    Begins {
        /// How much.
        begins: u64,
        /// Of what.
        what: &'static str,
        /// The limit.
        name: &'static str,
        /// Its value.
        value: u64,
    },
    /// The compiler refuses it.
    #[error("this component cannot be compiled: {0}")]
    Invalid(String),
    /// There is no compiler.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What `component` imports, by name, without compiling it.
///
/// # Errors
///
/// [`CompileError`], if it would be refused anyway.
pub fn imports(component: &[u8]) -> Result<Vec<String>, CompileError> {
    Ok(shape::read(component)?.imports)
}

/// Compiles `component`, under the limits that hold where nobody sets any.
///
/// # Errors
///
/// [`CompileError`], which says what to change in the component.
pub fn compile(component: &[u8]) -> Result<Compiled, CompileError> {
    compile_for(component, &CompileLimits::default())
}

/// The same for calls under the ceiling in `limits`.
fn compile_for(component: &[u8], limits: &CompileLimits) -> Result<Compiled, CompileError> {
    if component.len() > ARTIFACT_BYTES_MAX {
        return Err(CompileError::TooLong(component.len()));
    }
    let shape = shape::read(component)?;
    limits.let_begin(&shape)?;
    let code = engine::compiler()?
        .precompile_component(component)
        .map_err(|error| CompileError::Invalid(format!("{error:#}")))?;
    Ok(Compiled {
        code,
        imports: shape.imports,
        exports: shape.exports,
    })
}

/// How much further than a worker a compiler stands back (`nice`): to the end.
const STANDS_BACK: i32 = 9;

/// The body of the compile process: it locks itself in, then reads a component
/// from `input`; on `output`, in postcard, a `Result<Compiled, String>` whose
/// error is a [`CompileError`]'s text.
///
/// # Errors
///
/// The operating system's, if `input` or `output` break.
pub fn compile_process(
    confinement: Confinement,
    limits: &CompileLimits,
    weaker: Weaker,
    input: impl Read,
    mut output: impl Write,
) -> io::Result<()> {
    // Behind every worker: nobody waits for a compiler who does not wait for an
    // install. Where it may not, nothing is less safe.
    rustix::process::nice(STANDS_BACK).ok();
    let report = confinement
        .before_threads()
        .close(&confine::compiler(limits));
    let refused = report.refused().next().map(|(layer, why)| {
        format!("the compiler cannot be confined: {layer}: {why}; {WEAKER_REMEDY}")
    });
    let compiled = match (refused, weaker) {
        (Some(refused), Weaker::Refused) => Err(refused),
        (None, _) | (_, Weaker::Allowed) => {
            let mut component = Vec::new();
            let read = input
                .take(ARTIFACT_BYTES_MAX as u64 + 1)
                .read_to_end(&mut component);
            match read {
                // As every other allocation that the limit refuses: the broker
                // knows the limit by this end.
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => process::abort(),
                read => read?,
            };
            compile_for(&component, limits).map_err(|error| error.to_string())
        }
    };
    let bytes = postcard::to_stdvec(&compiled).map_err(io::Error::other)?;
    output.write_all(&bytes)?;
    output.flush()
}

/// What compiling one component may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Time on a processor, in seconds.
    pub cpu_seconds_max: u64,
    /// Writable memory beside what the compiler has when it starts, in bytes.
    pub memory_bytes_max: u64,
    /// Linear memory that any call may have, in bytes.
    pub guest_memory_bytes_max: u64,
    /// Elements over all tables that any call may have.
    pub guest_table_elements_max: u64,
}

impl CompileLimits {
    /// Whether any call could begin: a worker has no room for more.
    fn let_begin(&self, shape: &Shape) -> Result<(), CompileError> {
        for (begins, what, name, value) in [
            (
                shape.memory_bytes,
                "bytes of memory",
                "memory_bytes_max",
                self.guest_memory_bytes_max,
            ),
            (
                shape.table_elements,
                "elements of tables",
                "table_elements_max",
                self.guest_table_elements_max,
            ),
        ] {
            if begins > value {
                return Err(CompileError::Begins {
                    begins,
                    what,
                    name,
                    value,
                });
            }
        }
        Ok(())
    }
}

impl Default for CompileLimits {
    fn default() -> Self {
        let guest = CallLimits::default();
        Self {
            cpu_seconds_max: COMPILE_CPU_SECONDS_MAX,
            memory_bytes_max: COMPILE_MEMORY_BYTES_MAX,
            guest_memory_bytes_max: guest.memory_bytes_max,
            guest_table_elements_max: guest.table_elements_max.into(),
        }
    }
}

/// Whether third-party code is touched although a layer of confinement is
/// missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weaker {
    /// It is not.
    Refused,
    /// The platform's configuration says so.
    Allowed,
}

/// What to do where a layer is missing.
pub const WEAKER_REMEDY: &str = "use a kernel and a container that have it, or accept weaker \
     workers with `dangerous_weaker_worker = true` under [workers]";
