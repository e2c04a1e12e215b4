//! Running one guest call: a fresh instance, one export, and an outcome.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use keyway_ipc::{CallOutcome, Entrance, Invoke, Trap, Usage};
use keyway_model::limit::{FIELD_BYTES_MAX, STACK_BYTES_MAX};
use wasmtime::component::ResourceTableError;
use wasmtime::{Engine, Store, StoreContextMut, UpdateDeadline};

use crate::convert;
use crate::host::Guest;
use crate::live::{Ended, LiveCall, over};
use crate::load::Loaded;
use crate::meter::{cpu_is_over, metered};

/// The longest text about a guest's own fault, in bytes.
const FAULT_BYTES_MAX: usize = 1 << 10;

/// Runs the call to its end and throws the instance away.
pub(crate) async fn run(
    engine: &Engine,
    loaded: &Loaded,
    call: &Arc<LiveCall>,
    invoke: Invoke,
) -> (CallOutcome, Usage) {
    let mut store = store(engine, call, invoke.reserved_headers, invoke.parameters);
    let entered = AssertUnwindSafe(enter(loaded, invoke.entrance, &mut store)).catch_unwind();
    let entered = metered(call, entered).await;
    let memory_bytes = store.data().limiter.memory_bytes();
    drop(store);
    call.tell_rest_of_log().await;
    let outcome = match (call.verdict(), entered) {
        (Some(verdict), _) => CallOutcome::Trap(verdict),
        (None, Ok(Ok(outcome))) => outcome,
        (None, Ok(Err(error))) => CallOutcome::Trap(fault(call, &error)),
        // Not `Host`, after which the call is made again: this one would only panic again.
        (None, Err(_)) => CallOutcome::Trap(Trap::Component(
            "a function of the host panicked under it".to_owned(),
        )),
    };
    (outcome, usage(call, memory_bytes))
}

/// What a call that has ended consumed.
pub(crate) fn usage(call: &LiveCall, memory_bytes: u64) -> Usage {
    let (log_lines, log_lines_dropped) = call.log.lock().counts();
    Usage {
        wall_us: u64::try_from(call.meter.wall().as_micros()).unwrap_or(u64::MAX),
        memory_bytes,
        host_calls: call.host_calls(),
        log_lines,
        log_lines_dropped,
        parameter_reads: call.parameter_reads(),
        bodies_refused: call.bodies_refused(),
    }
}

fn store(
    engine: &Engine,
    call: &Arc<LiveCall>,
    reserved_headers: Vec<String>,
    parameters: Option<Vec<(String, String)>>,
) -> Store<Guest> {
    let mut store = Store::new(engine, Guest::new(call, reserved_headers, parameters));
    store.limiter(|guest| &mut guest.limiter);
    store.set_hostcall_fuel(call.limits.host_call_bytes_max as usize);
    store.set_max_component_handles(call.limits.handles_max as usize);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(tick);
    store
}

/// Called while a guest computes, at each tick of the epoch.
fn tick(store: StoreContextMut<'_, Guest>) -> wasmtime::Result<UpdateDeadline> {
    let call = &store.data().call;
    if let Some(verdict) = call.verdict() {
        return Err(Ended(verdict).into());
    }
    if cpu_is_over(call) {
        return Err(call.end(over("cpu_ms_max", call.limits.cpu_ms_max)));
    }
    Ok(UpdateDeadline::YieldCustom(
        1,
        Box::pin(tokio::task::yield_now()),
    ))
}

/// Instantiates and calls the export.
async fn enter(
    loaded: &Loaded,
    entrance: Entrance,
    mut store: &mut Store<Guest>,
) -> wasmtime::Result<CallOutcome> {
    let limits = store.data().call.limits;
    let outcome = match (loaded, entrance) {
        (Loaded::Connector(pre), Entrance::Action { name, input }) => {
            let guest = pre.instantiate_async(&mut store).await?;
            let actions = guest.keyway_guest_actions();
            convert::value(actions.call_invoke(store, &name, &input).await?, &limits)
        }
        (
            Loaded::Connector(pre),
            Entrance::Poll {
                name,
                input,
                cursor,
            },
        ) => {
            let guest = pre.instantiate_async(&mut store).await?;
            let triggers = guest.keyway_guest_triggers();
            let batch = triggers
                .call_poll(store, &name, &input, cursor.as_deref())
                .await?;
            convert::batch(batch, &limits)
        }
        (Loaded::Connector(pre), Entrance::Check) => {
            let guest = pre.instantiate_async(&mut store).await?;
            let checks = guest.keyway_guest_connection_check();
            convert::value(checks.call_check(store).await?, &limits)
        }
        (Loaded::Code(pre), Entrance::Run { input }) => {
            let guest = pre.instantiate_async(&mut store).await?;
            convert::logic(
                guest.keyway_guest_logic().call_run(store, &input).await?,
                &limits,
            )
        }
        (Loaded::Expressions(pre), Entrance::Run { input }) => {
            let guest = pre.instantiate_async(&mut store).await?;
            convert::logic(
                guest.keyway_guest_logic().call_run(store, &input).await?,
                &limits,
            )
        }
        (Loaded::Expressions(pre), Entrance::CheckExpressions { request }) => {
            let guest = pre.instantiate_async(&mut store).await?;
            let expressions = guest.keyway_guest_expressions();
            convert::logic(expressions.call_check(store, &request).await?, &limits)
        }
        (
            Loaded::Connector(_) | Loaded::Code(_) | Loaded::Expressions(_),
            Entrance::Action { .. }
            | Entrance::Poll { .. }
            | Entrance::Check
            | Entrance::Run { .. }
            | Entrance::CheckExpressions { .. },
        ) => Err(Trap::Component(
            "its world does not have this export".to_owned(),
        )),
    };
    outcome.map_err(|trap| Ended(trap).into())
}

/// What an error says about a guest that no verdict has ended.
fn fault(call: &LiveCall, error: &wasmtime::Error) -> Trap {
    if let Some(Ended(trap)) = error.downcast_ref() {
        return trap.clone();
    }
    if let Some(wasmtime::Trap::StackOverflow) = error.downcast_ref() {
        return over("STACK_BYTES_MAX", STACK_BYTES_MAX as u64);
    }
    let limits = &call.limits;
    let text = error.root_cause().to_string();
    let is_full = matches!(error.downcast_ref(), Some(ResourceTableError::Full));
    // wasmtime gives these three no type; a test of each holds the texts.
    if is_full || text.contains("store handle limit exceeded") {
        return over("handles_max", limits.handles_max.into());
    }
    if text.contains("total size of fields exceeds limit") {
        return over("FIELD_BYTES_MAX", FIELD_BYTES_MAX as u64);
    }
    if text.contains("fuel allocated for hostcalls") {
        return over("host_call_bytes_max", limits.host_call_bytes_max.into());
    }
    let end = text.floor_char_boundary(FAULT_BYTES_MAX);
    Trap::Guest(text.get(..end).unwrap_or_default().to_owned())
}
