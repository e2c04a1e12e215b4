//! Jobs, end to end: webhook, poll, failure, rerun, resume.

use serde_json::{Value, json};

use crate::harness::{INTAKE, Stage, order, silent_intake};

#[test]
fn an_order_is_filed_once_and_answered_when_it_is_durable() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    let (status, answer) = stage.post(&hook, &order(1));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["total"], 10_600);
    assert!(answer["order"].is_string());
    let effects = stage.upstream.effects();
    assert_eq!(
        (&effects["effects"], &effects["repeats"]),
        (&json!(1), &json!(0))
    );
    let job = stage.last_job();
    assert_eq!(job["state"], "succeeded");
    let audit = stage.audit();
    let sent = audit
        .iter()
        .filter(|line| line["record"]["operation"] == "http.send")
        .count();
    assert_eq!(sent, 1, "one intent for one request");
}

#[test]
fn a_failed_job_says_why_and_goes_on_from_its_failed_step() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    stage.upstream.mode("down");
    assert_eq!(stage.post(&hook, &order(1)).0, 502);
    let failed = stage.last_job();
    assert_eq!(failed["state"], "failed");
    assert!(
        failed["failure"]
            .as_str()
            .unwrap()
            .contains("create: transient"),
        "{failed}"
    );
    stage.upstream.mode("up");
    stage.ok(&format!("job rerun {}", failed["id"].as_str().unwrap()));
    let rerun = stage.until("the rerun", |stage| {
        let job = stage.last_job();
        (job["state"] == "succeeded").then_some(job)
    });
    assert_eq!(rerun["reruns"], failed["id"]);
    assert_eq!(stage.upstream.effects()["effects"], 1);
}

#[test]
fn a_succeeded_job_is_not_rerun_from_a_failed_step() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    stage.post(&hook, &order(1));
    let id = stage.last_job()["id"].as_str().unwrap().to_owned();
    let refusal = stage.refused(&format!("job rerun {id}"));
    assert!(refusal.contains("no step failed"), "{refusal}");
}

#[test]
fn a_rerun_from_the_trigger_is_a_new_job_with_effects_of_its_own() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
    let first = stage.last_job();
    stage.ok(&format!(
        "job rerun {} --from trigger",
        first["id"].as_str().unwrap()
    ));
    let again = stage.until("the rerun", |stage| {
        let job = stage.last_job();
        (job["state"] == "succeeded" && job["reruns"] == first["id"]).then_some(job)
    });
    let keys = |job: &serde_json::Value| -> Vec<String> {
        let steps = job["steps"].as_array().unwrap();
        steps.iter().map(|step| step["key"].to_string()).collect()
    };
    assert_eq!(keys(&again), keys(&first), "every step ran again");
    let effects = stage.upstream.effects();
    assert_eq!(
        (&effects["effects"], &effects["repeats"]),
        (&json!(2), &json!(0))
    );
}

#[test]
fn a_recipe_without_a_reply_answers_202_and_runs_after_it() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", &silent_intake()).unwrap();
    let (status, answer) = stage.post(&hook, &order(1));
    assert_eq!(status, 202);
    let id = answer["job"].as_str().unwrap().to_owned();
    stage.until("the job", |stage| {
        (stage.json(&format!("job show {id}"))["state"] == "succeeded").then_some(())
    });
    assert_eq!(stage.upstream.effects()["effects"], 1);
}

#[test]
fn a_once_action_whose_reply_never_came_waits_for_a_person() {
    const ONCE: &str = r#"recipe: once
trigger: { webhook: {} }
steps:
  - id: send
    action: http.send
    connection: api
    input: { method: POST, path: /orders, body: { json: "${ trigger.body }" } }
  - respond: { status: 200, body: "${ steps.send }" }
"#;
    let stage = Stage::configured("[limits]\nwall_ms_max = 1500\n");
    stage.ok("workspace create acme");
    stage.install("http.wasm", "http");
    stage.connect("api", "http");
    let hook = stage.apply("once", ONCE).unwrap();
    let order = json!({ "reference": "r", "customer": {}, "items": [], "total_cents": 0 });
    for (at, mode) in ["lost", "silent"].into_iter().enumerate() {
        stage.upstream.mode(mode);
        let (status, _) = stage.post(&hook, &order);
        assert!(status >= 202, "{mode}: {status}");
        let job = stage.until("the job", |stage| {
            let job = stage.last_job();
            (job["state"] == "review").then_some(job)
        });
        assert!(
            job["failure"].as_str().unwrap().contains("may or may not"),
            "{mode}: {job}"
        );
        assert_eq!(
            stage.upstream.effects()["by_path"]["/orders"],
            at + 1,
            "{mode}"
        );
    }
}

