;; Calls the host from ever deeper in its stack.
(import "keyway:host/log@0.1.0" (instance $log
  (type $levels (enum "debug" "info" "warn" "error"))
  (export "level" (type $level (eq $levels)))
  (export "write" (func (param "level" $level) (param "message" string)))))
(core module $memory (memory (export "memory") 1))
(core instance $memory (instantiate $memory))
(core func $write (canon lower (func $log "write") (memory $memory "memory")))
;;with
(with "host" (instance
  (export "write" (func $write))
  (export "memory" (memory $memory "memory"))))
;;module
(core module $guest
  (import "host" "memory" (memory 1))
  (import "host" "write" (func $write (param i32 i32 i32)))
  (export "memory" (memory 0))
  (func $deeper (param i64) (result i64)
    (local i64 i64 i64 i64 i64 i64 i64 i64)
    (local.set 1 (i64.mul (local.get 0) (i64.const 3)))
    (local.set 2 (i64.mul (local.get 1) (i64.const 5)))
    (local.set 3 (i64.mul (local.get 2) (i64.const 7)))
    (if (i64.eqz (i64.and (local.get 0) (i64.const 7)))
      (then (call $write (i32.const 1) (i32.const 0) (i32.const 8))))
    (drop (call $deeper (i64.add (local.get 0) (i64.const 1))))
    (i64.add (local.get 1) (i64.add (local.get 2) (local.get 3))))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32)
    (drop (call $deeper (i64.const 1)))
    unreachable))
