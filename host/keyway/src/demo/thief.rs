//! Act 4: somebody has the disk.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

use super::stage::Stage;
use super::story::Told;

/// Act 4.
pub(super) fn act(stage: &mut Stage, told: &Told) -> Result<()> {
    stage.act("Act 4. The thief: a copy of the whole data directory");
    let files = files_in(&stage.data())?;
    let mut bytes = 0;
    let mut hits = Vec::new();
    for file in &files {
        let content = fs::read(file)?;
        bytes += content.len();
        for secret in &told.secrets {
            for form in forms(secret) {
                hits.extend(
                    memmem::find_iter(&content, &form)
                        .map(|_| format!("{secret} in {}", file.display())),
                );
            }
        }
    }
    stage.say(&format!(
        "$ grep -r -c -a -F -f secrets.txt keyway-data/\n  {} secrets and order values (raw, hexadecimal, base64) in {} files, {} KiB: {} hits",
        told.secrets.len(),
        files.len(),
        bytes / 1024,
        hits.len()
    ));
    stage.check(
        hits.is_empty(),
        &format!("nothing is readable on the disk (found: {hits:?})"),
    )?;
    stage.check(
        bytes > 100_000,
        "the search looked at a real data directory",
    )
}

fn forms(secret: &str) -> [Vec<u8>; 3] {
    let base64 = STANDARD.encode(secret);
    let stable = base64.trim_end_matches('=');
    let stable = stable
        .get(..stable.len().saturating_sub(1))
        .unwrap_or(stable);
    [
        secret.as_bytes().to_vec(),
        hex::encode(secret).into_bytes(),
        stable.as_bytes().to_vec(),
    ]
}

fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files.extend(files_in(&entry.path())?);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}
