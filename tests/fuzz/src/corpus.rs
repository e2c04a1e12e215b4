//! The checked-in corpus: one folder for each target, one file for each input.
//!
//! Small and by hand, or kept because it reached what nothing else did; files
//! whose name begins with `crash-` once broke a promise.

use std::io;
use std::path::{Path, PathBuf};

/// The folder of one target.
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

/// Every input of one target, with its file's name, in the order of the names.
///
/// # Errors
///
/// The operating system's, if the folder is not there or not readable.
pub fn read(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(folder(target))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        inputs.push((name, std::fs::read(entry.path())?));
    }
    inputs.sort();
    Ok(inputs)
}

/// Keeps an input that broke a promise; gives the file's path.
///
/// # Errors
///
/// The operating system's, if the file cannot be written.
pub fn keep_crash(target: &str, input: &[u8]) -> io::Result<PathBuf> {
    let digest = keyway_model::Digest::of(input);
    let name = format!("crash-{}", hex::encode(&digest.as_bytes()[..6]));
    let path = folder(target).join(name);
    std::fs::create_dir_all(folder(target))?;
    std::fs::write(&path, input)?;
    Ok(path)
}
