;; Calls through its table what has another type, and what is not there.
(core module $guest
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 0) $other)
  (type $expected (func (param i64) (result i64)))
  (func $other (result i32) i32.const 7)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32)
    (drop (call_indirect (type $expected) (i64.const 1) (i32.const 0)))
    unreachable))
