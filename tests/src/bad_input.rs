//! Bad input: each gets a clear error, and its record.

use serde_json::json;

use crate::harness::{INTAKE, Stage, artifact, order, raw, split};

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
    assert!(stage.denial("limit"));
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
fn an_upstream_that_fails_in_its_own_way_gets_a_typed_failure() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    for (mode, kind) in [
        ("500", "transient"),
        ("reset", "transient"),
        ("down", "transient"),
    ] {
        stage.upstream.mode(mode);
        assert_eq!(stage.post(&hook, &order(1)).0, 502, "{mode}");
        let why = stage.last_job()["failure"].as_str().unwrap().to_owned();
        assert!(why.contains(kind), "{mode}: {why}");
    }
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
    let other = Stage::empty();
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
