//! Limits of the API: of one caller, of all tokens of a workspace, and of those
//! whom nobody knows. Those of one caller are tried route by route in
//! `coverage/routes.rs`.

use std::collections::BTreeSet;
use std::io::Read as _;

use keyway_model::limit::ApiLimits;
use serde_json::{Value, json};

use super::names;
use crate::client::{Way, over_socket, waiting};
use crate::coverage::routes::{
    every_route_counts_towards_its_callers_calls_a_second,
    every_route_of_the_api_counts_towards_its_callers_calls_at_once,
};
use crate::harness::{Stage, raw, split};
use crate::platform_log::{Log, ended};
use crate::routes::Api;

/// A workspace with so many tokens of its own, each with a caller.
fn callers<const N: usize>(stage: &Stage, workspace: &str) -> [Api; N] {
    std::array::from_fn(|_| Api::of(stage, workspace, "admin"))
}

/// Whether `workspace`'s log has a denial of this operation for a limit.
fn is_denied(stage: &Stage, workspace: &str, operation: &str, limit: &str) -> bool {
    let log = stage.json(&format!("--workspace {workspace} audit list --limit 1000"));
    log.as_array().unwrap().iter().any(|line| {
        let record = &line["record"];
        record["operation"] == operation
            && record["decision"] == "denied"
            && record["reason"] == "limit"
            && record["remedy"].as_str().unwrap().contains(limit)
    })
}

#[test]
fn all_tokens_of_a_workspace_have_one_rate_together() {
    let stage = Stage::configured("[limits]\napi_calls_per_second_per_workspace_max = 3\n");
    stage.ok("workspace create acme");
    stage.ok("workspace create rival");
    let own: [Api; 5] = callers(&stage, "acme");
    let [other] = callers(&stage, "rival");
    let list = |api: &Api, workspace: &str| {
        let path = format!("/workspaces/{workspace}/development/jobs");
        api.call("GET", &path, &Value::Null)
    };
    // None of them comes near a limit of its own.
    let told = (0..100).find_map(|number| {
        let (status, answer) = list(&own[number % own.len()], "acme");
        (status == 429).then_some(answer)
    });
    let told = told.unwrap();
    let limit = "`api_calls_per_second_per_workspace_max` (3)";
    assert!(told.contains(limit) && told.contains("too-many"), "{told}");
    assert_eq!(
        list(&other, "rival").0,
        200,
        "another workspace's is its own"
    );
    assert!(is_denied(&stage, "acme", "job:list", limit));
}

#[test]
fn all_tokens_of_a_workspace_have_so_many_calls_at_once_and_it_may_lower_that() {
    let stage = Stage::configured("[limits]\nwall_ms_max = 60_000\n");
    stage.shop();
    let [first, second] = callers(&stage, "acme");
    stage.ok("workspace limits set acme api_calls_at_once_per_workspace_max=1");
    stage.upstream.mode("hang");
    let seen = stage.upstream.effects()["requests"].as_u64();
    let check = "/api/v1/workspaces/acme/development/connections/shop/check";
    let busy = waiting(Way::Listener(first.address, &first.token), "POST", check);
    stage.until("the check's request", |stage| {
        (stage.upstream.effects()["requests"].as_u64() > seen).then_some(())
    });
    let list = |environment: &str| {
        let path = format!("/workspaces/acme/{environment}/jobs");
        second.call("GET", &path, &Value::Null)
    };
    let (status, told) = list("development");
    let limit = "`api_calls_at_once_per_workspace_max` (1)";
    assert_eq!(status, 429, "{told}");
    assert!(told.contains(limit) && told.contains("too-many"), "{told}");
    // It was lowered in one environment, and for its tokens alone.
    assert_eq!(list("production").0, 200);
    assert!(is_denied(&stage, "acme", "job:list", limit));
    drop(busy);
    stage.until("room for a call", |_| {
        (list("development").0 == 200).then_some(())
    });
}

