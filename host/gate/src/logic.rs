//! Runs logic: guests without a connection, a network or a state. All that
//! they may ask for is a line in the log; anything else ends them.

use std::sync::Arc;

use keyway_ipc::{CallId, CallOutcome, Entrance, HostCall, HostReply, Invoke, Trap, Usage};
use keyway_model::limit::Limits;
use keyway_model::{Digest, TenantId};

use crate::lane::{Event, Lane, RunningCall, group_of};
use crate::presence::{Presence, while_wanted};

/// Runs one call of a component of world `code`.
pub async fn run_logic(
    lane: &Arc<Lane>,
    tenant: TenantId,
    artifact: Digest,
    entrance: Entrance,
    limits: &Limits,
    presence: &Presence,
) -> (CallOutcome, Usage) {
    let invoke = Invoke {
        call: CallId(0),
        group: group_of(tenant),
        artifact,
        entrance,
        limits: limits.call,
        memory_bytes_per_workspace_max: limits.quotas.memory_bytes_per_workspace_max,
        reserved_headers: Vec::new(),
        parameters: None,
    };
    let Ok(mut running) = lane.start(invoke).await else {
        return gone();
    };
    let wall_ms_max = limits.call.wall_ms_max;
    let waited = while_wanted(serve(&mut running), wall_ms_max, presence).await;
    running.end(waited, wall_ms_max).await
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
