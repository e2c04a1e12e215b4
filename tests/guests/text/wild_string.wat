;; Gives the host a string that begins in its memory and ends nowhere.
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
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32)
    (call $write (i32.const 1) (i32.const 65000) (i32.const -1))
    unreachable))
