;; Fills all the memory that it may have, again and again: one instruction that
;; takes long.
(core module $guest
  (memory (export "memory") 900)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32)
    (loop $again
      (memory.fill (i32.const 0) (i32.const 165) (i32.const 58982400))
      (br $again))
    unreachable))
