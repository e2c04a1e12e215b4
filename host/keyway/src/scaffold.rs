//! `keyway connector new` and `keyway connector build`: from nothing to one
//! `.wasm` with its manifest inside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use keyway_model::manifest::{Manifest, imports_beyond, section};
use keyway_model::{Digest, Name};

/// The SDK and the template, as they are when this program is built.
mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// An artifact that was built.
pub(crate) struct Built {
    pub(crate) path: PathBuf,
    pub(crate) bytes: usize,
    pub(crate) digest: Digest,
}

/// Writes a new connector crate into a directory of its name.
pub(crate) fn new(name: &Name) -> Result<()> {
    let root = PathBuf::from(name.as_str());
    if root.exists() {
        bail!("{} exists already", root.display());
    }
    for (path, text) in embedded::TEMPLATE {
        let path = path.strip_suffix(".template").unwrap_or(path);
        write(&root.join(path), &text.replace("{{name}}", name.as_str()))?;
    }
    for (path, text) in embedded::SDK {
        write(&root.join("vendor/keyway-sdk").join(path), text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text).with_context(|| format!("{}: cannot be written", path.display()))
}

/// Builds the crate in `dir` and puts its manifest into the component.
pub(crate) fn build(dir: &Path, out: Option<&Path>, checked: bool) -> Result<Built> {
    let manifest_path = dir.join("connector.toml");
    let text = fs::read_to_string(&manifest_path).with_context(|| {
        format!(
            "{}: a connector's directory has one",
            manifest_path.display()
        )
    })?;
    let manifest = Manifest::parse(&text).map_err(|error| anyhow::anyhow!("{error}"))?;
    let component = fs::read(compile(dir)?)?;
    let artifact = section::append(&component, &text)?;
    let imports = crate::local::imports(&artifact)?;
    let beyond = imports_beyond(&manifest, &imports);
    if checked && !beyond.is_empty() {
        bail!(
            "the component imports more than connector.toml declares:\n{}",
            beyond.join("\n")
        );
    }
    let default = dir.join(format!("{}.wasm", manifest.connector.name));
    let path = out.map_or(default, Path::to_path_buf);
    fs::write(&path, &artifact)
        .with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(Built {
        path,
        bytes: artifact.len(),
        digest: Digest::of(&artifact),
    })
}

/// Runs cargo and answers with the component that it made.
fn compile(dir: &Path) -> Result<PathBuf> {
    let output = Command::new("cargo")
        .current_dir(dir)
        .args([
            "build",
            "--release",
            "--target",
            "wasm32-wasip2",
            "--message-format",
            "json-render-diagnostics",
        ])
        .env(
            "RUSTFLAGS",
            "-C link-arg=-zstack-size=65536 -C link-arg=--initial-memory=1048576",
        )
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .env("CARGO_PROFILE_RELEASE_LTO", "true")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_STRIP", "true")
        .env_remove("CARGO_TARGET_DIR")
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo is needed to build a connector: install Rust with rustup")?;
    if !output.status.success() {
        bail!(
            "cargo could not build the connector; if the target is missing: rustup target add wasm32-wasip2"
        );
    }
    let made = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| {
            message
                .get("reason")
                .is_some_and(|reason| reason == "compiler-artifact")
        })
        .filter_map(|message| Some(message.get("filenames")?.as_array()?.clone()))
        .flatten()
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .rfind(|file| {
            file.extension()
                .is_some_and(|extension| extension == "wasm")
        });
    made.context("the crate makes no component: it needs [lib] crate-type = [\"cdylib\"]")
}
