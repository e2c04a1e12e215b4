//! Bad input: each gets a clear error, and its record.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::harness::{
    INTAKE, PATIENCE, Stage, artifact, order, program, raw, ready, secret, silent_intake, split,
};

#[test]
fn a_webhook_refuses_what_it_cannot_take() {
    let stage = Stage::configured("[webhook]\nbody_bytes_max = 2000\n");
    stage.ok("workspace create acme");
    stage.install("orders.wasm", "orders");
    stage.connect("shop", "orders");
    let hook = stage.apply("intake", INTAKE).unwrap();
    let (address, path) = split(&hook);
    assert_eq!(
        raw(address, "POST", &path, &[], &vec![b' '; 3000])
            .unwrap()
            .0,
        413
    );
    assert_eq!(
        raw(address, "POST", &path, &[], b"{ not json").unwrap().0,
        400
    );
    assert_eq!(
        raw(address, "POST", "/hooks/0000", &[], b"{}").unwrap().0,
        404
    );
    assert_eq!(raw(address, "GET", &path, &[], b"").unwrap().0, 405);
    assert!(
        stage.json("job list").as_array().unwrap().is_empty(),
        "nothing became a job"
    );
    assert!(stage.denial("limit") && stage.denial("malformed"));
    let refused = stage
        .audit()
        .into_iter()
        .filter(|line| line["record"]["decision"] == "denied");
    for line in refused {
        let principal = line["record"]["actor"]["principal"].as_str().unwrap();
        assert!(principal.starts_with("webhook:rcp_"), "{line}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the tests are the callers")]
fn a_connection_that_says_nothing_or_half_of_a_version_is_cut_off() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    let (address, _) = split(&hook);
    let silent = ["", "P", "PRI * HT"].map(|begin| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        stream
    });
    for mut stream in silent {
        let read = stream.read(&mut [0; 64]).map_err(|error| error.kind());
        assert!(
            matches!(read, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)),
            "{read:?}"
        );
    }
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
}

#[test]
fn a_recipe_with_mistakes_is_refused_with_its_lines() {
    let stage = Stage::with_shop();
    let cases = [
        (INTAKE.replace("transform:", "transfrom:"), "transfrom", 7),
        (
            INTAKE.replace("connection: shop", "connection: shpo"),
            "shpo",
            8,
        ),
        (INTAKE.replace("orders.create", "order.create"), "order", 8),
        (INTAKE.replace("orders.create", "orders.creat"), "creat", 8),
        (
            INTAKE.replace("steps.shape.reference", "steps.shap.reference"),
            "shap",
            12,
        ),
        (
            INTAKE.replace(
                "${ steps.shape.total }\"\n  - id",
                "${ steps.shape. }\"\n  - id",
            ),
            "steps.shape.",
            15,
        ),
    ];
    for (text, names, line) in cases {
        std::fs::write(stage.dir.path().join("bad.yaml"), &text).unwrap();
        let refusal = stage.refused("recipe apply bad.yaml");
        assert!(refusal.contains("bad.yaml:"), "{refusal}");
        assert!(refusal.contains(names), "{names}: {refusal}");
        assert!(
            refusal.contains(&format!(":{line}:")),
            "line {line}: {refusal}"
        );
    }
    assert!(
        stage.json("recipe list").as_array().unwrap().is_empty(),
        "nothing was stored"
    );
}

#[test]
fn an_input_that_does_not_fit_the_schema_fails_before_any_call() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    let mut bad = order(1);
    bad["email"] = json!(7);
    assert_eq!(stage.post(&hook, &bad).0, 502);
    let why = stage.last_job()["failure"].as_str().unwrap().to_owned();
    assert!(
        why.contains("invalid-input") && why.contains("/customer/email"),
        "{why}"
    );
    assert_eq!(stage.upstream.effects()["requests"], 0);
}

#[test]
fn an_unknown_field_of_the_configuration_is_refused_with_its_line() {
    let mut stage = Stage::empty();
    stage.serve = None;
    let path = stage.dir.path().join("keyway.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{config}\n[limits]\nmemory = 7\n")).unwrap();
    let Err(said) = stage.try_start() else {
        panic!("it started")
    };
    assert!(said.contains("memory") && said.contains("line"), "{said}");
}

