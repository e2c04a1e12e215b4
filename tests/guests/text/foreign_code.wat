;; Its compiled code is put into the place of that of `genuine_code`.
(core module $guest
  (memory (export "memory") 1)
  (data (i32.const 16) "\00\00\00\00\40\00\00\00\12\00\00\00")
  (data (i32.const 64) "{\"code\":\"foreign\"}")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32) i32.const 16))
