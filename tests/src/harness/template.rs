//! A data directory that was started once. The first start compiles the host's own
//! component, for which a program that is not optimized takes seconds; whoever does not
//! look at a first start begins with a copy.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use super::{built, program, ready};

/// What the copy has of it; the rest is made at each start.
const FILES: [&str; 2] = ["keyway.db", "root.key"];
/// What the database has not taken in yet, if it was not closed in time for that.
const LOG: &str = "keyway.db-wal";
const CACHE: &str = "cache";

/// Makes `data` a data directory that this program has started once.
pub(super) fn copy_to(data: &Path) {
    let template = made();
    fs::create_dir(data).unwrap();
    fs::set_permissions(data, fs::metadata(&template).unwrap().permissions()).unwrap();
    for name in FILES {
        fs::copy(template.join(name), data.join(name)).unwrap();
    }
    if template.join(LOG).exists() {
        fs::copy(template.join(LOG), data.join(LOG)).unwrap();
    }
    fs::create_dir(data.join(CACHE)).unwrap();
    for file in fs::read_dir(template.join(CACHE)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), data.join(CACHE).join(file.file_name())).unwrap();
    }
}

/// The one of this build of the program; the first test that needs it makes it.
fn made() -> PathBuf {
    let program = program();
    let metadata = fs::metadata(&program).unwrap();
    let age = metadata.modified().unwrap().duration_since(UNIX_EPOCH);
    let build = format!("{}-{}", metadata.len(), age.unwrap().as_nanos());
    let all = built().join("started");
    fs::create_dir_all(&all).unwrap();
    let lock = File::create(all.join("lock")).unwrap();
    lock.lock().unwrap();
    let template = all.join(build);
    if !template.exists() {
        let folder = tempfile::tempdir_in(&all).unwrap();
        let config = "[listen]\nwebhook = \"127.0.0.1:0\"\n";
        fs::write(folder.path().join("keyway.toml"), config).unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(folder.path())
            .args(["serve", "--config", "keyway.toml"]);
        let (serve, _) = ready(&mut command).unwrap();
        drop(serve);
        fs::rename(folder.path().join("keyway-data"), &template).unwrap();
    }
    template
}
