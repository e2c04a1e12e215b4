//! Rows 14 and 15: what is given to the installer.

use super::arena::{Arena, packed};
use super::attack::installed;
use super::bombs::BOMBS;
use crate::harness::{http, order, split};

#[test]
fn bombs_for_the_compiler_are_refused_or_compiled_and_hurt_nobody() {
    let arena = Arena::new();
    let (workers, api) = (arena.workers_now(), arena.installer());
    for bomb in BOMBS {
        let component = wat::parse_str((bomb.text)()).unwrap();
        let artifact = packed(bomb.name, &component);
        installed(&api, bomb.name, &artifact, bomb.refused);
    }
    assert_eq!(arena.workers_now(), workers);
    // And whoever comes next is served as before.
    let (address, path) = split(&arena.victim_hook);
    let (status, answer) = http(address, "POST", &path, Some(&order(9_000)));
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn compiled_code_is_not_an_artifact() {
    let arena = Arena::new();
    let codes = arena.compiled_code();
    assert!(codes.len() >= 2);
    for code in codes {
        let (is_installed, said) = arena.try_install("forged", &code);
        assert!(!is_installed && said.contains("not a component"), "{said}");
    }
}
