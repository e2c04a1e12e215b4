//! A module that interprets its input as calls of the host: any imported
//! function, with any numbers, handles that earlier calls gave, and pointers
//! into a piece of memory where results and texts lie side by side.
//!
//! It is generated from the imports, so that a new function of the host is
//! called from the day on which it is linked.

#[cfg(test)]
mod aloud;

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection,
    Function, FunctionSection, GlobalSection, GlobalType, ImportSection, Instruction as I, MemArg,
    MemorySection, MemoryType, Module, TypeSection, ValType,
};
use wasmparser::{ExternalKind, FuncType};

use super::shape::{Shape, value};
use super::world::Surface;
#[cfg(test)]
pub(crate) use aloud::{HostFunction, driver_aloud};

/// Where results of calls lie, one after the other, round and round.
const REGISTERS: i32 = 1024;
const REGISTERS_MASK: i32 = 63;
/// Where names of functions lie, if the driver says what it calls.
const NAMES: i32 = 4 << 10;
/// Where `cabi_realloc` begins.
const HEAP: i32 = 64 << 10;
const HEAP_END: i32 = 1 << 20;
/// Texts that a pointer may hit, behind the registers.
const TEXTS: &[u8] = b"GET POST https api.example.com /v1/orders?x=1 content-type authorization host \
    content-length 12 transfer-encoding chunked shop key \r\nx: y \xff\xfe\0 application/json http://  /";
/// How many functions one byte of the program can choose between.
const FUNCTIONS_MAX: usize = 1 << 8;

const PROGRAM: u32 = 0;
const PROGRAM_END: u32 = 1;
const NEXT_REGISTER: u32 = 2;
const NEXT_FREE: u32 = 3;

/// What is done right before the function of this number is called.
type Before<'a> = &'a dyn Fn(u32, &mut Vec<I<'static>>);

/// The driver as a component, and how many functions of the host it can call.
pub(crate) fn driver(surface: &Surface) -> (Vec<u8>, usize) {
    let shape = Shape::of(&surface.module);
    let module = module(&shape, &|_, _| {}, &[]);
    (component(surface, module), shape.imports.len())
}

fn component(surface: &Surface, module: Vec<u8>) -> Vec<u8> {
    let component = surface.component(module);
    component.expect("it has the shape of a connector")
}

/// `names` are bytes for [`Before`] to use.
fn module(shape: &Shape, before: Before<'_>, names: &[u8]) -> Vec<u8> {
    assert!(
        shape.imports.len() <= FUNCTIONS_MAX,
        "one byte chooses a function, and there are {}",
        shape.imports.len()
    );
    let mut types = TypeSection::new();
    for of in &shape.types {
        types.ty().function(
            of.params().iter().map(value),
            of.results().iter().map(value),
        );
    }
    let number = shape.types.len() as u32;
    types.ty().function([], [ValType::I32]);
    let mut imports = ImportSection::new();
    for (module, name, of) in &shape.imports {
        imports.import(module, name, EntityType::Function(*of));
    }
    // Two helpers, then one function for each of the dummy's own.
    let (byte, argument) = (shape.imports.len() as u32, shape.imports.len() as u32 + 1);
    let mut functions = FunctionSection::new();
    functions.function(number).function(number);
    let mut code = CodeSection::new();
    code.function(&read_byte()).function(&read_argument(byte));
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    for (name, kind, index) in &shape.exports {
        if *kind != ExternalKind::Func {
            continue;
        }
        let of = shape.functions[*index as usize - shape.imports.len()];
        exports.export(name, ExportKind::Func, byte + functions.len());
        functions.function(of);
        code.function(&match name.as_str() {
            "cabi_realloc" => allocate(),
            name if name.ends_with("#invoke") && !name.starts_with("cabi_post") => {
                interpret(shape, byte, argument, before)
            }
            _ => answer(&shape.types[of as usize]),
        });
    }
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 17,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut globals = GlobalSection::new();
    for start in [0, 0, 0, HEAP] {
        let of = GlobalType {
            val_type: ValType::I32,
            mutable: true,
            shared: false,
        };
        globals.global(of, &ConstExpr::i32_const(start));
    }
    let mut data = DataSection::new();
    let texts = REGISTERS + 4 * (REGISTERS_MASK + 1);
    data.active(0, &ConstExpr::i32_const(texts), TEXTS.iter().copied());
    data.active(0, &ConstExpr::i32_const(NAMES), names.iter().copied());
    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&memories)
        .section(&globals);
    module.section(&exports).section(&code).section(&data);
    module.finish()
}

