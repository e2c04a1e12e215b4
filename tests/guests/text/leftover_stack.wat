;; Looks for what somebody left where its stack is, then leaves something there
;; itself, as deep. Values that are set on no path are kept over calls, so that they
;; need places on the stack; answers with whether one of them is not zero.
(core module $guest
  (memory (export "memory") 1)
  (data (i32.const 16) "\00\00\00\00\40\00\00\00\0b\00\00\00")
  (data (i32.const 64) "{\"found\":0}")
  (data (i32.const 128) "\00\00\00\00\c0\00\00\00\0b\00\00\00")
  (data (i32.const 192) "{\"found\":1}")
  ;; Sets its values if $with is not zero, goes down, and puts together what they are.
  (func $descend (param $depth i32) (param $with i64) (result i64)
    (local $a i64) (local $b i64) (local $c i64) (local $d i64)
    (local $e i64) (local $f i64) (local $g i64) (local $h i64)
    (if (i64.ne (local.get $with) (i64.const 0)) (then
      (local.set $a (i64.mul (local.get $with) (i64.const 3)))
      (local.set $b (i64.mul (local.get $with) (i64.const 5)))
      (local.set $c (i64.mul (local.get $with) (i64.const 7)))
      (local.set $d (i64.mul (local.get $with) (i64.const 11)))
      (local.set $e (i64.mul (local.get $with) (i64.const 13)))
      (local.set $f (i64.mul (local.get $with) (i64.const 17)))
      (local.set $g (i64.mul (local.get $with) (i64.const 19)))
      (local.set $h (i64.mul (local.get $with) (i64.const 23)))))
    (if (result i64) (i32.eqz (local.get $depth))
      (then (i64.const 0))
      (else (call $descend (i32.sub (local.get $depth) (i32.const 1)) (local.get $with))))
    (i64.or (local.get $a)) (i64.or (local.get $b)) (i64.or (local.get $c))
    (i64.or (local.get $d)) (i64.or (local.get $e)) (i64.or (local.get $f))
    (i64.or (local.get $g)) (i64.or (local.get $h)))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "invoke") (param i32 i32 i32 i32) (result i32) (local $answer i32)
    (local.set $answer (i32.const 16))
    (if (i64.ne (call $descend (i32.const 1000) (i64.const 0)) (i64.const 0))
      (then (local.set $answer (i32.const 128))))
    ;; What is left there is not nothing.
    (if (i64.eqz (call $descend (i32.const 1000) (i64.const 0x5EC4E7CA4A419001)))
      (then unreachable))
    local.get $answer))
