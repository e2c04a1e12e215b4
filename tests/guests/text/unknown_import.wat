;; A connector that imports what no manifest can ask for.
(component
  (import "wasi:sockets/tcp@0.2.0" (instance (export "tcp-socket" (type (sub resource)))))
  (import "keyway:host/secrets@0.1.0" (instance (export "read" (func (result string)))))
  (import "reach-out" (func)))
