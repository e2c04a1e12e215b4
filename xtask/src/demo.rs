//! `cargo xtask demo [--serve]`: from a fresh checkout to the story in five acts.

use crate::artifacts::{self, Profile};
use crate::shell::{self, tool};

pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = args.iter().find(|arg| *arg != "--serve") {
        anyhow::bail!("`{unknown}` is not an option of `cargo xtask demo`; it takes --serve only");
    }
    artifacts::announce("Demo", 8, Profile::Dev);
    println!("Step 1 of 4: the toolchain's WebAssembly target");
    artifacts::ensure_guest_target()?;
    println!("Step 2 of 4: Keyway itself");
    artifacts::build_host(Profile::Dev, &[])?;
    println!("Step 3 of 4: the connectors, as WebAssembly components");
    let guests = artifacts::build_connectors(Profile::Dev)?;
    println!("Step 4 of 4: the story (half a minute)");
    let keyway = artifacts::binary("keyway", Profile::Dev);
    shell::run(
        tool(keyway, &["demo", "--artifacts"])
            .arg(guests)
            .args(args),
    )
}
