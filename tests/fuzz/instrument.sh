#!/bin/sh
# A workspace wrapper for rustc: builds our own crates with what libFuzzer reads coverage from, and optimized,
# with every check left in. Dependencies are built as always. `cargo xtask fuzz` sets it.
exec "$@" \
    -Copt-level=1 -Cdebug-assertions=on -Coverflow-checks=on \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
