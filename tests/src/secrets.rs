//! Where no secret may be: a worker's memory, the data directory, the export.

use std::os::unix::fs::FileExt;

use crate::harness::{INTAKE, Stage, order};

/// Whether a process holds these bytes in memory that it can write.
fn holds(process: u32, needle: &str) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let finder = memchr::memmem::Finder::new(needle);
    let resident = maps.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (range, rights) = (words.next()?, words.next()?);
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        rights
            .starts_with("rw")
            .then(|| (number(start), number(end)))
    });
    resident.into_iter().any(|(start, end)| {
        // Gigabytes of a pool are reserved; what was never touched reads as zeros at no cost.
        const PIECE_BYTES: u64 = 1 << 20;
        let mut piece = vec![0; (PIECE_BYTES + needle.len() as u64) as usize];
        (start..end).step_by(PIECE_BYTES as usize).any(|at| {
            let length = piece.len().min((end - at) as usize);
            let read = memory.read_at(&mut piece[..length], at).unwrap_or(0);
            finder.find(&piece[..read]).is_some()
        })
    })
}

#[test]
fn no_credential_is_in_the_memory_of_a_worker_while_a_guest_uses_it() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
    let worker = stage.ready["workers"][0].as_u64().unwrap() as u32;
    stage.upstream.mode("silent");
    let body = order(2);
    let (address, path) = crate::harness::split(&hook);
    let caller = std::thread::spawn(move || {
        crate::harness::raw(address, "POST", &path, &[], body.to_string().as_bytes())
    });
    stage.until("the request at the upstream", |stage| {
        (stage.upstream.effects()["by_path"]["/orders"] == 2).then_some(())
    });
    // The guest waits for its reply now. That its order is found shows that the search works.
    assert!(holds(worker, "ada2@customers.example"));
    assert!(!holds(worker, &stage.upstream.token));
    assert!(holds(
        stage.serve.as_ref().unwrap().pid(),
        &stage.upstream.token
    ));
    drop(stage);
    drop(caller.join().unwrap());
}

#[test]
fn no_secret_and_no_order_is_readable_in_the_data_directory_or_the_audit_export() {
    let mut stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    for number in 1..=3 {
        assert_eq!(stage.post(&hook, &order(number)).0, 200);
    }
    let export = stage.ok("audit export");
    stage.serve = None;
    let secret_path = hook.rsplit('/').next().unwrap();
    let mut canaries = vec![
        stage.upstream.token.clone(),
        secret_path.to_owned(),
        "LAMP".to_owned(),
        "Ada Lovelace".to_owned(),
    ];
    for number in 1..=3 {
        let order = order(number);
        canaries.extend(
            ["/number", "/email", "/card"]
                .map(|at| order.pointer(at).unwrap().as_str().unwrap().to_owned()),
        );
    }
    let mut bytes = 0;
    for file in files_in(&stage.data()) {
        let content = std::fs::read(&file).unwrap();
        bytes += content.len();
        for canary in &canaries {
            for form in [canary.clone(), hex::encode(canary)] {
                let found = memchr::memmem::find(&content, form.as_bytes());
                assert!(found.is_none(), "{canary} in {}", file.display());
            }
        }
    }
    assert!(bytes > 100_000, "the search looked at {bytes} bytes");
    for canary in &canaries {
        assert!(
            !export.contains(canary.as_str()),
            "{canary} in the audit export"
        );
    }
}

fn files_in(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.extend(files_in(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files
}
