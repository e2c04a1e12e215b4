//! What random code is put into: which interfaces of the host a connector imports,
//! and which of their functions its entries call before anything random runs.
//!
//! Left to itself, random code hardly ever calls the host: its `cabi_realloc` gives
//! nothing that a text fits into, so that most entries are never entered, and the
//! first number that makes no sense ends the rest.

use std::ops::Range;

use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    Instruction as I, MemorySection, MemoryType, Module, RawSection, TypeSection, ValType,
};
use wasmparser::{ExternalKind, FuncType, Parser, Payload};

use super::shape::{Shape, value};
use super::world::Surface;
use crate::input::Input;

/// Linear memory to begin with, in pages of 64 KiB.
const MEMORY_PAGES: u64 = 16;
/// What is always given to whoever asks for memory.
const ALLOCATED: i32 = 64 << 10;
/// One entry calls fewer functions of the host before its own code.
const CALLS_END: usize = 8;

/// A connector without its random code.
pub(crate) struct Outline {
    types: Vec<FuncType>,
    /// Interface, name and type of each function.
    imports: Vec<(String, String, u32)>,
    /// Which of them are of one interface; Keyway's own come first.
    interfaces: Vec<Range<usize>>,
    /// How many interfaces are Keyway's own.
    own: usize,
    /// Name and type of each function.
    exports: Vec<(String, u32)>,
    /// What takes the place of an export: its number, and its code without the end.
    replaced: Vec<(usize, Vec<I<'static>>)>,
}

impl Outline {
    /// Reads an outline: one bit for each interface, then the calls of each entry.
    pub(crate) fn read(surface: &Surface, input: &mut Input<'_>) -> Self {
        let shape = Shape::of(&surface.module);
        let exports = shape.exported_functions();
        let exports = exports.map(|(name, of)| (name.to_owned(), of)).collect();
        let mut outline = Self {
            types: shape.types,
            imports: Vec::new(),
            interfaces: Vec::new(),
            own: 0,
            exports,
            replaced: Vec::new(),
        };
        outline.import(&shape.imports, input);
        outline.replace(input);
        outline
    }

    /// Imports all functions of the interfaces that are chosen.
    fn import(&mut self, all: &[(String, String, u32)], input: &mut Input<'_>) {
        let mut interfaces: Vec<_> = all.chunk_by(|one, next| one.0 == next.0).collect();
        let is_own =
            |functions: &[(String, String, u32)]| functions[0].0.starts_with("keyway:host/");
        interfaces.sort_by_key(|functions| !is_own(functions));
        let mut bits = 0_u8;
        for (number, functions) in interfaces.into_iter().enumerate() {
            if number.is_multiple_of(8) {
                bits = input.byte();
            }
            if (bits >> (number % 8)) & 1 == 0 {
                continue;
            }
            let first = self.imports.len();
            self.imports.extend_from_slice(functions);
            self.interfaces.push(first..self.imports.len());
            self.own += usize::from(is_own(functions));
        }
    }

    fn replace(&mut self, input: &mut Input<'_>) {
        for number in 0..self.exports.len() {
            let (name, of) = &self.exports[number];
            let code = match name.as_str() {
                // One in four keeps what is random.
                "cabi_realloc" if input.below(4) == 3 => continue,
                "cabi_realloc" => vec![I::I32Const(ALLOCATED)],
                name if name.contains('#') && !name.starts_with("cabi_post_") => {
                    self.entry(number, *of, input)
                }
                _ => continue,
            };
            self.replaced.push((number, code));
        }
    }

    /// Calls functions of the host, then the random code.
    fn entry(&self, number: usize, of: u32, input: &mut Input<'_>) -> Vec<I<'static>> {
        let mut code = Vec::new();
        if !self.interfaces.is_empty() {
            for _ in 0..input.below(CALLS_END) {
                self.call(input, &mut code);
            }
        }
        let parameters = self.types[of as usize].params().len() as u32;
        code.extend((0..parameters).map(I::LocalGet));
        code.push(I::Call((self.imports.len() + number) as u32));
        code
    }

    fn call(&self, input: &mut Input<'_>, code: &mut Vec<I<'static>>) {
        // Keyway's own at least every other time: what they do counts as a host call.
        let interfaces = match input.below(2) {
            0 if self.own > 0 => &self.interfaces[..self.own],
            _ => self.interfaces.as_slice(),
        };
        let interface = input.choose(interfaces);
        let number = interface.start + input.below(interface.len());
        let of = &self.types[self.imports[number].2 as usize];
        for parameter in of.params() {
            argument(value(parameter), input, code);
        }
        code.push(I::Call(number as u32));
        code.extend(of.results().iter().map(|_| I::Drop));
    }

    /// The interfaces that it imports.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = &str> {
        let first = move |functions: &Range<usize>| self.imports[functions.start].0.as_str();
        self.interfaces.iter().map(first)
    }

