//! Runs logic: guests without a connection, a network or a state. All that
//! they may ask for is a line in the log; anything else ends them.

use std::sync::Arc;
use std::time::Duration;

use keyway_ipc::{CallId, CallOutcome, Entrance, HostCall, HostReply, Invoke, Trap, Usage};
use keyway_model::limit::CallLimits;
use keyway_model::{Digest, TenantId};

use crate::lane::{END_GRACE, Event, Lane, RunningCall, group_of};

/// Runs one call of a component of world `code`.
pub async fn run_logic(
    lane: &Arc<Lane>,
    tenant: TenantId,
    artifact: Digest,
    entrance: Entrance,
    limits: CallLimits,
) -> (CallOutcome, Usage) {
    let invoke = Invoke {
        call: CallId(0),
        group: group_of(tenant),
        artifact,
        entrance,
        limits,
        reserved_headers: Vec::new(),
        parameters: None,
    };
    let wall = Duration::from_millis(limits.wall_ms_max) + END_GRACE;
    let Ok(mut running) = lane.start(invoke).await else {
        return gone();
    };
    match tokio::time::timeout(wall, serve(&mut running)).await {
        Ok(ended) => ended,
        Err(_) => {
            lane.give_up();
            let limit = Trap::Limit {
                name: "wall_ms_max".to_owned(),
                value: limits.wall_ms_max,
            };
            (CallOutcome::Trap(limit), Usage::default())
        }
    }
}

async fn serve(running: &mut RunningCall) -> (CallOutcome, Usage) {
    let line = running.line();
    while let Some(event) = running.next().await {
        match event {
            Event::Done(outcome, usage) => return (outcome, usage),
            Event::Host(_, HostCall::Log(_)) => {}
            Event::Host(request, _) => {
                let refusal = Trap::Host("logic has no way to the host".to_owned());
                line.reply(request, HostReply::Trap(refusal)).await;
            }
            Event::Body(..) | Event::BodyAborted(_) | Event::Credit(..) | Event::Forget(_) => {}
        }
    }
    gone()
}

fn gone() -> (CallOutcome, Usage) {
    (CallOutcome::Trap(Trap::WorkerGone), Usage::default())
}
