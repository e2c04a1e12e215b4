;; Would start one task after the other that never ends, and wait for none.
(component
  (import "flood" (func $flood async))
  (core func $start (canon lower (func $flood) async))
  (core func $cancel (canon task.cancel))
  (core module $guest
    (import "host" "start" (func $start (result i32)))
    (func (export "run") (loop $again (drop (call $start)) (br $again))))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "start" (func $start))))))
  (func $run (canon lift (core func $guest "run")))
  (instance $actions (export "invoke" (func $run)))
  (export "keyway:guest/actions@0.1.0" (instance $actions)))
