//! Secrets on the command line: from a prompt, a descriptor or a file of mode
//! 0600. Never from an argument or the environment, and never echoed.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use keyway_model::limit::CREDENTIAL_BYTES_MAX;
use keyway_vault::Secret;

use super::args::CredentialSource;

/// The credential that `source` names; `None` if it says that none is needed.
pub(crate) fn read(source: &CredentialSource) -> Result<Option<Secret>> {
    if source.no_credential {
        return Ok(None);
    }
    if let Some(path) = &source.credential_file {
        return read_secret_file(path).map(Some);
    }
    if let Some(descriptor) = source.credential_fd {
        // Opening the descriptor's own path needs no unsafe code and fails
        // clearly for one that is not open.
        let path = format!("/proc/self/fd/{descriptor}");
        let file = File::open(&path)
            .with_context(|| format!("--credential-fd {descriptor} is not open"))?;
        return take(file).map(Some);
    }
    if !std::io::stdin().is_terminal() {
        bail!("no credential: pass --credential-file FILE, --credential-fd N or --no-credential");
    }
    let typed = rpassword::prompt_password("Credential (not shown): ")?;
    Ok(Some(Secret::new(typed.trim().as_bytes().to_vec())))
}

/// The secret in a file that only its owner can read.
pub(crate) fn read_secret_file(path: &Path) -> Result<Secret> {
    let file = File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_file() {
        bail!("{}: not a regular file", path.display());
    }
    if mode & 0o077 != 0 {
        bail!(
            "{}: others can read it (mode {mode:04o}): run `chmod 600 {}`",
            path.display(),
            path.display()
        );
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        bail!(
            "{}: belongs to user {}, not to you ({own})",
            path.display(),
            metadata.uid()
        );
    }
    take(file)
}

fn take(file: File) -> Result<Secret> {
    let mut bytes = Vec::new();
    file.take(CREDENTIAL_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > CREDENTIAL_BYTES_MAX {
        bail!("the credential is longer than {CREDENTIAL_BYTES_MAX} bytes");
    }
    while bytes.last().is_some_and(u8::is_ascii_whitespace) {
        bytes.pop();
    }
    if bytes.is_empty() {
        bail!("the credential is empty");
    }
    Ok(Secret::new(bytes))
}