#[test]
fn what_is_not_a_component_is_refused() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    std::fs::write(stage.dir.path().join("text.wasm"), "not wasm").unwrap();
    let refusal = stage.refused("connector install text.wasm");
    assert!(refusal.contains("not a component"), "{refusal}");
    let mut broken = std::fs::read(artifact("orders.wasm")).unwrap();
    broken.truncate(broken.len() / 2);
    std::fs::write(stage.dir.path().join("half.wasm"), broken).unwrap();
    stage.refused("connector install half.wasm");
}

#[test]
fn an_upstream_that_fails_in_its_own_way_gets_a_typed_failure_and_a_record() {
    let stage =
        Stage::configured("[limits]\nwall_ms_max = 1500\nresponse_body_bytes_max = 1000000\n");
    stage.shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    for (mode, failure, outcome) in [
        ("500", "transient", "done"),
        ("down", "transient", "done"),
        ("reset", "transient", "unknown"),
        ("hang", "wall_ms_max", "unknown"),
        ("endless", "create", "unknown"),
    ] {
        let seen = stage.audit().len();
        stage.upstream.mode(mode);
        assert_eq!(stage.post(&hook, &order(1)).0, 502, "{mode}");
        let job = stage.last_job();
        let why = job["failure"].as_str().unwrap();
        assert!(why.contains(failure), "{mode}: {why}");
        assert!(!why.contains("ada1@"), "{mode}: {why}");
        let recorded = stage.until("the outcome of the request", |stage| {
            let records = stage.audit().split_off(seen);
            let sent = |line: &Value| line["record"]["operation"] == "http.send";
            let id = records.iter().find(|line| sent(line))?["record"]["id"].clone();
            let told = |line: &&Value| line["kind"] == "outcome" && line["record"]["id"] == id;
            records.iter().find(told).cloned()
        });
        assert_eq!(recorded["record"]["outcome"], outcome, "{mode}: {recorded}");
    }
    stage.upstream.mode("up");
    assert_eq!(stage.post(&hook, &order(2)).0, 200, "and it goes on");
}

#[test]
fn a_data_directory_of_a_newer_version_is_refused() {
    let mut stage = Stage::empty();
    stage.serve = None;
    let database = rusqlite::Connection::open(stage.data().join("keyway.db")).unwrap();
    database
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'the future', 1, x'00', 0)",
            [],
        )
        .unwrap();
    drop(database);
    let Err(said) = stage.try_start() else {
        panic!("it started on what a newer version wrote")
    };
    assert!(
        said.contains("written by a newer Keyway (schema 99"),
        "{said}"
    );
}

/// Bytes of all files below a directory.
fn size_of(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap())
        .map(|entry| match entry.metadata().unwrap() {
            data if data.is_dir() => size_of(&entry.path()),
            data => data.len(),
        })
        .sum()
}

/// A small disk of its own: a tmpfs in a mount namespace, which needs no rights.
const ON_A_SMALL_DISK: &str = "mount -t tmpfs -o size=$1 none disk && cp -a keyway-data/. disk/ && head -c $2 /dev/zero > disk/ballast && exec \"$0\" serve --config keyway.toml --data disk";

