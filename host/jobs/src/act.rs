//! One action of a job: found, checked, opened at the gate, run.

use std::sync::Arc;

use keyway_authz::{Actor, Principal};
use keyway_gate::resource::ConnectionRecord;
use keyway_gate::{Basis, Connector, Ended, Purpose, Unfit};
use keyway_ipc::{CallOutcome, Entrance, Trap};
use keyway_model::limit::ACTION_ATTEMPTS_MAX;
use keyway_model::{EffectClass, Failure, InvocationId, Json};

use crate::driver::{DriveError, Jobs, Run};
use crate::machine::Act;

/// An action that is ready to be called.
pub(crate) struct Prepared {
    pub(crate) basis: Basis,
    pub(crate) effect: EffectClass,
    idempotency: Option<(String, String)>,
    entrance: Entrance,
}

/// What came of a call.
pub(crate) enum Called {
    /// A value or a failure, and what the guest did.
    Ended(Box<(Result<Json, Failure>, Ended)>),
    /// It was cut off, for this reason, and an effect that must not be repeated may
    /// have happened.
    Unknown(String),
}

impl Jobs {
    /// Finds connector and connection, and checks the input, before any call
    /// is made.
    pub(crate) fn prepare(&self, run: &Run, act: &Act) -> Result<Prepared, Failure> {
        let view = self.gate.registry().view(run.scope);
        let now = self.gate.clock().now();
        let connection = view.connection(&act.connection).ok_or_else(|| {
            Failure::Forbidden(format!(
                "there is no connection `{}` any more",
                act.connection
            ))
        })?;
        let (connector, _) = view
            .running(&act.connector, now)
            .map_err(|error| Failure::Forbidden(error.to_string()))?;
        self.prepared(run, act, connector, connection)
    }

    fn prepared(
        &self,
        run: &Run,
        act: &Act,
        connector: &Arc<Connector>,
        connection: &Arc<ConnectionRecord>,
    ) -> Result<Prepared, Failure> {
        let Some(action) = connector.manifest.actions.get(&act.action) else {
            return Err(Failure::InvalidInput(format!(
                "connector `{}` {} has no action `{}`",
                act.connector, connector.record.version, act.action
            )));
        };
        let purpose = Purpose::Action(act.action.clone());
        let entrance = Entrance::Action {
            name: act.action.to_string(),
            input: act.input.text().to_owned(),
        };
        let limits = self.gate.limits(run.scope, &connector.manifest.limits);
        let taken = connector.takes(&purpose, &entrance, &limits.call);
        let actor = run.actor(act.key.clone(), connector, act.action.to_string());
        let header = action.idempotency_header.clone();
        let basis = Basis {
            scope: run.scope,
            connector: Arc::clone(connector),
            connection: Arc::clone(connection),
            purpose,
            actor,
        };
        if let Err(unfit) = taken {
            self.gate.record_unfit(&basis, &run.unit, &unfit);
            return Err(refused(act, unfit));
        }
        Ok(Prepared {
            basis,
            effect: action.effect,
            idempotency: header.map(|header| (header, act.idempotency_key.clone())),
            entrance,
        })
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other end is the guest's own"
    )]
    /// Calls the action; again on another worker if the first ended and
    /// repeating is safe.
    pub(crate) async fn call(&self, run: &Run, prepared: &Prepared) -> Result<Called, DriveError> {
        for _ in 0..ACTION_ATTEMPTS_MAX {
            let opened = self.gate.open(
                prepared.basis.clone(),
                run.unit.clone(),
                prepared.idempotency.clone(),
            );
            let invocation = match opened {
                Ok(invocation) => invocation.part_of(&run.active),
                Err(no_grant) => return Ok(Called::refused(no_grant.to_string())),
            };
            let ended = self
                .runner
                .run(&invocation, prepared.entrance.clone())
                .await;
            if !prepared.effect.repeats() && is_unsure(&ended, &invocation) {
                return Ok(Called::Unknown(why(&ended.outcome)));
            }
            match &ended.outcome {
                CallOutcome::Trap(Trap::WorkerGone) => {}
                CallOutcome::Trap(Trap::Host(reason)) => {
                    return Err(DriveError::Stalled(reason.clone()));
                }
                _ => return Ok(Called::Ended(Box::new((result_of(&ended.outcome), ended)))),
            }
        }
        Ok(Called::failed(Failure::Transient(format!(
            "the worker ended {ACTION_ATTEMPTS_MAX} times during this call; the component may be made to end it"
        ))))
    }
}

