//! What a component may be made of, read from its bytes before it is compiled.
//!
//! One module and what ties it to its imports and exports. A component that
//! was composed of others is refused: what two components say to each other
//! would pass by the host, through generated code that has had critical bugs.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the format has many more parts, which decide nothing here"
)]

use keyway_model::limit::{
    self, COMPONENT_INSTANCES_MAX, CORE_MODULES_MAX, EXPORTS_MAX, FUNCTION_BYTES_MAX,
    FUNCTIONS_MAX, IMPORT_NAME_BYTES_MAX, IMPORTS_MAX, INSTANCES_MAX, NESTED_COMPONENTS_MAX,
    SEGMENTS_MAX,
};
use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentTypeRef, Encoding, Instance, Parser, Payload,
    SectionLimited,
};

use crate::compile::CompileError;

/// Parts of core modules: what a worker has room for.
const CORE_INSTANCES_MAX: usize = limit::CORE_INSTANCES_MAX as usize;
const MEMORIES_MAX: usize = limit::MEMORIES_MAX as usize;
const TABLES_MAX: usize = limit::TABLES_MAX as usize;

/// Bytes of a page of linear memory; pages of another size are not allowed.
const PAGE_BYTES: u64 = 64 << 10;

/// What a component imports and exports, by name.
#[derive(Default)]
pub(crate) struct Shape {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    depth: usize,
    nested_components: usize,
    core_modules: usize,
    core_instances: usize,
    instances: usize,
    component_instances: usize,
    import_count: usize,
    export_count: usize,
    functions: usize,
    data_segments: usize,
    table_segments: usize,
    memories: usize,
    tables: usize,
    /// Of linear memory and tables, what it begins with.
    pub(crate) memory_bytes: u64,
    pub(crate) table_elements: u64,
}

/// A limit of `keyway_model::limit`, and what it is over.
#[derive(Clone, Copy)]
struct Most {
    what: &'static str,
    name: &'static str,
    max: usize,
}

/// So that no limit is told by another's name.
macro_rules! most {
    ($limit:ident, $what:literal) => {
        Most {
            what: $what,
            name: stringify!($limit),
            max: $limit,
        }
    };
}

impl Most {
    const fn exceeded(self) -> CompileError {
        let Self { what, name, max } = self;
        CompileError::TooMany { what, name, max }
    }

    /// Adds `more` to `sum`, or says that there is too much.
    fn count(self, sum: &mut usize, more: u32) -> Result<(), CompileError> {
        *sum = sum.saturating_add(more as usize);
        if *sum > self.max {
            return Err(self.exceeded());
        }
        Ok(())
    }
}

/// Reads the shape of `component`, or says why it is refused.
pub(crate) fn read(component: &[u8]) -> Result<Shape, CompileError> {
    let mut shape = Shape::default();
    for payload in Parser::new(0).parse_all(component) {
        shape.add(&payload.map_err(malformed)?)?;
    }
    Ok(shape)
}

fn malformed(error: wasmparser::BinaryReaderError) -> CompileError {
    CompileError::Malformed(error.to_string())
}

/// The name of an import or export, unless it is too long.
fn name(name: &str) -> Result<String, CompileError> {
    if name.len() > IMPORT_NAME_BYTES_MAX {
        let what = most!(
            IMPORT_NAME_BYTES_MAX,
            "bytes in the name of an import or export"
        );
        return Err(what.exceeded());
    }
    Ok(name.to_owned())
}