#[test]
fn a_full_disk_refuses_events_loses_none_that_was_acknowledged_and_recovers() {
    const ROOM_BYTES: u64 = 3 << 20;
    const BALLAST_BYTES: u64 = 16 << 20;
    let namespaces = ["--user", "--map-root-user", "--mount"];
    let mut unshare = std::process::Command::new("unshare");
    if !unshare
        .args(namespaces)
        .arg("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("this machine allows no mount namespace; the store's own test stands alone");
        return;
    }
    let mut stage = Stage::with_shop();
    let hook = stage.apply("intake", &silent_intake()).unwrap();
    let made = stage.json("--workspace acme token create --role admin --label test");
    secret(
        &stage.dir.path().join("api.txt"),
        made["secret"].as_str().unwrap(),
    );
    stage.serve = None;
    std::fs::create_dir(stage.dir.path().join("disk")).unwrap();
    let disk = size_of(&stage.data()) + ROOM_BYTES + BALLAST_BYTES;
    let mut command = std::process::Command::new("unshare");
    command
        .current_dir(stage.dir.path())
        .args(namespaces)
        .args(["sh", "-c", ON_A_SMALL_DISK])
        .arg(program())
        .args([disk.to_string(), BALLAST_BYTES.to_string()]);
    let (serve, ready) = ready(&mut command).unwrap();
    let ballast = format!("/proc/{}/cwd/disk/ballast", serve.pid());
    stage.serve = Some(serve);
    stage.ready = ready;

    let path = split(&hook).1;
    let hook = format!("{}{path}", stage.ready["webhook"].as_str().unwrap());
    let mut acknowledged = 0;
    let refusal = (1..2_000).find_map(|number| match stage.post(&hook, &order(number)) {
        (202, _) => {
            acknowledged += 1;
            None
        }
        refused => Some(refused),
    });
    let (status, said) = refusal.expect("the disk never got full");
    assert_eq!(status, 503, "{said}");
    assert!(
        said.to_string().contains("could not be made durable"),
        "{said}"
    );
    assert!(acknowledged > 0);

    std::fs::remove_file(ballast).unwrap();
    stage.until("an order after there is room again", |stage| {
        (stage.post(&hook, &order(9_999)).0 == 202).then_some(())
    });
    let api = stage.ready["api"].as_str().unwrap().to_owned();
    stage.until("every acknowledged order", |stage| {
        let listed = stage.json(&format!(
            "--url {api} --token-file api.txt --workspace acme job list --state succeeded --limit 5000"
        ));
        (listed.as_array().unwrap().len() > acknowledged).then_some(())
    });
    let effects = stage.upstream.effects();
    let keys = effects["by_key"].as_object().unwrap().len();
    assert_eq!(effects["effects"], keys, "one effect for each key");
}

#[test]
fn a_start_that_cannot_be_recorded_serves_nothing() {
    let mut stage = Stage::empty();
    stage.serve = None;
    let database = rusqlite::Connection::open(stage.data().join("keyway.db")).unwrap();
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END";
    database.execute_batch(refuse).unwrap();
    let Err(said) = stage.try_start() else {
        panic!("it serves without a record of its start")
    };
    assert!(said.contains("the start cannot be recorded"), "{said}");
    database.execute_batch("DROP TRIGGER refuse").unwrap();
    stage.start();
}

#[test]
fn a_second_serve_on_the_same_directory_is_refused() {
    let stage = Stage::empty();
    let Err(said) = stage.try_start() else {
        panic!("two deployments share a directory")
    };
    assert!(said.contains("keyway-data"), "{said}");
}

#[test]
fn a_data_directory_of_another_root_key_is_refused() {
    let mut stage = Stage::empty();
    stage.serve = None;
    let key = stage.data().join("root.key");
    let other = Stage::new("");
    std::fs::copy(other.data().join("root.key"), &key).unwrap();
    let Err(said) = stage.try_start() else {
        panic!("it started under another key")
    };
    assert!(said.contains("root key"), "{said}");
}

#[test]
fn a_credential_never_comes_from_an_argument_and_never_comes_back() {
    let stage = Stage::with_shop();
    let refusal = stage.refused(
        "connection create second --connector orders --parameter host=localhost --credential abc",
    );
    assert!(refusal.contains("--credential"), "{refusal}");
    for view in [
        stage.ok("connection list"),
        stage.ok("connection list --json"),
    ] {
        assert!(!view.contains(&stage.upstream.token), "{view}");
    }
    let open = stage.dir.path().join("open.txt");
    std::fs::write(&open, "long-enough-secret").unwrap();
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let refusal = stage.refused("connection create second --connector orders --parameter host=localhost --credential-file open.txt");
    assert!(refusal.contains("chmod 600"), "{refusal}");
}
