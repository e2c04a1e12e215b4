//! Guests that try to use up whatever there is. Each ends with the name of the
//! limit, and the worker goes on.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod support;

use std::time::{Duration, Instant};

use keyway_ipc::{CallOutcome, HostReply, LogLevel, ToWorker, Trap};
use keyway_model::limit::{CallLimits, STACK_BYTES_MAX};
use keyway_runtime::PoolSize;
use support::{Broker, Done, limits, value};

/// Runs a hostile action; asserts that the worker still serves afterwards.
async fn hostile(name: &str, tight: CallLimits) -> Done {
    let mut broker = Broker::with("hostile").await;
    broker.limits = tight;
    broker.start_action(name, "").await;
    let done = broker.finish_with(|_| HostReply::Parameter(None)).await;
    broker.limits = limits();
    assert!(matches!(
        broker.act("none", "").await.outcome,
        CallOutcome::Failure(_)
    ));
    done
}

fn over(name: &str, value: u64) -> CallOutcome {
    CallOutcome::Trap(Trap::Limit {
        name: name.to_owned(),
        value,
    })
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_processor_limit() {
    let done = hostile(
        "spin",
        CallLimits {
            cpu_ms_max: 60,
            ..limits()
        },
    )
    .await;
    assert_eq!(done.outcome, over("cpu_ms_max", 60));
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_wall_limit() {
    let done = hostile(
        "spin",
        CallLimits {
            wall_ms_max: 60,
            ..limits()
        },
    )
    .await;
    assert_eq!(done.outcome, over("wall_ms_max", 60));
    assert!(done.usage.wall_us >= 60_000);
}

#[tokio::test]
async fn a_long_sleep_ends_at_the_wall_limit() {
    let done = hostile(
        "sleep",
        CallLimits {
            wall_ms_max: 60,
            ..limits()
        },
    )
    .await;
    assert_eq!(done.outcome, over("wall_ms_max", 60));
}

#[tokio::test]
async fn time_that_is_slept_is_not_time_on_a_processor() {
    let limits = CallLimits {
        cpu_ms_max: 1_000,
        wall_ms_max: 1_500,
        ..limits()
    };
    assert_eq!(
        hostile("sleep", limits).await.outcome,
        over("wall_ms_max", 1_500)
    );
}

#[tokio::test]
async fn a_loop_and_a_sleep_can_be_cancelled() {
    for name in ["spin", "sleep"] {
        let mut broker = Broker::with("hostile").await;
        let call = broker.start_action(name, "").await;
        let reason = Trap::Cancelled("revoked".to_owned());
        broker
            .send(ToWorker::Cancel {
                call,
                reason: reason.clone(),
            })
            .await;
        assert_eq!(
            broker.finish().await.outcome,
            CallOutcome::Trap(reason),
            "{name}"
        );
    }
}

#[tokio::test]
async fn honest_calls_go_on_beside_an_endless_loop() {
    let mut broker = Broker::with("hostile").await;
    let spinning = broker.start_action("spin", "").await;
    assert!(matches!(
        broker.act("none", "").await.outcome,
        CallOutcome::Failure(_)
    ));
    let reason = Trap::Cancelled("enough".to_owned());
    broker
        .send(ToWorker::Cancel {
            call: spinning,
            reason: reason.clone(),
        })
        .await;
    assert_eq!(broker.finish().await.outcome, CallOutcome::Trap(reason));
}

/// How long an honest call with twenty messages takes beside `loops` of another
/// group.
async fn honest_beside(loops: usize) -> Duration {
    let mut broker = Broker::of_size("hostile", 20).await;
    broker.group = 1;
    for _ in 0..loops {
        broker.start_action("spin", "").await;
    }
    broker.group = 2;
    // The loops have run for a while when the honest call begins.
    for _ in 0..2 {
        broker.start_action("many-host-calls", "").await;
        broker.finish_with(|_| HostReply::Parameter(None)).await;
    }
    let start = Instant::now();
    broker.start_action("many-host-calls", "").await;
    let done = broker.finish_with(|_| HostReply::Parameter(None)).await;
    assert_eq!(done.outcome, value(r#"{"outcome":"survived"}"#));
    start.elapsed()
}

#[tokio::test]
async fn a_short_call_does_not_wait_for_each_of_many_loops() {
    let one = honest_beside(1).await;
    let many = honest_beside(16).await;
    assert!(
        many < one * 6,
        "beside one {one:?}, beside sixteen {many:?}"
    );
}

#[tokio::test]
async fn a_memory_bomb_ends_at_the_memory_limit() {
    let done = hostile(
        "memory",
        CallLimits {
            memory_bytes_max: 8 << 20,
            ..limits()
        },
    )
    .await;
    assert_eq!(done.outcome, over("memory_bytes_max", 8 << 20));
    assert!(done.usage.memory_bytes <= 8 << 20);
}

#[tokio::test]
async fn a_guest_that_needs_more_memory_than_it_may_have_does_not_start() {
    let done = hostile(
        "none",
        CallLimits {
            memory_bytes_max: 64 << 10,
            ..limits()
        },
    )
    .await;
    assert_eq!(done.outcome, over("memory_bytes_max", 64 << 10));
}

#[tokio::test]
async fn a_panic_ends_the_guest_and_its_text_is_logged() {
    let done = hostile("panic", limits()).await;
    assert!(
        matches!(done.outcome, CallOutcome::Trap(Trap::Guest(_))),
        "{:?}",
        done.outcome
    );
    let text: String = done.lines.iter().map(|(_, line)| line.as_str()).collect();
    assert!(text.contains("a guest's own fault"), "{text}");
}

#[tokio::test]
async fn a_guest_that_exits_is_told_as_its_own_fault() {
    let outcome = hostile("exit", limits()).await.outcome;
    assert!(
        matches!(outcome, CallOutcome::Trap(Trap::Guest(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn endless_recursion_ends_at_the_limit_of_the_stack() {
    let outcome = hostile("deep", limits()).await.outcome;
    assert_eq!(outcome, over("STACK_BYTES_MAX", STACK_BYTES_MAX as u64));
}

#[tokio::test]
async fn recursion_that_uses_up_the_guests_own_stack_ends_the_guest() {
    let outcome = hostile("recursion", limits()).await.outcome;
    assert!(
        matches!(outcome, CallOutcome::Trap(Trap::Guest(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_log_flood_is_dropped_and_counted() {
    for name in ["log-flood", "print-flood"] {
        let done = hostile(name, limits()).await;
        assert_eq!(done.outcome, value(r#"{"outcome":"survived"}"#), "{name}");
        assert_eq!(done.lines.len(), 1_000, "{name}");
        assert_eq!(
            done.lines.last(),
            Some(&(LogLevel::Info, "999".to_owned())),
            "{name}"
        );
        assert_eq!(
            (done.usage.log_lines, done.usage.log_lines_dropped),
            (2_000, 1_000),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_flood_of_host_calls_ends_at_their_limit() {
    let done = hostile(
        "parameter-flood",
        CallLimits {
            host_calls_max: 50,
            ..limits()
        },
    )
    .await;
    assert_eq!(done.outcome, over("host_calls_max", 50));
}

#[tokio::test]
async fn a_flood_of_handles_ends_at_their_limit() {
    let done = hostile(
        "handles",
        CallLimits {
            handles_max: 100,
            ..limits()
        },
    )
    .await;
    assert_eq!(done.outcome, over("handles_max", 100));
}

#[tokio::test]
async fn too_many_random_bytes_end_the_guest() {
    assert_eq!(
        hostile("random", limits()).await.outcome,
        over("random_bytes_max", 64 << 10)
    );
}

#[tokio::test]
async fn a_huge_string_to_the_host_ends_the_guest() {
    assert_eq!(
        hostile("huge-string", limits()).await.outcome,
        over("host_call_bytes_max", 4 << 20)
    );
}

#[tokio::test]
async fn a_huge_output_ends_the_guest() {
    assert_eq!(
        hostile("huge-output", limits()).await.outcome,
        over("value_bytes_max", 1 << 20)
    );
}

/// Starts so many calls that wait for ever; those for which there is no room end for
/// `limit`.
async fn sleepers(broker: &mut Broker, room: usize, beyond: usize, limit: CallOutcome) {
    for _ in 0..room + beyond {
        broker.start_action("sleep", "").await;
    }
    for _ in 0..beyond {
        assert_eq!(broker.finish().await.outcome, limit);
    }
}

#[tokio::test]
async fn calls_of_one_group_that_hold_memory_leave_another_group_as_much() {
    let short = CallLimits {
        wall_ms_max: 1,
        ..limits()
    };
    let each = hostile("sleep", short).await.usage.memory_bytes;
    let size = PoolSize {
        instances_max: 40,
        worker_memory_bytes_max: 20 * each,
        ..PoolSize::default()
    };
    let mut broker = Broker::of_pool("hostile", &size).await;
    broker.limits.wall_ms_max = 600_000;
    broker.memory_bytes_per_workspace_max = u64::MAX;
    let all = || over("worker_memory_bytes_max", 20 * each);
    for (group, room) in [(1, 10), (2, 5), (3, 2)] {
        broker.group = group;
        sleepers(&mut broker, room, 4, all()).await;
        broker.group = 4;
        let beside = broker.act("none", "").await.outcome;
        assert!(matches!(beside, CallOutcome::Failure(_)), "{beside:?}");
    }
}

#[tokio::test]
async fn calls_of_one_group_hold_no_more_memory_together_than_its_quota() {
    let mut broker = Broker::of_size("hostile", 20).await;
    let each = broker.act("none", "").await.usage.memory_bytes;
    broker.limits.wall_ms_max = 600_000;
    broker.group = 1;
    broker.memory_bytes_per_workspace_max = 3 * each;
    let quota = over("memory_bytes_per_workspace_max", 3 * each);
    sleepers(&mut broker, 3, 4, quota).await;
    broker.group = 2;
    let beside = broker.act("none", "").await.outcome;
    assert!(matches!(beside, CallOutcome::Failure(_)), "{beside:?}");
}

#[tokio::test]
async fn a_call_that_a_worker_has_no_room_for_waits_until_another_has_ended() {
    let mut broker = Broker::of_size("hostile", 2).await;
    broker.limits.wall_ms_max = 600_000;
    let first = broker.start_action("sleep", "").await;
    broker.start_action("sleep", "").await;
    broker.start_action("none", "").await;
    // Each answer comes from a lane that had its turn, and no call has ended before it.
    let code = support::code("hostile");
    for _ in 0..20 {
        assert_eq!(broker.load(&code).await, None);
    }
    let reason = Trap::Cancelled("enough".to_owned());
    broker
        .send(ToWorker::Cancel {
            call: first,
            reason: reason.clone(),
        })
        .await;
    assert_eq!(broker.finish().await.outcome, CallOutcome::Trap(reason));
    let waited = broker.finish().await.outcome;
    assert!(matches!(waited, CallOutcome::Failure(_)), "{waited:?}");
}
