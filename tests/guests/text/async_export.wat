;; A connector whose action is an async function, as WASI 0.3 has them.
(component
  (core module $guest
    (func (export "run") (result i32) i32.const 0)
    (func (export "event") (param i32 i32 i32) (result i32) i32.const 0))
  (core instance $guest (instantiate $guest))
  (func $run async (canon lift (core func $guest "run") async (callback (func $guest "event"))))
  (instance $actions (export "invoke" (func $run)))
  (export "keyway:guest/actions@0.1.0" (instance $actions)))
