//! Runs logic: guests without a connection, a network or a state. All that
//! they may ask for is a line in the log; anything else ends them.

use std::sync::Arc;

use keyway_ipc::{CallId, CallOutcome, Entrance, HostCall, HostReply, Invoke, Trap, Usage};
use keyway_model::limit::{FRAME_BYTES_MAX, Limits};
use keyway_model::{Digest, TenantId};

use crate::lane::{Event, Lane, RunningCall, group_of};
use crate::presence::{Presence, while_wanted};

/// What a frame takes beside what logic is given: much more than its limits and names.
const BESIDE_BYTES: usize = 1 << 10;

/// What logic is given, and no more than goes into a frame to its worker. It holds what
/// jobs gathered in many calls, so it may be longer than `value_bytes_max`, which its
/// answer is held to.
#[derive(Clone, Debug)]
pub struct LogicInput(Entrance);

/// Logic was to be given more than goes into a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expressions, and what they look at, are {0} bytes: `FRAME_BYTES_MAX` ({FRAME_BYTES_MAX}) is exceeded"
)]
pub struct TooLong(pub usize);

impl LogicInput {
    /// Checks how long it is, before it waits for a place anywhere.
    ///
    /// # Errors
    ///
    /// [`TooLong`].
    pub fn of(entrance: Entrance) -> Result<Self, TooLong> {
        let bytes = entrance.bytes();
        if bytes > FRAME_BYTES_MAX - BESIDE_BYTES {
            return Err(TooLong(bytes));
        }
        Ok(Self(entrance))
    }
}

/// Runs one call of a component of world `code`.
pub async fn run_logic(
    lane: &Arc<Lane>,
    tenant: TenantId,
    artifact: Digest,
    LogicInput(entrance): LogicInput,
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use keyway_ipc::{Link, ToBroker, ToWorker};

    use super::*;
    use crate::lane::LaneSetup;

    fn input_of(bytes: usize) -> Result<LogicInput, TooLong> {
        let input = "x".repeat(bytes);
        LogicInput::of(Entrance::Run { input })
    }

    #[test]
    fn what_is_too_long_for_a_frame_is_refused_before_it_waits_for_anything() {
        let refused = input_of(FRAME_BYTES_MAX).map(drop);
        assert_eq!(refused, Err(TooLong(FRAME_BYTES_MAX)));
        let request = "x".repeat(FRAME_BYTES_MAX + 1);
        let refused = LogicInput::of(Entrance::CheckExpressions { request }).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "expressions, and what they look at, are 8388609 bytes: `FRAME_BYTES_MAX` (8388608) is exceeded"
        );
    }

    #[tokio::test]
    async fn the_longest_that_logic_is_given_goes_into_a_frame() {
        let (ours, theirs) = keyway_ipc::pair().unwrap();
        let near: Link<ToWorker, ToBroker> = keyway_ipc::over_pipes(ours).unwrap();
        let mut far: Link<ToBroker, ToWorker> = keyway_ipc::over_pipes(theirs).unwrap();
        let (lane, _reader) = Lane::over(near, LaneSetup::default());
        let longest = FRAME_BYTES_MAX - BESIDE_BYTES;
        let input = input_of(longest).unwrap();
        let (limits, presence) = (Limits::default(), Presence::always());
        let tenant = TenantId::from_bits(1);
        let component = Digest::of(b"component");
        tokio::select! {
            _ = run_logic(&lane, tenant, component, input, &limits, &presence) => panic!("nobody answers"),
            arrived = far.receiver.receive() => {
                let message = arrived.unwrap().unwrap().message;
                assert!(matches!(message, ToWorker::Invoke(invoke) if invoke.entrance.bytes() == longest));
            }
        }
    }
}
