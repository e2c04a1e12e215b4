//! Compiled code comes and goes: only so much of it is at hand and on the
//! disk, what was let go runs again when it is called, and nobody's installs
//! are in another's way.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;
use serde_json::json;

use crate::harness::{INTAKE, PATIENCE, Stage, order, with_manifest};
use crate::hostile::{branches, packed};
use crate::processes::{children, signal};

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

/// Installs the `number`th of many connectors for another workspace, `rival`.
fn install_for_rival(stage: &Stage, number: usize) -> String {
    let name = format!("orders-{number}");
    let rival = |line: &str| stage.ok(&format!("--workspace rival {line}"));
    let bytes = with_manifest("orders.wasm", |manifest| {
        manifest.replacen("\"orders\"", &format!("\"{name}\""), 1)
    });
    let file = stage.write(&format!("{name}.wasm"), bytes);
    rival(&format!("connector install {}", file.display()));
    let digest = digest(stage, "rival", &name);
    rival(&format!(
        "connector approve {name} --digest {digest} --why tested"
    ));
    rival(&format!(
        "connection create {name} --connector {name} --parameter host=localhost --parameter port={} --parameter scheme=http --credential-file token.txt",
        stage.upstream.port
    ));
    name
}

fn digest(stage: &Stage, workspace: &str, connector: &str) -> String {
    let shown = stage.json(&format!(
        "--workspace {workspace} connector show {connector}"
    ));
    shown["digest"].as_str().unwrap().to_owned()
}

/// Starts again with a pipe in the place of a connector's code on the disk, and
/// answers with it and with what the broker has to read from it.
fn start_with_a_pipe(stage: &mut Stage, workspace: &str, connector: &str) -> (PathBuf, Vec<u8>) {
    let digest = digest(stage, workspace, connector);
    let digest = digest.strip_prefix("sha256:").unwrap();
    stage.serve.as_mut().unwrap().kill();
    let files = std::fs::read_dir(stage.data().join("cache")).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    let pipe = paths
        .find(|path| path.to_string_lossy().contains(digest))
        .unwrap();
    let code = std::fs::read(&pipe).unwrap();
    std::fs::remove_file(&pipe).unwrap();
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    stage.start();
    (pipe, code)
}

#[test]
fn one_that_calls_many_connectors_by_turns_costs_no_other_what_a_worker_has() {
    let stage = Stage::configured(&format!(
        "[workers]\nprocesses = 1\ncomponents_held_max = {HELD_MAX}\n"
    ));
    stage.shop();
    stage.ok("workspace create rival");
    let many: Vec<String> = (0..2 * HELD_MAX)
        .map(|number| install_for_rival(&stage, number))
        .collect();
    let broker = stage.serve.as_ref().unwrap().pid();
    let workers = children(broker);
    stage.ok("--workspace acme connection check shop");
    let victims = mapped(*workers.first().unwrap());
    assert!(!victims.is_empty());
    let mut seen = BTreeSet::new();
    for name in many.iter().chain(&many) {
        stage.ok(&format!("--workspace rival connection check {name}"));
        let now = mapped(*workers.first().unwrap());
        assert!(now.is_superset(&victims), "{victims:?} of {now:?}");
        seen.extend(now);
    }
    assert!(
        seen.len() > 2 * many.len(),
        "each was loaded twice: {seen:?}"
    );
    assert_eq!(children(broker), workers, "a worker ended");
}

#[test]
fn calls_go_on_while_the_code_of_another_workspace_is_read_from_a_disk_that_gives_none() {
    let mut stage = Stage::configured("[workers]\nprocesses = 1\n");
    stage.shop();
    stage.ok("workspace create rival");
    let name = install_for_rival(&stage, 0);
    let (pipe, code) = start_with_a_pipe(&mut stage, "rival", &name);
    let (served, told) = std::sync::mpsc::channel();
    let stage = &stage;
    std::thread::scope(|scope| {
        let check = format!("--workspace rival connection check {name}");
        let held_up = scope.spawn(move || stage.ok(&check));
        // Opens when the broker begins to read, and gives nothing.
        let mut writer = OpenOptions::new().write(true).open(pipe).unwrap();
        scope.spawn(move || {
            served.send(
                stage
                    .run("--workspace acme connection check shop")
                    .status
                    .success(),
            )
        });
        let is_served = told.recv_timeout(PATIENCE);
        assert!(!held_up.is_finished());
        writer.write_all(&code).unwrap();
        drop(writer);
        held_up.join().unwrap();
        assert_eq!(is_served, Ok(true), "another's call waited for the disk");
    });
}