#[test]
fn an_event_that_is_acknowledged_before_its_answer_is_durable() {
    let mut stage = Stage::configured("[webhook]\nreply_ms_max = 300\n");
    stage.shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    stage.upstream.mode("hang");
    let (status, answer) = stage.post(&hook, &order(1));
    assert_eq!(status, 202, "{answer}");
    stage.serve.as_mut().unwrap().kill();
    stage.upstream.mode("up");
    stage.start();
    let id = answer["job"].as_str().unwrap();
    stage.until("the job", |stage| {
        (stage.json(&format!("job show {id}"))["state"] == "succeeded").then_some(())
    });
    assert_eq!(stage.upstream.effects()["effects"], 1);
}

#[test]
fn what_the_outside_says_of_a_labelled_value_is_masked_and_left_out_of_lists() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.install("http.wasm", "http");
    stage.connect("api", "http");
    let text = r#"recipe: look
trigger: { webhook: { sensitive: [ /email ] } }
steps:
  - id: look
    action: http.get
    connection: api
    input: { path: "/orders/{id}", parameters: { id: "${ trigger.body.email }" }, query: { after: "${ trigger.body.email }" } }
"#;
    let hook = stage.apply("look", text).unwrap();
    stage.post(&hook, &json!({ "email": "ada+7@customers.example" }));
    let job = stage.until("the job", |stage| {
        let job = stage.last_job();
        (job["state"] == "failed").then_some(job)
    });
    let id = job["id"].as_str().unwrap();
    for view in [
        stage.ok(&format!("job show {id}")),
        stage.ok(&format!("job show {id} --json")),
        stage.ok("job list"),
        stage.ok("job list --json"),
        stage.ok("audit export"),
    ] {
        for written in ["ada+7@customers", "ada%2B7%40customers"] {
            assert!(!view.contains(written), "{view}");
        }
    }
}

#[test]
fn labelled_values_show_nowhere_in_a_job() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    stage.post(&hook, &order(7));
    let id = stage.last_job()["id"].as_str().unwrap().to_owned();
    for view in [
        stage.ok(&format!("job show {id}")),
        stage.ok(&format!("job show {id} --json")),
    ] {
        assert!(!view.contains("ada7@customers.example"), "{view}");
        assert!(!view.contains("4000-0012-3456-0007"), "{view}");
    }
    assert!(stage.ok(&format!("job show {id}")).contains("•••"));
}

#[test]
fn a_foreach_runs_its_steps_for_each_item() {
    let stage = Stage::with_shop();
    let text = r#"recipe: each
trigger: { webhook: {} }
steps:
  - id: all
    foreach: "${ trigger.body.orders }"
    as: one
    steps:
      - id: create
        action: orders.create
        connection: shop
        input: { reference: "${ one }", customer: { name: n, email: e }, items: [{ sku: s, quantity: 1, unit_cents: 1 }], total_cents: 1 }
  - respond: { status: 200, body: { made: "${ steps.all.size() }" } }
"#;
    let hook = stage.apply("each", text).unwrap();
    let (status, answer) = stage.post(&hook, &json!({ "orders": ["a", "b", "c"] }));
    assert_eq!((status, &answer["made"]), (200, &json!(3)), "{answer}");
    assert_eq!(stage.upstream.effects()["effects"], 3);
}

#[test]
fn a_path_that_a_recipe_no_longer_has_takes_no_event() {
    let stage = Stage::with_shop();
    let first = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&first, &order(1)).0, 200);
    let polls = "recipe: intake
trigger:
  poll: { connector: orders, trigger: new_orders, connection: shop, every: 1h, input: {} }
steps:
  - id: seen
    transform: { id: \"${ trigger.body.id }\" }
";
    assert_eq!(stage.apply("intake", polls), None);
    assert_eq!(stage.post(&first, &order(2)).0, 404, "it polls now");
    let second = stage.apply("intake", INTAKE).unwrap();
    assert_ne!(
        first, second,
        "who knew the old path does not know the new one"
    );
    assert_eq!(stage.post(&first, &order(3)).0, 404);
    assert_eq!(stage.post(&second, &order(4)).0, 200);
    assert_eq!(stage.upstream.effects()["effects"], 2);
}

