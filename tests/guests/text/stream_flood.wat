;; Would make one stream and one future after the other.
(component
  (type $bytes (stream u8))
  (type $later (future u8))
  (core func $stream (canon stream.new $bytes))
  (core func $future (canon future.new $later))
  (core module $guest
    (import "host" "stream" (func $stream (result i64)))
    (import "host" "future" (func $future (result i64)))
    (func (export "run")
      (loop $again (drop (call $stream)) (drop (call $future)) (br $again))))
  (core instance $guest (instantiate $guest
    (with "host" (instance
      (export "stream" (func $stream))
      (export "future" (func $future))))))
  (func $run (canon lift (core func $guest "run")))
  (instance $actions (export "invoke" (func $run)))
  (export "keyway:guest/actions@0.1.0" (instance $actions)))
