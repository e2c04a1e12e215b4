//! What a guest can learn of networks, and what the environment can change of
//! the way out: nothing.

use std::process::Command;

use serde_json::{Value, json};

use crate::attacks::Attacker;
use crate::harness::{Stage, program, ready, with_manifest};
use crate::listener::{Listener, name_server_without_names, reply};

#[test]
fn variables_that_name_a_proxy_are_not_read() {
    let proxy = Listener::answering(|_| reply("200 OK", "", "from the proxy"));
    let mut stage = Stage::empty();
    stage.serve = None;
    let mut command = Command::new(program());
    command
        .current_dir(stage.dir.path())
        .args(["serve", "--config", "keyway.toml"]);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        let url = format!("http://127.0.0.1:{}", proxy.port);
        command.env(name, &url).env(name.to_uppercase(), &url);
    }
    command.env("NO_PROXY", "").env("no_proxy", "");
    let (serve, value) = ready(&mut command).unwrap();
    stage.serve = Some(serve);
    stage.ready = value;
    stage.shop();
    stage.ok("connection check shop");
    let effects = stage.upstream.effects();
    assert!(
        effects["by_path"]["/account"].as_u64().unwrap() > 0,
        "{effects}"
    );
    assert!(proxy.requests().is_empty());
}

#[test]
fn what_is_not_granted_not_public_or_without_a_name_looks_the_same_to_a_guest() {
    let (dns, asked) = name_server_without_names();
    let attacker = Attacker::in_stage(
        Stage::configured(&format!(
            "[egress]\nname_servers = [\"127.0.0.1:{dns}\"]\n\n"
        )),
        |stage| {
            let artifact = with_manifest("hostile.wasm", |manifest| {
                manifest
                    .replacen(
                        "[auth]",
                        "[destinations.nowhere]\nschemes = [\"http\"]\nhost = \"nowhere.example\"\n\n[auth]",
                        1,
                    )
                    .replacen(
                        "  { destination = \"metadata\"",
                        "  { destination = \"nowhere\", methods = [\"GET\"], paths = [\"/**\"] },\n  { destination = \"metadata\"",
                        1,
                    )
            });
            stage.write("nowhere.wasm", artifact)
        },
    );
    let seen = |url: &str| {
        let before = *asked.lock().unwrap();
        let seen = attacker.tries(&json!({ "what": "other_host", "url": url }));
        let looked_up = *asked.lock().unwrap() > before;
        (seen.to_string().replace(url, "URL"), looked_up)
    };
    let (not_granted, looked_up) = seen("http://ungranted.example/x");
    assert!(!looked_up, "what is not granted is not looked up");
    let (not_public, _) = seen("http://169.254.169.254/latest/meta-data");
    let (no_name, looked_up) = seen("http://nowhere.example/x");
    assert!(looked_up, "what is granted is");
    assert_eq!(not_public, not_granted);
    assert_eq!(no_name, not_granted);
    // The people who run it see which was which.
    let failed = |job: Value| job["steps"][0]["seen"]["requests"][0]["failed"].clone();
    let why = failed(attacker.stage.last_job());
    assert!(why.as_str().unwrap().contains("does not resolve"), "{why}");
}
