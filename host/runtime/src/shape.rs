//! What a component may be made of, read from its bytes before it is compiled.
//!
//! One module and what ties it to its imports and exports. A component that
//! was composed of others is refused: what two components say to each other
//! would pass by the host, through generated code that has had critical bugs.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the format has many more parts, which decide nothing here"
)]

use keyway_model::limit::{CORE_MODULES_MAX, NESTED_COMPONENTS_MAX};
use wasmparser::{CanonicalFunction, CanonicalOption, ComponentTypeRef, Encoding, Parser, Payload};

use crate::compile::CompileError;

/// What a component imports and exports, by name.
#[derive(Default)]
pub(crate) struct Shape {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    depth: usize,
    nested_components: usize,
    core_modules: usize,
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

impl Shape {
    fn add(&mut self, payload: &Payload<'_>) -> Result<(), CompileError> {
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
                    self.imports.push(import.name.name.to_owned());
                }
                Ok(())
            }
            Payload::ComponentExportSection(exports) if self.depth == 0 => {
                for export in exports.clone() {
                    self.exports
                        .push(export.map_err(malformed)?.name.name.to_owned());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn module(&mut self) -> Result<(), CompileError> {
        if self.depth > 0 {
            return Err(CompileError::Composed);
        }
        self.depth += 1;
        self.core_modules += 1;
        if self.core_modules > CORE_MODULES_MAX {
            return Err(CompileError::TooMany {
                what: "core modules",
                max: CORE_MODULES_MAX,
            });
        }
        Ok(())
    }

    fn component(&mut self) -> Result<(), CompileError> {
        if self.depth > 0 {
            return Err(CompileError::Composed);
        }
        self.depth += 1;
        self.nested_components += 1;
        if self.nested_components > NESTED_COMPONENTS_MAX {
            return Err(CompileError::TooMany {
                what: "nested components",
                max: NESTED_COMPONENTS_MAX,
            });
        }
        Ok(())
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
