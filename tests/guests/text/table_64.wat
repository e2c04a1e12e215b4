;; A table with 64-bit indices.
(core module $guest
  (memory (export "memory") 1)
  (table i64 1 funcref)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32) unreachable))
