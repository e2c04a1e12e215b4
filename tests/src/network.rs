//! What a guest can learn of networks, and what the environment can change of
//! the way out: nothing.

use std::process::Command;
use std::time::{Duration, Instant};

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

/// An attacker who was granted `nowhere.example`, too, of which this name server
/// knows nothing.
fn asking(name_server: u16) -> Attacker {
    let config = format!("[egress]\nname_servers = [\"127.0.0.1:{name_server}\"]\n\n");
    Attacker::in_stage(Stage::configured(&config), |stage| {
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
    })
}

/// Medians of refusals are apart by less than this.
const APART_MAX: Duration = Duration::from_millis(10);

/// How often refusals of each kind are measured, at most. A busy machine may delay one kind by
/// chance, and of more refusals of each, less.
const ROUNDS_MAX: usize = 5;

/// Refusals of each kind in one round.
const REFUSALS: usize = 15;

#[test]
fn a_refusal_takes_as_long_whether_it_is_not_granted_not_public_or_without_a_name() {
    // A look-up is two questions: in a refusal that does not wait it shows, with four
    // times what medians may be apart.
    let (dns, asked) = name_server_without_names(Duration::from_millis(20));
    let attacker = asking(dns);
    let mut times: [Vec<Duration>; 3] = Default::default();
    let mut measured = Vec::new();
    for round in 1..=ROUNDS_MAX {
        add_refusals(&attacker, &mut times);
        assert!(
            *asked.lock().unwrap() >= REFUSALS * round,
            "each was looked up anew"
        );
        let medians = times.each_ref().map(|times| median(times));
        let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
        if *most - *least < APART_MAX {
            return;
        }
        measured.push(medians);
    }
    panic!("{measured:?}");
}

/// How long a guest waits to be refused, by turns: what is not granted, what is not public,
/// and what has no name.
fn add_refusals(attacker: &Attacker, times: &mut [Vec<Duration>; 3]) {
    let urls = [
        "http://ungranted.example/x",
        "http://169.254.169.254/latest/meta-data",
        "http://nowhere.example/x",
    ];
    for _ in 0..REFUSALS {
        for (url, times) in urls.iter().zip(&mut *times) {
            let started = Instant::now();
            attacker.tries(&json!({ "what": "other_host", "url": url }));
            times.push(started.elapsed());
        }
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn what_is_not_granted_not_public_or_without_a_name_looks_the_same_to_a_guest() {
    let (dns, asked) = name_server_without_names(Duration::ZERO);
    let attacker = asking(dns);
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

#[test]
fn a_guest_never_reaches_the_listeners_of_its_own_deployment() {
    let mut stage = Stage::empty();
    let ports = ["webhook", "api"].map(|listener| {
        let url = stage.ready[listener].as_str().unwrap();
        url.rsplit_once(':').unwrap().1.to_owned()
    });
    stage.serve = None;
    // The same listeners, and a platform that allows them.
    let file = stage.dir.path().join("keyway.toml");
    let mut config = std::fs::read_to_string(&file).unwrap();
    for port in &ports {
        config = config.replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1);
        config +=
            &format!("\n[[egress.allow]]\nhost = \"127.0.0.1\"\nport = {port}\ncleartext = true\n");
    }
    std::fs::write(file, config).unwrap();
    stage.start();
    let attacker = Attacker::in_stage(stage, |stage| {
        let granted = |manifest: String, port: &String| {
            let destination = format!(
                "[destinations.own-{port}]\nschemes = [\"http\"]\nhost = \"127.0.0.1\"\nport = {port}\n\n[auth]"
            );
            let rule = format!(
                "  {{ destination = \"own-{port}\", methods = [\"GET\"], paths = [\"/**\"] }},\n  {{ destination = \"metadata\""
            );
            manifest.replacen("[auth]", &destination, 1).replacen(
                "  { destination = \"metadata\"",
                &rule,
                1,
            )
        };
        let artifact = with_manifest("hostile.wasm", |manifest| {
            ports.iter().fold(manifest.to_owned(), granted)
        });
        stage.write("own.wasm", artifact)
    });
    for port in &ports {
        let origin = format!("http://127.0.0.1:{port}");
        let url = format!("{origin}/v1/openapi.json");
        let seen = attacker.tries(&json!({ "what": "other_host", "url": url }));
        assert_eq!(seen["outcome"], "refused", "{seen}");
        let job = attacker.stage.last_job();
        let why = &job["steps"][0]["seen"]["requests"][0]["failed"];
        let why = why.as_str().unwrap_or_else(|| panic!("{job}"));
        assert!(why.contains("where Keyway itself listens"), "{why}");
        let audit = attacker.stage.audit();
        let intent = audit
            .iter()
            .find(|line| line["record"]["target"]["origin"] == origin)
            .unwrap_or_else(|| panic!("no intent: {audit:?}"));
        let is_its_outcome = |line: &&Value| {
            line["kind"] == "outcome" && line["record"]["id"] == intent["record"]["id"]
        };
        let outcome = audit.iter().find(is_its_outcome).unwrap();
        assert_eq!(outcome["record"]["outcome"], "refused", "{outcome}");
    }
}
