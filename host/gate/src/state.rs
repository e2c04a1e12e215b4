//! A connection's state: small, sealed, and its own.

use futures_util::future::BoxFuture;
use keyway_authz::{DenialReason, Ending, Entry, OutcomeKind, StateChange, StateWrite};
use keyway_ipc::{HostReply, RequestId, StateRefusal, Trap};
use keyway_store::StoreError;

use crate::invocation::Invocation;
use crate::lane::{Charge, Line};

impl Invocation {
    /// A change of state, which may have to wait for its turn.
    pub(crate) fn state(
        &self,
        line: Line,
        (request, charge): (RequestId, Charge),
        key: String,
        change: StateChange,
    ) -> BoxFuture<'_, RequestId> {
        Box::pin(async move {
            let _charge = charge;
            let reply = self.state_change(key, change).await;
            line.reply(request, reply).await;
            request
        })
    }

    /// Changes state: outward, so decided, recorded, done and closed.
    pub(crate) async fn state_change(&self, key: String, change: StateChange) -> HostReply {
        let asked = format!("state {key}");
        let value = match &change {
            StateChange::Set(value) => Some(value.as_str()),
            StateChange::Delete => None,
        };
        if let Err(refusal) = StateRefusal::unless_within(&self.limits, &key, value) {
            return HostReply::Stored(Err(refusal));
        }
        // Counted before it is decided: a flood of denials is a flood, too.
        let _pass = match self.meters.state().await {
            Ok(pass) => pass,
            Err(over) => {
                let remedy = over.to_string();
                let denial = self.grant.deny_state_because(DenialReason::Limit, remedy);
                self.deny(asked, denial).await;
                return HostReply::Stored(Err(StateRefusal::Limit(over.to_string())));
            }
        };
        let lost = self.standing().err();
        let decided = match lost {
            Some(lost) => Err(self.grant.deny_state_because(lost.reason, lost.remedy)),
            None => self.grant.decide_state(key, change),
        };
        let permit = match decided {
            Ok(permit) => permit,
            Err(denial) => {
                self.deny(asked, denial).await;
                return HostReply::Stored(Err(StateRefusal::Denied));
            }
        };
        match permit.record(&self.recorder).await {
            Ok(entry) => self.store_state(entry).await,
            Err(error) => HostReply::Trap(Trap::Host(error.to_string())),
        }
    }

    async fn store_state(&self, entry: Entry<StateWrite>) -> HostReply {
        let keys_max = self.limits.state_keys_max;
        let change = match self.store.state_change(&entry, keys_max).await {
            Ok(change) => change,
            Err(StoreError::Limit { name, value }) => {
                self.unit.close(
                    entry.close(
                        Ending::of(OutcomeKind::Refused).because(format!("{name} ({value})")),
                    ),
                );
                return HostReply::Stored(Err(StateRefusal::Limit(format!("{name} ({value})"))));
            }
            Err(error) => return HostReply::Trap(Trap::Host(error.to_string())),
        };
        self.unit.push(change);
        self.unit.close(entry.close(Ending::of(OutcomeKind::Done)));
        match self.unit.commit().await {
            Ok(()) => HostReply::Stored(Ok(())),
            Err(error) => HostReply::Trap(Trap::Host(error.to_string())),
        }
    }
}
