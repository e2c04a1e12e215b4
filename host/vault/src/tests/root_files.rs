//! KEY-13: the root key's file is exactly what it should be, or it is refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;

struct Folder {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    Folder {
        _folder: folder,
        path,
    }
}

/// A file with content that no error may show.
fn file(bytes: &[u8], mode: u32) -> Folder {
    let folder = folder();
    fs::write(&folder.path, bytes).unwrap();
    fs::set_permissions(&folder.path, fs::Permissions::from_mode(mode)).unwrap();
    folder
}

const CANARY: &[u8; 32] = b"canary-canary-canary-canary-cana";

fn refusal(folder: &Folder) -> RootFileError {
    let error = RootKey::open_or_create(&folder.path).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
    error
}

#[test]
fn the_first_start_makes_a_key_and_the_next_finds_it() {
    let folder = folder();
    let first = RootKey::open_or_create(&folder.path).unwrap();
    let stat = fs::metadata(&folder.path).unwrap();
    assert_eq!(
        (stat.permissions().mode() & 0o7777, stat.len()),
        (0o600, 32)
    );
    assert_eq!(
        RootKey::open_or_create(&folder.path).unwrap().id(),
        first.id()
    );
    let names: Vec<_> = fs::read_dir(folder.path.parent().unwrap())
        .unwrap()
        .collect();
    assert_eq!(names.len(), 1, "nothing is left beside the key");
}

#[test]
fn a_key_is_never_overwritten() {
    let folder = file(CANARY, 0o600);
    assert!(matches!(
        RootKey::create(&folder.path),
        Err(RootFileError::Exists(_))
    ));
    assert_eq!(fs::read(&folder.path).unwrap(), CANARY);
    assert_eq!(
        fs::read_dir(folder.path.parent().unwrap()).unwrap().count(),
        1
    );
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    assert!(RootKey::open(&file(CANARY, 0o400).path).is_ok());
    for mode in [0o640, 0o604, 0o660, 0o620, 0o644, 0o610] {
        let error = refusal(&file(CANARY, mode));
        assert!(matches!(error, RootFileError::OpenToOthers { mode: found, .. } if found == mode));
    }
}

#[test]
fn a_file_of_another_length_is_refused() {
    for bytes in [&b""[..], b"canary", &[CANARY.as_slice(), b"\n"].concat()] {
        let error = refusal(&file(bytes, 0o600));
        assert!(
            matches!(error, RootFileError::WrongLength { bytes: found, .. } if found == bytes.len() as u64)
        );
    }
}

#[test]
fn a_link_is_refused_even_to_a_good_file() {
    let (good, link) = (file(CANARY, 0o600), folder());
    symlink(&good.path, &link.path).unwrap();
    assert!(matches!(refusal(&link), RootFileError::NotAFile(_)));
}

#[test]
fn a_link_to_nothing_is_not_followed_when_the_key_is_made() {
    let link = folder();
    let target = link.path.with_extension("elsewhere");
    symlink(&target, &link.path).unwrap();
    assert!(matches!(refusal(&link), RootFileError::NotAFile(_)));
    assert!(!target.exists());
}

#[test]
fn a_directory_or_a_pipe_is_refused() {
    let directory = folder();
    fs::create_dir(&directory.path).unwrap();
    assert!(matches!(refusal(&directory), RootFileError::NotAFile(_)));

    let pipe = folder();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe.path,
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .unwrap();
    assert!(matches!(refusal(&pipe), RootFileError::NotAFile(_)));
}

#[test]
fn a_missing_folder_is_named() {
    let folder = folder();
    let path = folder.path.join("nowhere").join("root.key");
    let error = RootKey::open_or_create(&path).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}
