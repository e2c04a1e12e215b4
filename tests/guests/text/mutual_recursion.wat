;; Two functions that call each other for ever.
(core module $guest
  (memory (export "memory") 1)
  (func $one (param i64) (result i64)
    (i64.add (local.get 0) (call $two (i64.add (local.get 0) (i64.const 1)))))
  (func $two (param i64) (result i64)
    (i64.mul (local.get 0) (call $one (i64.add (local.get 0) (i64.const 1)))))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32)
    (drop (call $one (i64.const 1)))
    unreachable))