#[test]
fn a_workspace_has_so_many_tokens_and_one_more_is_denied_by_name() {
    let mut stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.ok("workspace create rival");
    let [first] = callers(&stage, "acme");
    stage.ok("--workspace acme workspace limits set acme tokens_per_workspace_max=3");
    let create = |stage: &Stage, api: &Api, workspace: &str| {
        let new = json!({ "workspace": workspace, "role": "analyst", "label": "l", "expires_in_seconds": 600 });
        let address = split(&format!("{}/", stage.ready["api"].as_str().unwrap())).0;
        let api = Api {
            address,
            token: api.token.clone(),
        };
        let (status, answer) = api.call("POST", "/tokens", &new);
        (status, serde_json::from_str::<Value>(&answer).unwrap())
    };
    let id = |(status, made): (u16, Value)| {
        assert_eq!(status, 200, "{made}");
        made["id"].as_str().unwrap().to_owned()
    };
    let spare = id(create(&stage, &first, "acme"));
    id(create(&stage, &first, "acme"));
    let refused = |stage: &Stage| {
        let (status, told) = create(stage, &first, "acme");
        assert_eq!(
            (status, &told["error"]["code"]),
            (429, &json!("too-many")),
            "{told}"
        );
        let text = told["error"]["message"].as_str().unwrap();
        assert!(text.contains("`tokens_per_workspace_max` (3)"), "{text}");
    };
    refused(&stage);
    assert!(is_denied(
        &stage,
        "acme",
        "token:create",
        "`tokens_per_workspace_max` (3)"
    ));
    // Those that are there count after a restart, too; those that are revoked do not.
    stage.serve = None;
    stage.start();
    refused(&stage);
    stage.ok(&format!("token revoke {spare}"));
    id(create(&stage, &first, "acme"));
    refused(&stage);
    let [other] = callers(&stage, "rival");
    id(create(&stage, &other, "rival"));
}

#[test]
fn whoever_has_no_token_has_a_rate_and_takes_nothing_from_whoever_has_one() {
    const FLOOD: usize = 500;
    let mut stage = Stage::configured("[limits]\ncalls_without_token_per_second_max = 5\n");
    stage.ok("workspace create acme");
    let [known] = callers(&stage, "acme");
    let unknown = Api {
        address: known.address,
        token: "kwt_made-up".to_owned(),
    };
    let before = Log::Platform.length(&stage);
    let (mut refused, mut over) = (0, 0);
    for number in 0..FLOOD {
        // A token that is none, none at all, and a path that is not there.
        let path = "/workspaces/acme/development/jobs";
        let (status, told) = match number % 3 {
            0 => unknown.call("GET", path, &Value::Null),
            1 => unknown.call("GET", "/nothing", &Value::Null),
            _ => {
                let path = format!("/api/v1{path}");
                let (status, told) = raw(known.address, "GET", &path, &[], b"").unwrap();
                (status, String::from_utf8(told).unwrap())
            }
        };
        match status {
            401 => refused += 1,
            429 => {
                over += 1;
                let limit = "`calls_without_token_per_second_max` (5)";
                assert!(told.contains(limit), "{told}");
            }
            other => panic!("{other}: {told}"),
        }
        if number % 50 == 0 {
            assert_eq!(known.call("GET", path, &Value::Null).0, 200);
        }
    }
    assert!(refused >= 5 && over > refused, "{refused} {over}");
    // Health has a rate of its own, and the socket, too.
    assert_eq!(
        raw(known.address, "GET", "/healthz", &[], b"").unwrap().0,
        200
    );
    let socket = stage.data().join("api.sock");
    assert_eq!(over_socket(&socket, "GET", "/healthz", b"").0, 200);

    stage.serve = None;
    let [records] = ended(&stage, [Log::Platform]);
    let of_nobody = records[before..].iter().filter(|record| {
        record["actor"]["principal"] == "nobody" && record["operation"] == "api:call"
    });
    let of_nobody: Vec<_> = of_nobody.collect();
    let counted = |reason: &str| -> usize {
        let texts = of_nobody.iter().filter(|record| record["reason"] == reason);
        let counts = texts.map(|record| {
            let text = record["remedy"].as_str().unwrap();
            let (_, rest) = text.split_once("calls: ").unwrap();
            rest.split(',').next().unwrap().parse::<usize>().unwrap()
        });
        counts.sum()
    };
    assert_eq!((counted("unknown"), counted("limit")), (refused, over));
    // Two in five seconds at most, and the flood took less than a minute.
    assert!(of_nobody.len() <= 24, "{} records", of_nobody.len());
}

