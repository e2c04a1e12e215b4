//! What must be built before anything runs: the WebAssembly target, the guests, the binaries.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::shell::{self, cargo, root, tool};

/// The target of every guest.
pub(crate) const GUEST_TARGET: &str = "wasm32-wasip2";
/// One tiny guest per behaviour, for the tests.
const TEST_GUESTS: &str = "tests/guests";
/// The connectors that ship; each becomes one artifact with its manifest inside.
const CONNECTORS: [&str; 6] = [
    "bench",
    "orders",
    "http",
    "hostile",
    "hostile-file",
    "hostile-socket",
];

/// What `demo` and `test` build the host with. Features of a dependency are those that all packages of one build
/// ask for together: with the fuzz targets among them they are those of the tests, and a fresh clone compiles the
/// engine once.
pub(crate) const BUILT_WITH: [&str; 3] = ["keyway", "keyway-upstream", "keyway-fuzz"];

/// Which profile the host's binaries are built with; `demo` and `test` share one, so that neither waits twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// Says how long a build will take, before it starts.
pub(crate) fn announce(what: &str, first_minutes: u32, profile: Profile) {
    let is_built = binary("keyway", profile).exists();
    if is_built {
        let expected = match profile {
            Profile::Dev => "a minute or less",
            // What is shipped is optimized as one piece, and so anew after each change.
            Profile::Release => "a minute, or about six after a change,",
        };
        println!("{what}: what is built already is kept; expect {expected} before it starts.");
    } else {
        println!(
            "{what}: the first build takes about {first_minutes} minutes on two cores (less on more); later ones take seconds."
        );
    }
}

/// Adds the guests' target to the toolchain if it is not there.
pub(crate) fn ensure_guest_target() -> anyhow::Result<()> {
    let libraries = tool(
        "rustc",
        &["--print", "target-libdir", "--target", GUEST_TARGET],
    )
    .output();
    let is_there = libraries
        .is_ok_and(|printed| Path::new(String::from_utf8_lossy(&printed.stdout).trim()).is_dir());
    if is_there {
        return Ok(());
    }
    shell::run(&mut tool("rustup", &["target", "add", GUEST_TARGET])).with_context(|| {
        format!("guests are built for {GUEST_TARGET}; without rustup, install its standard library for this toolchain")
    })
}

/// Builds the tests' own guests.
pub(crate) fn build_test_guests() -> anyhow::Result<()> {
    // In its own folder, where cargo finds the workspace's settings: flags belong to a folder, not to a manifest.
    let build = ["build", "--release", "--locked", "--target", GUEST_TARGET];
    shell::run(cargo(&build).current_dir(root().join(TEST_GUESTS)))
}

/// Builds every connector as an author would, with `keyway connector build`, into one folder.
pub(crate) fn build_connectors(profile: Profile) -> anyhow::Result<PathBuf> {
    let folder = guests();
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    for name in CONNECTORS {
        let artifact = folder.join(format!("{}.wasm", name.replace('-', "_")));
        let mut build = tool(binary("keyway", profile), &["connector", "build"]);
        build
            .arg(root().join("connectors").join(name))
            .arg("--out")
            .arg(artifact);
        if name.starts_with("hostile-") {
            // Imports more than it declares: that its install is refused is a test.
            build.arg("--unchecked");
        }
        shell::run(&mut build)?;
    }
    Ok(folder)
}

/// Runs the tests of the connectors and of what they are written with, on this machine.
pub(crate) fn test_connectors() -> anyhow::Result<()> {
    let printed = shell::output(&mut tool("rustc", &["-vV"]))?;
    let host = printed.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("`rustc -vV` names no host")?;
    for folder in ["connectors", "sdk/rust"] {
        let test = [
            "test", "--quiet", "--locked", "--lib", "--tests", "--target", host,
        ];
        shell::run(cargo(&test).current_dir(root().join(folder)))?;
    }
    Ok(())
}

/// Builds the host's binaries.
pub(crate) fn build_host(profile: Profile, packages: &[&str]) -> anyhow::Result<()> {
    let mut build = cargo(&["build"]);
    let (with, flag): (&[&str], _) = match profile {
        Profile::Dev => (&BUILT_WITH, None),
        Profile::Release => (&[], Some("--release")),
    };
    for package in with.iter().chain(packages) {
        build.args(["--package", package]);
    }
    build.args(flag);
    shell::run(&mut build)
}

/// Where a binary of the host is.
pub(crate) fn binary(name: &str, profile: Profile) -> PathBuf {
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    };
    root().join("target").join(folder).join(name)
}

/// The one folder of built guests.
pub(crate) fn guests() -> PathBuf {
    root().join("target/guests")
}

/// A guest of the tests.
pub(crate) fn test_guest(name: &str) -> PathBuf {
    root()
        .join(TEST_GUESTS)
        .join("target")
        .join(GUEST_TARGET)
        .join("release")
        .join(name)
        .with_extension("wasm")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{BUILT_WITH, root};
    use crate::shell::{cargo, output};

    /// The crates that a selection of packages is built of, by name and, if asked for, with their features.
    fn built(selection: &[&str], shown: &str) -> anyhow::Result<BTreeSet<String>> {
        let mut tree = cargo(&["tree", "--locked", "--prefix", "none", "--format", shown]);
        let printed = output(tree.args(selection).current_dir(root()))?;
        let lines = printed.lines().map(|line| line.trim_end_matches(" (*)"));
        Ok(lines.map(|line| line.trim().to_owned()).collect())
    }

    #[test]
    fn the_demo_and_the_tests_share_one_build_of_the_engine() -> anyhow::Result<()> {
        const FEATURES: &str = "{lib} {f}";
        let packages = |names: &[&'static str]| -> Vec<&str> {
            let named = names.iter().flat_map(|name| ["--package", name]);
            ["--edges", "normal,build"]
                .into_iter()
                .chain(named)
                .collect()
        };
        let engine = built(&packages(&["wasmtime", "wasmtime-wasi-http"]), "{lib}")?;
        assert!(engine.contains("cranelift_codegen"), "{engine:?}");
        let tests = built(&["--workspace", "--edges", "all"], FEATURES)?;
        let other = |selection: &[&'static str]| -> anyhow::Result<Vec<String>> {
            let demo = built(&packages(selection), FEATURES)?;
            let other = demo.difference(&tests).filter(|line| {
                let name = line.split(' ').next().unwrap_or_default();
                engine.contains(name)
            });
            Ok(other.cloned().collect())
        };
        let found = other(&BUILT_WITH)?;
        assert!(
            found.is_empty(),
            "the tests build these with other features: {found:?}"
        );
        let [keyway, upstream, _] = BUILT_WITH;
        assert!(
            !other(&[keyway, upstream])?.is_empty(),
            "the third is not needed any more"
        );
        Ok(())
    }
}