    /// How many functions it imports and exports.
    pub(crate) const fn functions(&self) -> usize {
        self.imports.len() + self.exports.len()
    }

    /// A module with these imports and exports, whose functions do nothing.
    pub(crate) fn module(&self) -> Vec<u8> {
        let mut types = TypeSection::new();
        for of in &self.types {
            types.ty().function(
                of.params().iter().map(value),
                of.results().iter().map(value),
            );
        }
        let mut imports = ImportSection::new();
        for (interface, name, of) in &self.imports {
            imports.import(interface, name, EntityType::Function(*of));
        }
        let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
        let mut exports = ExportSection::new();
        exports.export("memory", ExportKind::Memory, 0);
        for (number, (name, of)) in self.exports.iter().enumerate() {
            functions.function(*of);
            code.function(&function(&[I::Unreachable]));
            exports.export(name, ExportKind::Func, (self.imports.len() + number) as u32);
        }
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: MEMORY_PAGES,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions);
        module.section(&memories).section(&exports).section(&code);
        module.finish()
    }

    /// `module`, which has random code in these functions, and exports what takes
    /// the place of some of them.
    pub(crate) fn around(&self, module: &[u8]) -> Vec<u8> {
        let mut whole = Module::new();
        let mut code = CodeSection::new();
        let mut random = 0;
        for payload in Parser::new(0).parse_all(module) {
            match payload.unwrap() {
                Payload::FunctionSection(functions) => {
                    random = functions.count();
                    let mut section = FunctionSection::new();
                    for of in functions {
                        section.function(of.unwrap());
                    }
                    for (number, _) in &self.replaced {
                        section.function(self.exports[*number].1);
                    }
                    whole.section(&section);
                }
                Payload::ExportSection(exports) => {
                    let mut section = ExportSection::new();
                    for export in exports {
                        let export = export.unwrap();
                        let (kind, index) = match export.kind {
                            ExternalKind::Func => (
                                ExportKind::Func,
                                self.place_of(export.name, random).unwrap_or(export.index),
                            ),
                            ExternalKind::Memory => (ExportKind::Memory, export.index),
                            other => panic!("no connector exports a {other:?}"),
                        };
                        section.export(export.name, kind, index);
                    }
                    whole.section(&section);
                }
                Payload::CodeSectionStart { .. } => {}
                Payload::CodeSectionEntry(body) => {
                    code.raw(body.as_bytes());
                    if code.len() == random {
                        for (_, body) in &self.replaced {
                            code.function(&function(body));
                        }
                        whole.section(&code);
                    }
                }
                other => {
                    if let Some((id, range)) = other.as_section() {
                        let data = &module[range];
                        whole.section(&RawSection { id, data });
                    }
                }
            }
        }
        whole.finish()
    }

    /// Where the function is that takes the place of an export, behind so many random ones.
    fn place_of(&self, export: &str, random: u32) -> Option<u32> {
        let is_it = |(number, _): &(usize, Vec<I<'static>>)| self.exports[*number].0 == export;
        let place = self.replaced.iter().position(is_it)?;
        Some(self.imports.len() as u32 + random + place as u32)
    }
}

/// A small number, which may be a handle or a length; a pointer; or any 32 bits.
fn argument(of: ValType, input: &mut Input<'_>, code: &mut Vec<I<'static>>) {
    let number = match input.below(4) {
        0 | 1 => i32::from(input.byte()),
        2 => 8 * i32::from(input.byte()),
        _ => i32::from_le_bytes([input.byte(), input.byte(), input.byte(), input.byte()]),
    };
    code.push(I::I32Const(number));
    match of {
        ValType::I64 => code.push(I::I64ExtendI32S),
        ValType::F32 => code.push(I::F32ConvertI32S),
        ValType::F64 => code.push(I::F64ConvertI32S),
        _ => {}
    }
}

fn function(body: &[I<'_>]) -> Function {
    let mut function = Function::new([]);
    for instruction in body {
        function.instruction(instruction);
    }
    function.instruction(&I::End);
    function
}
