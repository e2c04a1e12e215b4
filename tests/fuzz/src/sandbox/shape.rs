//! What a module imports, has and exports, as far as functions go.

use wasm_encoder::ValType;
use wasmparser::{ExternalKind, FuncType, Parser, Payload, TypeRef};

/// The functions of a module, and its exports.
pub(super) struct Shape {
    pub(super) types: Vec<FuncType>,
    /// Interface, name and type.
    pub(super) imports: Vec<(String, String, u32)>,
    /// The types of its own.
    pub(super) functions: Vec<u32>,
    pub(super) exports: Vec<(String, ExternalKind, u32)>,
}

impl Shape {
    pub(super) fn of(module: &[u8]) -> Self {
        let mut shape = Self {
            types: Vec::new(),
            imports: Vec::new(),
            functions: Vec::new(),
            exports: Vec::new(),
        };
        for payload in Parser::new(0).parse_all(module) {
            match payload.unwrap() {
                Payload::TypeSection(types) => {
                    shape
                        .types
                        .extend(types.into_iter_err_on_gc_types().map(Result::unwrap));
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import.unwrap();
                        let TypeRef::Func(of) = import.ty else {
                            continue;
                        };
                        shape
                            .imports
                            .push((import.module.to_owned(), import.name.to_owned(), of));
                    }
                }
                Payload::FunctionSection(functions) => shape
                    .functions
                    .extend(functions.into_iter().map(Result::unwrap)),
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export.unwrap();
                        shape
                            .exports
                            .push((export.name.to_owned(), export.kind, export.index));
                    }
                }
                _ => {}
            }
        }
        shape
    }

    /// Every function that is exported, with its type.
    pub(super) fn exported_functions(&self) -> impl Iterator<Item = (&str, u32)> {
        self.exports
            .iter()
            .filter(|(_, kind, _)| *kind == ExternalKind::Func)
            .map(move |(name, _, index)| {
                let own = *index as usize - self.imports.len();
                (name.as_str(), self.functions[own])
            })
    }
}

/// The same type, as the encoder has it.
pub(super) fn value(of: &wasmparser::ValType) -> ValType {
    match of {
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        _ => ValType::I32,
    }
}