const fn at(offset: u64) -> MemArg {
    MemArg {
        offset,
        align: 0,
        memory_index: 0,
    }
}

fn function(locals: u32, body: &[I<'_>]) -> Function {
    let mut function = Function::new([(locals, ValType::I32)]);
    for instruction in body {
        function.instruction(instruction);
    }
    function.instruction(&I::End);
    function
}

/// Two letters of the program, `a` to `p`, make one byte; the input is text.
fn read_byte() -> Function {
    let letter = |offset| {
        [
            I::GlobalGet(PROGRAM),
            I::I32Load8U(at(offset)),
            I::I32Const(97),
            I::I32Sub,
            I::I32Const(15),
            I::I32And,
        ]
    };
    let mut body = vec![I::GlobalGet(PROGRAM), I::GlobalGet(PROGRAM_END), I::I32GeU];
    body.extend([I::If(BlockType::Empty), I::I32Const(0), I::Return, I::End]);
    body.extend(letter(0));
    body.extend([I::I32Const(4), I::I32Shl]);
    body.extend(letter(1));
    body.push(I::I32Or);
    body.extend([
        I::GlobalGet(PROGRAM),
        I::I32Const(2),
        I::I32Add,
        I::GlobalSet(PROGRAM),
    ]);
    function(0, &body)
}

/// A small number, what a register holds, a pointer, or any 32 bits.
fn read_argument(byte: u32) -> Function {
    let mut body = vec![
        I::Call(byte),
        I::I32Const(3),
        I::I32And,
        I::LocalTee(0),
        I::I32Eqz,
    ];
    body.extend([I::If(BlockType::Empty), I::Call(byte), I::Return, I::End]);
    body.extend([
        I::LocalGet(0),
        I::I32Const(1),
        I::I32Eq,
        I::If(BlockType::Empty),
    ]);
    body.extend([
        I::Call(byte),
        I::I32Const(REGISTERS_MASK),
        I::I32And,
        I::I32Const(2),
        I::I32Shl,
    ]);
    body.extend([I::I32Load(at(REGISTERS as u64)), I::Return, I::End]);
    body.extend([
        I::LocalGet(0),
        I::I32Const(2),
        I::I32Eq,
        I::If(BlockType::Empty),
    ]);
    body.extend([
        I::Call(byte),
        I::I32Const(2),
        I::I32Shl,
        I::I32Const(REGISTERS),
        I::I32Add,
        I::Return,
        I::End,
    ]);
    body.push(I::Call(byte));
    for _ in 0..3 {
        body.extend([I::I32Const(8), I::I32Shl, I::Call(byte), I::I32Or]);
    }
    function(1, &body)
}

/// Gives what is next, and begins again at the end.
fn allocate() -> Function {
    let aligned = [
        I::GlobalGet(NEXT_FREE),
        I::LocalGet(2),
        I::I32Add,
        I::I32Const(1),
        I::I32Sub,
        I::I32Const(0),
        I::LocalGet(2),
        I::I32Sub,
        I::I32And,
        I::LocalTee(4),
    ];
    let mut body = aligned.to_vec();
    body.extend([
        I::LocalGet(3),
        I::I32Add,
        I::I32Const(HEAP_END),
        I::I32GtU,
        I::If(BlockType::Empty),
    ]);
    body.extend([I::I32Const(HEAP), I::LocalSet(4), I::End]);
    body.extend([
        I::LocalGet(4),
        I::LocalGet(3),
        I::I32Add,
        I::GlobalSet(NEXT_FREE),
        I::LocalGet(4),
    ]);
    function(1, &body)
}

/// The entry: calls until the program ends, then answers with an empty text.
fn interpret(shape: &Shape, byte: u32, argument: u32, before: Before<'_>) -> Function {
    let mut body = vec![I::LocalGet(2), I::GlobalSet(PROGRAM)];
    body.extend([
        I::LocalGet(2),
        I::LocalGet(3),
        I::I32Add,
        I::GlobalSet(PROGRAM_END),
    ]);
    body.extend([I::Block(BlockType::Empty), I::Loop(BlockType::Empty)]);
    body.extend([
        I::GlobalGet(PROGRAM),
        I::GlobalGet(PROGRAM_END),
        I::I32GeU,
        I::BrIf(1),
    ]);
    // Every byte chooses a function.
    body.extend([
        I::Call(byte),
        I::I32Const(shape.imports.len() as i32),
        I::I32RemU,
        I::LocalSet(4),
    ]);
    for (index, (_, _, of)) in shape.imports.iter().enumerate() {
        body.extend([
            I::LocalGet(4),
            I::I32Const(index as i32),
            I::I32Eq,
            I::If(BlockType::Empty),
        ]);
        call(
            &shape.types[*of as usize],
            index as u32,
            argument,
            before,
            &mut body,
        );
        body.extend([I::Br(1), I::End]);
    }
    body.extend([I::Br(0), I::End, I::End]);
    // The heap's first bytes may hold anything; what is answered must be in order to end well.
    body.extend([
        I::I32Const(0),
        I::I64Const(0),
        I::I64Store(at(0)),
        I::I32Const(0),
        I::I64Const(0),
        I::I64Store(at(8)),
    ]);
    body.push(I::I32Const(0));
    function(1, &body)
}

fn call(of: &FuncType, index: u32, argument: u32, before: Before<'_>, body: &mut Vec<I<'static>>) {
    for parameter in of.params() {
        body.push(I::Call(argument));
        match value(parameter) {
            ValType::I64 => body.push(I::I64ExtendI32S),
            ValType::F32 => body.push(I::F32ConvertI32S),
            ValType::F64 => body.push(I::F64ConvertI32S),
            _ => {}
        }
    }
    before(index, body);
    body.push(I::Call(index));
    for result in of.results() {
        match value(result) {
            ValType::I64 => body.push(I::I32WrapI64),
            ValType::F32 => body.push(I::I32TruncSatF32S),
            ValType::F64 => body.push(I::I32TruncSatF64S),
            _ => {}
        }
        // Kept, so that a later call may use it.
        body.push(I::LocalSet(4));
        body.extend([
            I::GlobalGet(NEXT_REGISTER),
            I::I32Const(2),
            I::I32Shl,
            I::LocalGet(4),
            I::I32Store(at(REGISTERS as u64)),
        ]);
        body.extend([
            I::GlobalGet(NEXT_REGISTER),
            I::I32Const(1),
            I::I32Add,
            I::I32Const(REGISTERS_MASK),
            I::I32And,
            I::GlobalSet(NEXT_REGISTER),
        ]);
    }
}

/// Answers with zero, which is an empty success where a pointer is wanted.
fn answer(of: &FuncType) -> Function {
    let zeros: Vec<I<'_>> = of
        .results()
        .iter()
        .map(|result| match value(result) {
            ValType::I64 => I::I64Const(0),
            ValType::F32 => I::F32Const(0.0.into()),
            ValType::F64 => I::F64Const(0.0.into()),
            _ => I::I32Const(0),
        })
        .collect();
    function(0, &zeros)
}
