;; Besides its own, a memory of 2^48 pages.
(core module $guest
  (memory (export "memory") 1)
  (memory i64 0x1000000000000)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32) unreachable))
