;; Goes on for ever where the host asks it for memory.
(core module $guest
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (loop $again (br $again))
    unreachable)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32) unreachable))
