;; A connector around one core module, for guests that no compiler would write.
;; `MODULE` is the core module `$guest`, which exports `memory`, `cabi_realloc`
;; and `invoke`; `IMPORTS` is what it needs of the host, and `WITH` hands it that.
(component
  (import "keyway:guest/types@0.1.0" (instance $types
    (type $limit (record (field "message" string) (field "retry-after-seconds" (option u32))))
    (export "rate-limit" (type $rate-limit (eq $limit)))
    (type $cases (variant
      (case "invalid-input" string) (case "unauthorized" string) (case "forbidden" string)
      (case "not-found" string) (case "conflict" string) (case "rate-limited" $rate-limit)
      (case "transient" string) (case "permanent" string)))
    (export "failure" (type (eq $cases)))))
  (alias export $types "failure" (type $failure))
  ;;IMPORTS
  ;;MODULE
  (core module $others
    (func (export "poll") (param i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
    (func (export "check") (result i32) unreachable))
  (core instance $guest (instantiate $guest (;WITH;)))
  (core instance $others (instantiate $others))
  (type $event (record (field "deduplication-key" string) (field "payload" string)))
  (export $event-name "event" (type $event))
  (type $batch (record
    (field "events" (list $event-name)) (field "cursor" (option string)) (field "more" bool)))
  (export $batch-name "batch" (type $batch))
  (func $invoke (param "name" string) (param "input" string) (result (result string (error $failure)))
    (canon lift (core func $guest "invoke")
      (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $poll (param "name" string) (param "input" string) (param "cursor" (option string))
    (result (result $batch-name (error $failure)))
    (canon lift (core func $others "poll")
      (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $check (result (result string (error $failure)))
    (canon lift (core func $others "check") (memory $guest "memory")))
  (instance $actions (export "invoke" (func $invoke)))
  (instance $triggers (export "poll" (func $poll)))
  (instance $checks (export "check" (func $check)))
  (export "keyway:guest/actions@0.1.0" (instance $actions))
  (export "keyway:guest/triggers@0.1.0" (instance $triggers))
  (export "keyway:guest/connection-check@0.1.0" (instance $checks)))
