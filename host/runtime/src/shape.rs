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
    COMPONENT_INSTANCES_MAX, CORE_MODULES_MAX, EXPORTS_MAX, FUNCTION_BYTES_MAX, FUNCTIONS_MAX,
    IMPORT_NAME_BYTES_MAX, IMPORTS_MAX, INSTANCES_MAX, NESTED_COMPONENTS_MAX, SEGMENTS_MAX,
};
use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentTypeRef, Encoding, Instance, Parser, Payload,
    SectionLimited,
};

use crate::compile::CompileError;

/// Instances of core modules: what a worker has room for.
const CORE_INSTANCES_MAX: usize = keyway_model::limit::CORE_INSTANCES_MAX as usize;

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
}

/// Adds `more`, or says that there is too much.
fn count(sum: &mut usize, more: u32, what: &'static str, max: usize) -> Result<(), CompileError> {
    *sum = sum.saturating_add(more as usize);
    if *sum > max {
        return Err(CompileError::TooMany { what, max });
    }
    Ok(())
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
        return Err(CompileError::TooMany {
            what: "bytes in the name of an import or export",
            max: IMPORT_NAME_BYTES_MAX,
        });
    }
    Ok(name.to_owned())
}

impl Shape {
    fn add(&mut self, payload: &Payload<'_>) -> Result<(), CompileError> {
        self.measure(payload)?;
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
        let (sum, more, what, max) = match payload {
            Payload::CodeSectionEntry(body) if body.range().len() > FUNCTION_BYTES_MAX => {
                return Err(CompileError::TooMany {
                    what: "bytes in one function",
                    max: FUNCTION_BYTES_MAX,
                });
            }
            Payload::InstanceSection(instances) => {
                self.core_instances(instances)?;
                (
                    &mut self.instances,
                    instances.count(),
                    "instances",
                    INSTANCES_MAX,
                )
            }
            Payload::ComponentInstanceSection(instances) => (
                &mut self.component_instances,
                instances.count(),
                "component instances",
                COMPONENT_INSTANCES_MAX,
            ),
            Payload::ComponentImportSection(imports) => (
                &mut self.import_count,
                imports.count(),
                "imports",
                IMPORTS_MAX,
            ),
            // Those of a nested component are what an interface has.
            Payload::ComponentExportSection(exports) if self.depth == 0 => (
                &mut self.export_count,
                exports.count(),
                "exports",
                EXPORTS_MAX,
            ),
            Payload::FunctionSection(functions) => (
                &mut self.functions,
                functions.count(),
                "functions",
                FUNCTIONS_MAX,
            ),
            Payload::DataSection(segments) => (
                &mut self.data_segments,
                segments.count(),
                "segments of data",
                SEGMENTS_MAX,
            ),
            Payload::ElementSection(segments) => (
                &mut self.table_segments,
                segments.count(),
                "segments of tables",
                SEGMENTS_MAX,
            ),
            _ => return Ok(()),
        };
        count(sum, more, what, max)
    }

    /// Counts those instances that a worker needs room for.
    fn core_instances(
        &mut self,
        instances: &SectionLimited<'_, Instance<'_>>,
    ) -> Result<(), CompileError> {
        for instance in instances.clone() {
            if let Instance::Instantiate { .. } = instance.map_err(malformed)? {
                let sum = &mut self.core_instances;
                count(sum, 1, "core instances", CORE_INSTANCES_MAX)?;
            }
        }
        Ok(())
    }

    fn module(&mut self) -> Result<(), CompileError> {
        if self.depth > 0 {
            return Err(CompileError::Composed);
        }
        self.depth += 1;
        count(&mut self.core_modules, 1, "core modules", CORE_MODULES_MAX)
    }

    fn component(&mut self) -> Result<(), CompileError> {
        if self.depth > 0 {
            return Err(CompileError::Composed);
        }
        self.depth += 1;
        let sum = &mut self.nested_components;
        count(sum, 1, "nested components", NESTED_COMPONENTS_MAX)
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
