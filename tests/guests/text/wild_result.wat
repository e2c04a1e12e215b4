;; Answers with a string of nearly 4 GiB.
(core module $guest
  (memory (export "memory") 1)
  (data (i32.const 16) "\00\00\00\00\00\01\00\00\f0\ff\ff\ff")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32) i32.const 16))
