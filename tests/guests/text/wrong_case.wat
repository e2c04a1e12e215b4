;; Answers with a case that the type does not have.
(core module $guest
  (memory (export "memory") 1)
  (data (i32.const 16) "\07\00\00\00")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32) i32.const 16))
