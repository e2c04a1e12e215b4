;; Calls what is far beyond the end of its table, as if it were a function.
(core module $guest
  (memory (export "memory") 1)
  (table 16 funcref)
  (type $reader (func (result i32)))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32)
    (call_indirect (type $reader) (i32.const 0x10000000))))