#[test]
fn a_worker_that_is_lost_while_code_is_fetched_costs_the_job_nothing() {
    let mut stage = Stage::configured("[workers]\nprocesses = 1\n");
    stage.shop();
    stage.apply("intake", INTAKE).unwrap();
    let (pipe, code) = start_with_a_pipe(&mut stage, "acme", "orders");
    let shown = stage.json("recipe show intake");
    let hook = shown["webhook_url"].as_str().unwrap();
    let broker = stage.serve.as_ref().unwrap().pid();
    let stage = &stage;
    std::thread::scope(|scope| {
        let job = scope.spawn(move || stage.post(hook, &order(1)));
        // Opens when the broker begins to read; the call has its worker by then.
        let mut writer = OpenOptions::new().write(true).open(pipe).unwrap();
        let lost = children(broker);
        assert_eq!(lost.len(), 1);
        for worker in &lost {
            signal(*worker, Signal::KILL);
        }
        stage.until("another worker", |_| {
            let now = children(broker);
            (!now.is_empty() && now.is_disjoint(&lost)).then_some(())
        });
        writer.write_all(&code).unwrap();
        drop(writer);
        let (status, reply) = job.join().unwrap();
        assert_eq!(status, 200, "{reply}");
    });
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
                said.contains(&format!("INSTALLS_WAITING_PER_WORKSPACE_MAX = {AT_ONCE}")),
                "{said}"
            );
        }
        assert!(stage.denial("limit"), "no record of it");
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

/// Somebody who has begun to install a component, over the socket.
#[expect(clippy::disallowed_methods, reason = "the tests are the callers")]
fn installer(stage: &Stage, component: &[u8]) -> UnixStream {
    let mut caller = UnixStream::connect(stage.data().join("api.sock")).unwrap();
    let path = "/api/v1/workspaces/acme/development/connectors";
    let length = component.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: socket\r\ncontent-length: {length}\r\n\r\n");
    caller.write_all(head.as_bytes()).unwrap();
    caller.write_all(component).unwrap();
    caller
}

#[test]
fn an_install_ends_with_its_compiler_when_its_caller_goes_away() {
    let stage = Stage::configured(
        "[workers]\ncompile_cpu_seconds_max = 600\ncompile_wall_seconds_max = 600\ncompile_memory_bytes_max = 8_000_000_000\n",
    );
    stage.ok("workspace create acme");
    stage.ok("workspace create rival");
    let broker = stage.serve.as_ref().unwrap().pid();
    let workers = children(broker);
    let cancelled = |stage: &Stage| {
        let audit = stage.audit();
        let of_callers = audit
            .iter()
            .filter(|line| line["record"]["detail"] == "cancelled: whoever asked went away");
        of_callers.count()
    };
    // One has the compiler for minutes, and another waits for it.
    let (bomb, single) = (bomb(50_000), bomb(1));
    let compiling = installer(&stage, &bomb);
    let compiler = stage.until("the compiler", |_| {
        (&children(broker) - &workers).pop_first()
    });
    // It has locked itself in before it looks at what it was given.
    stage.until("its lock", |_| {
        let status = std::fs::read_to_string(format!("/proc/{compiler}/status")).unwrap();
        let is_filtered = |line: &str| line.split_whitespace().eq(["Seccomp:", "2"]);
        let has_no_more = |line: &str| line.split_whitespace().eq(["NoNewPrivs:", "1"]);
        (status.lines().any(is_filtered) && status.lines().any(has_no_more)).then_some(())
    });
    // Whoever goes away before the request has been read has not asked for anything.
    stage.until("the end of one that waits", |stage| {
        drop(installer(stage, &single));
        (cancelled(stage) > 0).then_some(())
    });
    assert!(
        children(broker).contains(&compiler),
        "it was not asked to end"
    );
    let before = cancelled(&stage);
    drop(compiling);
    stage.until("the end of the compiler", |_| {
        (!children(broker).contains(&compiler)).then_some(())
    });
    stage.until("its record", |stage| {
        (cancelled(stage) > before).then_some(())
    });
    assert_eq!(stage.json("--workspace acme connector list"), json!([]));
    // The compiler is free for whoever comes next, and the workspace has its places.
    let single = stage.write("single.wasm", single);
    stage.ok(&format!(
        "--workspace acme connector install {}",
        single.display()
    ));
}
