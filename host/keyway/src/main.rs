//! The `keyway` program.

use std::process::ExitCode;

/// Jobs are many small values with short lives; the C library's allocator
/// spent a fifth of the broker's time on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keyway::cli::main()
}
