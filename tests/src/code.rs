//! Compiled code comes and goes: only so much of it is at hand and on the
//! disk, what was let go runs again when it is called, and nobody's installs
//! are in another's way.

use std::collections::BTreeSet;

use crate::harness::{Stage, with_manifest};
use crate::hostile::{branches, packed};
use crate::processes::children;

/// Components that are at hand in these tests.
const HELD_MAX: usize = 3;

/// Memory files of compiled code that a worker has mapped.
fn mapped(pid: u32) -> BTreeSet<String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let inode = |line: &str| line.split_whitespace().nth(4).map(str::to_owned);
    let lines = maps.lines();
    lines
        .filter(|line| line.contains("memfd:keyway-code"))
        .filter_map(inode)
        .collect()
}

/// Memory files of compiled code that a process has open.
fn open(pid: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    targets
        .filter(|target| target.to_string_lossy().contains("memfd:keyway-code"))
        .count()
}

fn cached_bytes(stage: &Stage) -> u64 {
    let files = std::fs::read_dir(stage.data().join("cache")).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

/// Installs the `number`th of many connectors that differ in their names, with
/// a connection of the same name.
pub(crate) fn install(stage: &Stage, number: usize) -> String {
    let name = format!("orders-{number}");
    let bytes = with_manifest("orders.wasm", |manifest| {
        manifest.replacen("\"orders\"", &format!("\"{name}\""), 1)
    });
    stage.install_file(&stage.write(&format!("{name}.wasm"), bytes), &name);
    stage.connect(&name, &name);
    name
}

#[test]
fn components_beyond_the_room_are_let_go_and_run_again_when_they_are_called() {
    let stage = Stage::configured(&format!(
        "[workers]\nprocesses = 1\ncomponents_held_max = {HELD_MAX}\n"
    ));
    stage.ok("workspace create acme");
    let broker = stage.serve.as_ref().unwrap().pid();
    let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
    for number in 0..3 * HELD_MAX {
        let name = install(&stage, number);
        stage.ok(&format!("connection check {name}"));
        names.push(name);
        let worker = children(broker).into_iter().next().unwrap();
        let mapped = mapped(worker);
        // What was let go is unmapped before the next is mapped.
        assert!(mapped.len() <= HELD_MAX + 1, "{mapped:?}");
        assert!(open(broker) <= HELD_MAX, "{} are open", open(broker));
        seen.extend(mapped);
    }
    assert!(seen.len() > 2 * HELD_MAX, "each was mapped once: {seen:?}");
    let workers = children(broker);
    for name in &names {
        stage.ok(&format!("connection check {name}"));
    }
    assert_eq!(children(broker), workers, "a worker ended");
    assert!(mapped(*workers.first().unwrap()).len() <= HELD_MAX + 1);
}

#[test]
fn code_that_is_no_longer_on_the_disk_is_compiled_again_when_it_is_called() {
    let stage = Stage::configured(&format!(
        "[workers]\nprocesses = 1\ncomponents_held_max = {HELD_MAX}\ncode_cached_bytes_max = 1\n"
    ));
    stage.ok("workspace create acme");
    let names: Vec<String> = (0..2).map(|number| install(&stage, number)).collect();
    // The newest alone is there, however long it is.
    let files = std::fs::read_dir(stage.data().join("cache"))
        .unwrap()
        .count();
    assert_eq!(files, 1);
    for name in &names {
        stage.ok(&format!("connection check {name}"));
    }
    assert!(cached_bytes(&stage) > 1);
    let files = std::fs::read_dir(stage.data().join("cache"))
        .unwrap()
        .count();
    assert_eq!(files, 1);
}

/// A valid component that takes a compiler seconds and gigabytes, for many branches.
fn bomb(times: usize) -> Vec<u8> {
    packed("bomb", &wat::parse_str(branches(times)).unwrap())
}

/// Configuration of the compiler: enough of everything but what is set.
fn compiler(limits: &str) -> String {
    let ample = match limits.contains("memory") {
        true => "",
        false => "compile_memory_bytes_max = 8_000_000_000\n",
    };
    format!("\n[workers]\nprocesses = 1\n{ample}{limits}\n")
}

#[test]
fn a_bomb_for_the_compiler_ends_at_each_limit_and_is_refused_by_its_name_and_value() {
    let mut stage = Stage::empty();
    stage.ok("workspace create acme");
    let file = stage.write("bomb.wasm", bomb(50_000));
    let config = std::fs::read_to_string(stage.dir.path().join("keyway.toml")).unwrap();
    for (limit, value) in [
        ("compile_cpu_seconds_max", 1),
        ("compile_wall_seconds_max", 1),
        ("compile_memory_bytes_max", 100_000_000),
    ] {
        stage.serve.as_mut().unwrap().kill();
        let limited = config.clone() + &compiler(&format!("{limit} = {value}"));
        stage.write("keyway.toml", limited);
        stage.start();
        let broker = stage.serve.as_ref().unwrap().pid();
        let workers = children(broker);
        let said = stage.refused(&format!("connector install {}", file.display()));
        assert!(said.contains(&format!("{limit} = {value}")), "{said}");
        // It has cost a child and nothing more.
        stage.until("the end of the compiler", |_| {
            (children(broker) == workers).then_some(())
        });
    }
}

#[test]
fn a_single_install_is_served_beside_anothers_flood_of_installs() {
    const FLOOD: usize = 8;
    const AT_ONCE: usize = 4;
    let mut stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.ok("workspace create rival");
    let single = stage.write("single.wasm", bomb(1));
    let bomb = stage.write("bomb.wasm", bomb(50_000));
    // Each of the flood takes the compiler a second.
    stage.serve.as_mut().unwrap().kill();
    let config = std::fs::read_to_string(stage.dir.path().join("keyway.toml")).unwrap();
    stage.write(
        "keyway.toml",
        config + &compiler("compile_cpu_seconds_max = 1"),
    );
    stage.start();
    let (ended, ends) = std::sync::mpsc::channel();
    let (stage, bomb) = (&stage, &bomb);
    std::thread::scope(|scope| {
        for _ in 0..FLOOD {
            let ended = ended.clone();
            scope.spawn(move || {
                let install = format!("--workspace acme connector install {}", bomb.display());
                ended.send(stage.refused(&install)).unwrap();
            });
        }
        drop(ended);
        for _ in AT_ONCE..FLOOD {
            let said = ends.recv().unwrap();
            assert!(
                said.contains(&format!("installs_waiting_per_workspace_max = {AT_ONCE}")),
                "{said}"
            );
        }
        let install = format!("--workspace rival connector install {}", single.display());
        stage.ok(&install);
        // By turns: after the one that was being compiled, and one more.
        let before = ends.try_iter().count();
        assert!(before <= 2, "{before} of the flood came before");
        for _ in before..AT_ONCE {
            let said = ends.recv().unwrap();
            assert!(said.contains("compile_cpu_seconds_max = 1"), "{said}");
        }
    });
}
