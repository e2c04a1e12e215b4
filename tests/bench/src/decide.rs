//! What one decision on a destination costs among many grants: the gate's own decision, without parsing before it and
//! without a record after it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use keyway_authz::{Actor, Grant, GrantedCredential, HttpRule, HttpRules, Principal};
use keyway_model::manifest::Capabilities;
use keyway_model::net::{Method, RequestUrl};
use keyway_model::{ConnectionId, CredentialSlot};
use serde::Serialize;

use crate::latency::Latencies;

/// Decisions that one reading of the clock is divided by.
const BATCH: u32 = 64;

/// How it is measured.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Grants that are decided among.
    #[arg(long, default_value_t = 1_000)]
    pub grants: usize,
    /// Decisions, in batches of 64.
    #[arg(long, default_value_t = 10_000)]
    pub batches: usize,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Median of a decision among grants for as many places.
    pub p50_us: f64,
    /// The same among one.
    pub one_p50_us: f64,
    /// The last of as many grants that are all for one place and differ in their path.
    pub one_place_p50_us: f64,
}

/// Measures all three.
///
/// # Errors
/// If a decision is not the right one.
pub fn run(options: Options) -> anyhow::Result<Outcome> {
    let places = |count: usize| -> Vec<String> {
        (0..count)
            .map(|at| format!("https://api-{at}.example.com/v1/orders"))
            .collect()
    };
    let paths: Vec<String> = (0..options.grants)
        .map(|at| format!("https://api.example.com/v1/orders-{at}"))
        .collect();
    let all = places(options.grants);
    let last = paths.last().cloned().context("--grants must be above 0")?;
    Ok(Outcome {
        p50_us: median_us(&all, &all, options.batches)?,
        one_p50_us: median_us(&places(1), &places(1), options.batches)?,
        one_place_p50_us: median_us(&paths, &[last], options.batches / 10)?,
    })
}

fn median_us(granted: &[String], asked: &[String], batches: usize) -> anyhow::Result<f64> {
    let grant = grant(granted)?;
    let asked: Vec<RequestUrl> = asked
        .iter()
        .map(|url| url.parse())
        .collect::<Result<_, _>>()?;
    let elsewhere: RequestUrl = "https://elsewhere.example.com/v1/orders".parse()?;
    anyhow::ensure!(
        grant.decide_http(Method::Get, elsewhere).is_err(),
        "what is not granted was let through"
    );
    let mut turn = asked.iter().cycle();
    let mut each = Latencies::default();
    for _ in 0..batches.max(1) {
        // A decision takes its URL with it, so it is copied before the clock is read.
        let urls: Vec<RequestUrl> = turn.by_ref().take(BATCH as usize).cloned().collect();
        let mut permits = Vec::with_capacity(urls.len());
        let started = Instant::now();
        for url in urls {
            permits.push(grant.decide_http(Method::Get, url));
        }
        let took: Duration = started.elapsed() / BATCH;
        anyhow::ensure!(
            permits.iter().all(Result::is_ok),
            "what is granted was not let through"
        );
        each.add(took);
    }
    Ok(each.percentile_us(50))
}

fn grant(urls: &[String]) -> anyhow::Result<Grant> {
    let rules = urls.iter().map(|url| -> anyhow::Result<HttpRule> {
        let url: RequestUrl = url.parse()?;
        Ok(HttpRule {
            paths: vec![url.path.to_string().parse()?],
            origin: url.origin,
            methods: vec![Method::Get],
            credential: Some(GrantedCredential {
                slot: CredentialSlot::Bearer,
                cleartext: false,
            }),
            redirects: keyway_model::manifest::Redirects::default(),
            rule: "bench 0.1.0: decide uses api".to_owned(),
        })
    });
    let rules: HttpRules = rules.collect::<anyhow::Result<_>>()?;
    Ok(Grant::new(
        Actor::directly(Principal::Platform(0)),
        ConnectionId::random(),
        Capabilities::ALL,
        Arc::new(rules),
        "bench 0.1.0".to_owned(),
    ))
}