#[test]
fn a_path_or_a_method_that_is_not_there_counts_towards_its_callers_calls() {
    let mut stage = Stage::configured("[limits]\napi_calls_per_second_max = 4\n");
    stage.ok("workspace create acme");
    for (method, path) in [("GET", "/nothing"), ("DELETE", "/tokens")] {
        let [caller] = callers(&stage, "acme");
        let (status, told) = caller.call(method, path, &Value::Null);
        assert_eq!(status, 404, "{told}");
        let told = (0..100).find_map(|_| {
            let (status, answer) = caller.call(method, path, &Value::Null);
            (status == 429).then_some(answer)
        });
        let told = told.unwrap_or_else(|| panic!("{method} {path} has no rate"));
        assert!(told.contains("`api_calls_per_second_max` (4)"), "{told}");
    }
    stage.serve = None;
    let [records] = ended(&stage, [Log::Of("acme")]);
    let recorded = records.iter().filter(|record| {
        record["operation"] == "api:call"
            && record["decision"] == "denied"
            && record["reason"] == "limit"
    });
    assert!(recorded.count() >= 2, "one of each caller");
}

/// A recipe whose text is longer than what the kernel and we keep of an answer
/// that nobody reads.
fn long_recipe() -> String {
    let line = format!("# {}\n", "long ".repeat(200));
    format!(
        "recipe: long\ntrigger: {{ webhook: {{}} }}\nsteps:\n  - respond: {{ status: 200, body: done }}\n{}",
        line.repeat(900)
    )
}

#[test]
fn an_answer_that_nobody_reads_keeps_the_place_of_its_call_until_it_was_sent() {
    let stage = Stage::configured("[limits]\napi_calls_at_once_max = 1\n");
    stage.ok("workspace create acme");
    stage.apply("long", &long_recipe());
    let socket = stage.data().join("api.sock");
    let ask = || {
        let path = "/api/v1/workspaces/acme/development/recipes/long";
        let mut caller = waiting(Way::Socket(&socket), "GET", path);
        // The answer has begun.
        let mut begun = [0; 12];
        caller.read_exact(&mut begun).unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200");
        caller
    };
    let refused = || {
        let told = stage.refused("workspace list");
        assert!(told.contains("`api_calls_at_once_max` (1)"), "{told}");
    };
    // One that is read at last.
    let mut caller = ask();
    refused();
    let (mut rest, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while !rest.ends_with(b"}") {
        let read = caller.read(&mut buffer).unwrap();
        rest.extend_from_slice(&buffer[..read]);
    }
    assert!(rest.len() > 800_000, "{}", rest.len());
    stage.ok("workspace list");
    // And one whose caller goes away.
    let caller = ask();
    refused();
    drop(caller);
    stage.until("the end of the call", |stage| {
        stage.run("workspace list").status.success().then_some(())
    });
}

/// Each limit of the API, and the test that goes beyond it.
const TESTED: [(&str, fn()); 6] = [
    (
        "api_calls_per_second_max",
        every_route_counts_towards_its_callers_calls_a_second,
    ),
    (
        "api_calls_at_once_max",
        every_route_of_the_api_counts_towards_its_callers_calls_at_once,
    ),
    (
        "api_calls_per_second_per_workspace_max",
        all_tokens_of_a_workspace_have_one_rate_together,
    ),
    (
        "api_calls_at_once_per_workspace_max",
        all_tokens_of_a_workspace_have_so_many_calls_at_once_and_it_may_lower_that,
    ),
    (
        "tokens_per_workspace_max",
        a_workspace_has_so_many_tokens_and_one_more_is_denied_by_name,
    ),
    (
        "calls_without_token_per_second_max",
        whoever_has_no_token_has_a_rate_and_takes_nothing_from_whoever_has_one,
    ),
];

#[test]
fn every_limit_of_the_api_has_a_test_here_or_with_the_routes() {
    let tested: BTreeSet<String> = TESTED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(tested, names(&json!(ApiLimits::default())));
    assert_eq!(tested.len(), TESTED.len(), "a limit with two tests");
}
