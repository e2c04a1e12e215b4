//! Rows 14 and 15: what is given to the installer.

use std::time::Duration;

use super::arena::{Arena, packed};
use super::bombs::BOMBS;
use super::victim::Victim;
use crate::harness::{PATIENCE, order};

/// The victim is asked this often while bombs are compiled.
const INTERVAL: Duration = Duration::from_millis(100);
const REQUESTS: u32 = 60;

#[test]
fn bombs_for_the_compiler_are_refused_or_compiled_and_hurt_nobody() {
    let arena = Arena::new();
    let workers = arena.workers_now();
    let victim = Victim::new(&arena.victim_hook);
    let bombs: Vec<(&str, Vec<u8>, Option<&str>)> = BOMBS
        .iter()
        .map(|bomb| {
            let component = wat::parse_str((bomb.text)()).unwrap();
            (bomb.name, packed(bomb.name, &component), bomb.refused)
        })
        .collect();
    let window = std::thread::scope(|scope| {
        let load = scope.spawn(|| victim.window(REQUESTS, INTERVAL));
        for (name, artifact, refused) in &bombs {
            let (is_installed, said) = arena.try_install(name, artifact);
            match refused {
                Some(reason) => assert!(!is_installed && said.contains(reason), "{name}: {said}"),
                // Taken, or ended by the limits of whatever compiles it.
                None => assert!(is_installed || said.contains("compil"), "{name}: {said}"),
            }
            assert!(said.len() < 4_000, "{name}: {} bytes are said", said.len());
        }
        load.join().unwrap()
    });
    assert_eq!(window.failed, Vec::<String>::new());
    assert!(window.percentile(100) < PATIENCE, "{window:?}");
    assert_eq!(arena.workers_now(), workers);
    // And whoever comes next is served as before.
    let (address, path) = crate::harness::split(&arena.victim_hook);
    let (status, answer) = crate::harness::http(address, "POST", &path, Some(&order(9_000)));
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn compiled_code_is_not_an_artifact() {
    let arena = Arena::new();
    let mut tried = 0;
    for file in std::fs::read_dir(arena.stage.data().join("cache")).unwrap() {
        let cached = std::fs::read(file.unwrap().path()).unwrap();
        // As it lies there, and without what the host puts before it.
        for code in [&cached[..], &cached[32..]] {
            let (is_installed, said) = arena.try_install("forged", code);
            assert!(!is_installed && said.contains("not a component"), "{said}");
            tried += 1;
        }
    }
    assert!(tried >= 2);
}