#[test]
fn a_poll_trigger_misses_no_order_and_doubles_none() {
    let mut stage = Stage::with_shop();
    let text = r#"recipe: watch
trigger:
  poll: { connector: orders, trigger: new_orders, connection: shop, every: 1s, input: {} }
steps:
  - id: seen
    transform: { id: "${ trigger.body.id }" }
"#;
    stage.apply("watch", text);
    for number in 1..=5 {
        stage.upstream.add_order(&json!({
            "reference": format!("P-{number}"), "customer": { "name": "n", "email": "poll@customers.example", "card": "c" },
            "items": [{ "sku": "s", "quantity": 1, "unit_cents": 1 }], "total_cents": 1,
        }));
        if number == 3 {
            stage.serve.as_mut().unwrap().kill();
            stage.start();
        }
    }
    stage.until("five jobs", |stage| {
        (stage
            .json("job list --state succeeded")
            .as_array()
            .unwrap()
            .len()
            >= 5)
            .then_some(())
    });
    // Another order, and its poll, come after: had one been doubled, it would show by now.
    stage.upstream.add_order(&json!({
        "reference": "P-6", "customer": { "name": "n", "email": "poll@customers.example", "card": "c" },
        "items": [{ "sku": "s", "quantity": 1, "unit_cents": 1 }], "total_cents": 1,
    }));
    stage.until("six jobs", |stage| {
        (stage
            .json("job list --state succeeded")
            .as_array()
            .unwrap()
            .len()
            >= 6)
            .then_some(())
    });
    assert_eq!(stage.json("job list").as_array().unwrap().len(), 6);
    // The trigger's schema labels the customer's address.
    let shown = stage.last_job();
    assert_eq!(
        shown["trigger"]["body"]["order"]["customer"]["email"],
        json!({ "$masked": true }),
        "{shown}"
    );
}

#[test]
fn a_stopped_recipe_takes_no_events_and_a_started_one_does() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    stage.ok("recipe stop intake");
    assert_eq!(stage.post(&hook, &order(1)).0, 404);
    stage.ok("recipe start intake");
    assert_eq!(stage.post(&hook, &order(1)).0, 200);
}

#[test]
fn whoever_starts_and_stops_a_recipe_polls_no_more_often_than_it_says() {
    let stage = Stage::with_shop();
    let text = r#"recipe: watch
trigger:
  poll: { connector: orders, trigger: new_orders, connection: shop, every: 3s, input: {} }
steps:
  - id: seen
    transform: { id: "${ trigger.body.id }" }
"#;
    let polls = || stage.upstream.effects()["requests"].as_u64().unwrap();
    let (before, started) = (polls(), std::time::Instant::now());
    stage.apply("watch", text);
    let first = stage.until("the first poll", |_| (polls() > before).then(polls));
    stage.until("the second poll", |stage| {
        stage.ok("recipe start watch");
        stage.ok("recipe stop watch");
        stage.ok("recipe start watch");
        (polls() > first).then_some(())
    });
    assert!(started.elapsed().as_secs() >= 3, "{:?}", started.elapsed());
    // A start that changes nothing is recorded as that.
    let audit = stage.audit();
    let is_of_nothing = |line: &Value| {
        let detail = line["record"]["detail"].as_str();
        detail.is_some_and(|text| text == "nothing changes: it is started already")
    };
    assert!(audit.iter().any(is_of_nothing), "{:?}", audit.last());
}

#[test]
fn an_upstream_that_refuses_the_connection_is_a_reason_that_people_understand() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gone.local_addr().unwrap().port();
    let stage = Stage::configured(&format!(
        "[[egress.allow]]\nhost = \"localhost\"\nport = {port}\ncleartext = true\n"
    ));
    drop(gone);
    stage.ok("workspace create acme");
    stage.install("orders.wasm", "orders");
    stage.ok(&format!(
        "connection create shop --connector orders --parameter host=localhost --parameter port={port} --parameter scheme=http --credential-file token.txt"
    ));
    let hook = stage.apply("intake", INTAKE).unwrap();
    assert_eq!(stage.post(&hook, &order(1)).0, 502);
    let job = stage.last_job();
    let why = job["failure"].as_str().unwrap();
    assert!(why.contains("create: transient"), "{why}");
    assert!(why.to_lowercase().contains("connection refused"), "{why}");
    let audit = stage.audit();
    let refused = audit.iter().any(|line| {
        line["record"]["outcome"] == "refused"
            && line["record"]["detail"]
                .as_str()
                .is_some_and(|text| text.contains("refused"))
    });
    assert!(refused, "{audit:?}");
}
