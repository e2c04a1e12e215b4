//! The measurement that `cargo xtask bench` uses, as an example of its use.

#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod support;

use keyway_runtime::instance_cost;
use support::guest;

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    *values.get(values.len() / 2).unwrap()
}

#[tokio::test]
async fn the_cost_of_an_instance_is_measured_beside_bare_wasmtime() {
    let cost = instance_cost(&guest("logic"), 50).await.unwrap();
    assert_eq!((cost.worker_ns.len(), cost.bare_ns.len()), (50, 50));
    println!(
        "worker {} ns, bare {} ns",
        median(cost.worker_ns),
        median(cost.bare_ns)
    );
}
