;; Whether the one clock that a guest has could tell a line of memory that is near from
;; one that is far: answers 1 if it ever moves by less than a millisecond, in which a line
;; comes a thousand times. Between two looks it does what would be measured: it reads
;; beyond the end of its table on a path that the processor only guesses. What that
;; brought near it cannot see with this clock, and there is no other: no threads, and so
;; no memory that somebody else counts in.
(import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
  (export "now" (func (result u64)))))
(core func $now (canon lower (func $clock "now")))
;;with
(with "host" (instance (export "now" (func $now))))
;;module
(core module $guest
  (import "host" "now" (func $now (result i64)))
  (memory (export "memory") 64)
  (type $reader (func (result i32)))
  (table 16 funcref)
  (elem (i32.const 0) $zero $zero $zero $zero $zero $zero $zero $zero
    $zero $zero $zero $zero $zero $zero $zero $zero)
  (func $zero (result i32) i32.const 0)
  (data (i32.const 16) "\00\00\00\00\40\00\00\00\0a\00\00\00")
  (data (i32.const 64) "{\"told\":0}")
  (data (i32.const 128) "\00\00\00\00\c0\00\00\00\0a\00\00\00")
  (data (i32.const 192) "{\"told\":1}")
  ;; How long the table is, where it is far away when it is asked for.
  (data (i32.const 0x200000) "\10\00\00\00")
  ;; One of sixteen lines at 1 MiB, by what is in the table at $at.
  (func $guess (param $at i32)
    (if (i32.lt_u (local.get $at) (i32.load (i32.const 0x200000)))
      (then (drop (i32.load8_u (i32.add (i32.const 0x100000)
        (i32.shl (i32.and (call_indirect (type $reader) (local.get $at)) (i32.const 15))
          (i32.const 12))))))))
  ;; Reads so much else that nothing of before is near.
  (func $forget (local $at i32)
    (local.set $at (i32.const 0x240000))
    (loop $again
      (drop (i32.load (local.get $at)))
      (br_if $again (i32.lt_u
        (local.tee $at (i32.add (local.get $at) (i32.const 64))) (i32.const 0x3ffff0)))))
  ;; Whether the clock has moved by less than a millisecond while a line was read.
  (func $is_told (param $line i32) (result i32) (local $before i64)
    (local.set $before (call $now))
    (drop (i32.load8_u (i32.add (i32.const 0x100000) (i32.shl (local.get $line) (i32.const 12)))))
    (i32.lt_u
      (i32.wrap_i64 (i64.sub (i64.sub (call $now) (local.get $before)) (i64.const 1)))
      (i32.const 999999)))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32)
    (local $round i32) (local $turn i32) (local $answer i32)
    (local.set $answer (i32.const 16))
    (loop $rounds
      ;; Sixteen times within the table, so that the next is taken for such a one.
      (local.set $turn (i32.const 0))
      (loop $turns
        (call $guess (local.get $turn))
        (br_if $turns (i32.lt_u
          (local.tee $turn (i32.add (local.get $turn) (i32.const 1))) (i32.const 16))))
      (call $forget)
      (call $guess (i32.add (i32.const 0x1000) (local.get $round)))
      (local.set $turn (i32.const 0))
      (loop $lines
        (if (call $is_told (local.get $turn)) (then (local.set $answer (i32.const 128))))
        (br_if $lines (i32.lt_u
          (local.tee $turn (i32.add (local.get $turn) (i32.const 1))) (i32.const 16))))
      (br_if $rounds (i32.lt_u
        (local.tee $round (i32.add (local.get $round) (i32.const 1))) (i32.const 20))))
    local.get $answer))
