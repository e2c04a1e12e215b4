;; Reads as far beyond its memory as an instruction can name, where there may be
;; what is others'.
(core module $guest
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32)
    (i32.load offset=0xffffffff (i32.const 0xffffffff))))