impl Shape {
    fn add(&mut self, payload: &Payload<'_>) -> Result<(), CompileError> {
        self.measure(payload)?;
        self.begins_with(payload)?;
        match payload {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } if self.core_modules == 0 => Err(CompileError::Module),
            Payload::ModuleSection { .. } => self.module(),
            Payload::ComponentSection { .. } => self.component(),
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            Payload::InstanceSection(_) if self.depth > 0 => Err(CompileError::Composed),
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions.clone() {
                    self.canonical(&function.map_err(malformed)?)?;
                }
                Ok(())
            }
            Payload::ComponentImportSection(imports) if self.depth == 0 => {
                for import in imports.clone() {
                    let import = import.map_err(malformed)?;
                    if matches!(
                        import.ty,
                        ComponentTypeRef::Module(_) | ComponentTypeRef::Component(_)
                    ) {
                        return Err(CompileError::Composed);
                    }
                    self.imports.push(name(import.name.name)?);
                }
                Ok(())
            }
            Payload::ComponentExportSection(exports) if self.depth == 0 => {
                for export in exports.clone() {
                    self.exports
                        .push(name(export.map_err(malformed)?.name.name)?);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Counts what takes a compiler far more than the bytes that it is written in.
    fn measure(&mut self, payload: &Payload<'_>) -> Result<(), CompileError> {
        let (sum, more, most) = match payload {
            Payload::CodeSectionEntry(body) if body.range().len() > FUNCTION_BYTES_MAX => {
                return Err(most!(FUNCTION_BYTES_MAX, "bytes in one function").exceeded());
            }
            Payload::InstanceSection(instances) => {
                self.core_instances(instances)?;
                (
                    &mut self.instances,
                    instances.count(),
                    most!(INSTANCES_MAX, "instances"),
                )
            }
            Payload::ComponentInstanceSection(instances) => (
                &mut self.component_instances,
                instances.count(),
                most!(COMPONENT_INSTANCES_MAX, "component instances"),
            ),
            Payload::ComponentImportSection(imports) => (
                &mut self.import_count,
                imports.count(),
                most!(IMPORTS_MAX, "imports"),
            ),
            // Those of a nested component are what an interface has.
            Payload::ComponentExportSection(exports) if self.depth == 0 => (
                &mut self.export_count,
                exports.count(),
                most!(EXPORTS_MAX, "exports"),
            ),
            Payload::FunctionSection(functions) => (
                &mut self.functions,
                functions.count(),
                most!(FUNCTIONS_MAX, "functions"),
            ),
            Payload::DataSection(segments) => (
                &mut self.data_segments,
                segments.count(),
                most!(SEGMENTS_MAX, "segments of data"),
            ),
            Payload::ElementSection(segments) => (
                &mut self.table_segments,
                segments.count(),
                most!(SEGMENTS_MAX, "segments of tables"),
            ),
            _ => return Ok(()),
        };
        most.count(sum, more)
    }

    /// Adds up what a call has before its first instruction.
    fn begins_with(&mut self, payload: &Payload<'_>) -> Result<(), CompileError> {
        match payload {
            Payload::MemorySection(memories) => {
                // More than one in one module is a feature that the compiler refuses.
                let more = memories.count().min(1);
                most!(MEMORIES_MAX, "linear memories").count(&mut self.memories, more)?;
                for memory in memories.clone() {
                    let bytes = memory
                        .map_err(malformed)?
                        .initial
                        .saturating_mul(PAGE_BYTES);
                    self.memory_bytes = self.memory_bytes.saturating_add(bytes);
                }
            }
            Payload::TableSection(tables) => {
                most!(TABLES_MAX, "tables").count(&mut self.tables, tables.count())?;
                for table in tables.clone() {
                    let elements = table.map_err(malformed)?.ty.initial;
                    self.table_elements = self.table_elements.saturating_add(elements);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts those instances that a worker needs room for.
    fn core_instances(
        &mut self,
        instances: &SectionLimited<'_, Instance<'_>>,
    ) -> Result<(), CompileError> {
        for instance in instances.clone() {
            if let Instance::Instantiate { .. } = instance.map_err(malformed)? {
                let sum = &mut self.core_instances;
                most!(CORE_INSTANCES_MAX, "core instances").count(sum, 1)?;
            }
        }
        Ok(())
    }

    fn module(&mut self) -> Result<(), CompileError> {
        if self.depth > 0 {
            return Err(CompileError::Composed);
        }
        self.depth += 1;
        most!(CORE_MODULES_MAX, "core modules").count(&mut self.core_modules, 1)
    }

    fn component(&mut self) -> Result<(), CompileError> {
        if self.depth > 0 {
            return Err(CompileError::Composed);
        }
        self.depth += 1;
        let sum = &mut self.nested_components;
        most!(NESTED_COMPONENTS_MAX, "nested components").count(sum, 1)
    }

    /// A nested component has no functions of its own, and strings are UTF-8.
    fn canonical(&self, function: &CanonicalFunction) -> Result<(), CompileError> {
        if self.depth > 0 {
            return Err(CompileError::Composed);
        }
        let (CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. }) =
            function
        else {
            return Ok(());
        };
        let is_foreign = |option: &CanonicalOption| {
            matches!(
                option,
                CanonicalOption::UTF16 | CanonicalOption::CompactUTF16
            )
        };
        if options.iter().any(is_foreign) {
            Err(CompileError::Strings)
        } else {
            Ok(())
        }
    }
}
