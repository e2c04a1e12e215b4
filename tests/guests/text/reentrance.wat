;; Calls the host while the host asks it for memory.
(import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
  (export "now" (func (result u64)))))
(core func $now (canon lower (func $clock "now")))
;;with
(with "host" (instance (export "now" (func $now))))
;;module
(core module $guest
  (import "host" "now" (func $now (result i64)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (drop (call $now))
    i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32) unreachable))