/// What becomes of an action whose input its connector does not take.
fn refused(act: &Act, unfit: Unfit) -> Failure {
    match unfit {
        Unfit::TooLong(trap) => Failure::Permanent(trap.to_string()),
        Unfit::TooDeep | Unfit::Schema(_) => Failure::InvalidInput(format!(
            "input of {}.{}: {unfit}",
            act.connector, act.action
        )),
    }
}

/// Why a call did not do what it was to do, for people.
fn why(outcome: &CallOutcome) -> String {
    match outcome {
        CallOutcome::Trap(trap) => trap.to_string(),
        CallOutcome::Failure(failure) => failure.to_string(),
        CallOutcome::LogicError(text) => text.clone(),
        CallOutcome::Value(_) | CallOutcome::Batch(_) => String::new(),
    }
}

/// Whether an effect may have happened that the outcome does not tell of: a
/// guest that was cut off after a request had left, or one that got no reply.
fn is_unsure(ended: &Ended, invocation: &keyway_gate::Invocation) -> bool {
    match &ended.outcome {
        CallOutcome::Trap(_) => !ended.seen.requests.is_empty() || !invocation.nothing_sent(),
        CallOutcome::Failure(_) | CallOutcome::LogicError(_) => invocation.is_unsure(),
        CallOutcome::Value(_) | CallOutcome::Batch(_) => false,
    }
}

impl Called {
    fn refused(why: String) -> Self {
        Self::failed(Failure::Forbidden(why))
    }

    fn failed(failure: Failure) -> Self {
        let outcome = CallOutcome::Failure(failure.clone());
        let ended = Ended {
            outcome,
            usage: keyway_ipc::Usage::default(),
            seen: keyway_gate::Seen::default(),
        };
        Self::Ended(Box::new((Err(failure), ended)))
    }
}

/// What a guest's end means for the step.
fn result_of(outcome: &CallOutcome) -> Result<Json, Failure> {
    match outcome {
        CallOutcome::Value(json) => Json::canonical(json.as_bytes()).map_err(|error| {
            Failure::Permanent(format!("the connector's answer is not JSON: {error}"))
        }),
        CallOutcome::Failure(failure) => Err(failure.clone()),
        CallOutcome::LogicError(text) => Err(Failure::Permanent(text.clone())),
        CallOutcome::Batch(_) => Err(Failure::Permanent(
            "an action answered with events".to_owned(),
        )),
        CallOutcome::Trap(trap) => Err(Failure::Permanent(trap.to_string())),
    }
}

impl Run {
    /// Who acts in a step of this run.
    pub(crate) fn actor(&self, step: String, connector: &Connector, action: String) -> Actor {
        Actor {
            principal: self.owner,
            recipe: Some((self.record.recipe, self.record.version)),
            job: Some(self.id),
            step: Some(step),
            connector: Some(connector.record.digest),
            action: Some(action),
            invocation: Some(InvocationId::random()),
        }
    }
}

/// Who acts when nothing but a connection is at hand, for example in a check.
pub fn direct_actor(principal: Principal, connector: &Connector, action: &str) -> Actor {
    Actor {
        connector: Some(connector.record.digest),
        action: Some(action.to_owned()),
        invocation: Some(InvocationId::random()),
        ..Actor::directly(principal)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    #[test]
    fn an_input_that_is_too_long_fails_as_a_call_with_it_would() {
        let name = |text: &str| text.parse().unwrap();
        let act = Act {
            key: "a".to_owned(),
            step_id: "a".to_owned(),
            connector: name("orders"),
            action: name("create"),
            connection: name("shop"),
            mask: false,
            input: json!({}).into(),
            idempotency_key: "k".to_owned(),
            attempt: 1,
        };
        let trap = Trap::Limit {
            name: "value_bytes_max".to_owned(),
            value: 5,
        };
        let of_the_call = result_of(&CallOutcome::Trap(trap.clone())).err();
        assert_eq!(Some(refused(&act, Unfit::TooLong(trap))), of_the_call);
        let deep = refused(&act, Unfit::TooDeep);
        let said = "input of orders.create: it is nested too deeply; make it flatter";
        assert_eq!(deep, Failure::InvalidInput(said.to_owned()));
    }
}
