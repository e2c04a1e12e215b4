//! Builds the expression component that the program ships, so that a plain
//! `cargo build` is all it takes, and embeds the SDK and the template that
//! `keyway connector new` writes.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script is told everything by its environment"
)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), String> {
    let root =
        PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(|e| e.to_string())?).join("../..");
    embed(&root)?;
    let guests = root.join("connectors");
    for watched in [
        "connectors/expressions/src",
        "connectors/Cargo.toml",
        "wit",
        "sdk",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let target = guests.join("target");
    build(&guests, &target)?;
    let built = target.join("wasm32-wasip2/release/keyway_expressions.wasm");
    let built = built
        .canonicalize()
        .map_err(|error| format!("{}: {error}", built.display()))?;
    println!("cargo::rustc-env=KEYWAY_EXPRESSIONS={}", built.display());
    Ok(())
}

fn build(guests: &Path, target: &Path) -> Result<(), String> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo)
        .current_dir(guests)
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            "wasm32-wasip2",
            "-p",
            "keyway-expressions",
        ])
        .arg("--target-dir")
        .arg(target)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .map_err(|error| error.to_string())?;
    if status.success() {
        Ok(())
    } else {
        Err("the expression component does not build; is the target there? rustup target add wasm32-wasip2".to_owned())
    }
}

/// Writes `embedded.rs`: two lists of relative paths and texts.
fn embed(root: &Path) -> Result<(), String> {
    let mut out = String::new();
    let lists = [
        ("TEMPLATE", vec![("", root.join("sdk/template"))]),
        (
            "SDK",
            vec![
                ("src", root.join("sdk/rust/src")),
                ("wit", root.join("wit")),
                ("Cargo.toml", root.join("sdk/rust/Cargo.toml")),
            ],
        ),
    ];
    for (name, places) in lists {
        let mut files = Vec::new();
        for (prefix, place) in places {
            collect(prefix, &place, &mut files)?;
        }
        files.sort();
        out.push_str(&format!("pub(super) const {name}: &[(&str, &str)] = &[\n"));
        for (relative, path) in files {
            let path = path.canonicalize().map_err(|error| error.to_string())?;
            out.push_str(&format!(
                "    ({relative:?}, include_str!({:?})),\n",
                path.display().to_string()
            ));
        }
        out.push_str("];\n");
    }
    let dir = env::var("OUT_DIR").map_err(|e| e.to_string())?;
    fs::write(PathBuf::from(dir).join("embedded.rs"), out).map_err(|error| error.to_string())
}

fn collect(prefix: &str, place: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<(), String> {
    if place.is_file() {
        files.push((prefix.to_owned(), place.to_owned()));
        return Ok(());
    }
    for entry in fs::read_dir(place).map_err(|error| format!("{}: {error}", place.display()))? {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let skip = matches!(name.as_str(), "target" | "Cargo.lock");
        if !skip {
            let relative = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}/{name}")
            };
            collect(&relative, &entry.path(), files)?;
        }
    }
    Ok(())
}
