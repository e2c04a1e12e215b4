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
        let value = match &change {
            StateChange::Set(value) => Some(value.as_str()),
            StateChange::Delete => None,
        };
        // No worker passes on what is over these.
        if let Err(refusal) = StateRefusal::unless_within(&self.limits, &key, value) {
            if let StateRefusal::Limit(limit) = &refusal {
                let reason = DenialReason::Limit;
                let denial = self.grant.deny_state_because(reason, limit.clone());
                self.deny(asked, denial).await;
            }
            return HostReply::Stored(Err(refusal));
        }
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
        // From here on it waits for the disk.
        self.active.end();
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use keyway_model::limit::LimitSet;

    use super::*;
    use crate::resource::LimitsRecord;
    use crate::stage::Stage;

    /// Operation, reason and remedy of each denial that is recorded, the newest first.
    async fn denied(stage: &Stage) -> Vec<[String; 3]> {
        let records = stage.records().await;
        let text = |one: &serde_json::Value, name| {
            let text = one.get(name).and_then(serde_json::Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let denials = records
            .iter()
            .filter(|one| text(one, "decision") == "denied");
        denials
            .map(|one| ["operation", "reason", "remedy"].map(|name| text(one, name)))
            .collect()
    }

    #[tokio::test]
    async fn a_change_that_no_worker_passes_on_leaves_a_denial() {
        let stage = Stage::new().await;
        let invocation = stage.invocation();
        let (key_bytes_max, value_bytes_max) = (
            invocation.limits.state_key_bytes_max as usize,
            invocation.limits.state_value_bytes_max as usize,
        );
        let long_key = "k".repeat(key_bytes_max + 1);
        let value = |bytes| StateChange::Set("v".repeat(bytes));
        let beyond = [
            ("state_key_bytes_max", long_key.as_str(), value(1)),
            (
                "state_key_bytes_max",
                long_key.as_str(),
                StateChange::Delete,
            ),
            ("state_key_bytes_max", "", StateChange::Delete),
            ("state_value_bytes_max", "k", value(value_bytes_max + 1)),
        ];
        for (count, (name, key, change)) in (1..).zip(beyond) {
            let reply = invocation.state_change(key.to_owned(), change).await;
            let HostReply::Stored(Err(StateRefusal::Limit(said))) = reply else {
                unreachable!("{reply:?}")
            };
            let all = denied(&stage).await;
            assert_eq!(all.len(), count);
            let last = all.first().unwrap();
            assert_eq!(*last, ["state.change", "limit", said.as_str()]);
            assert!(said.starts_with(name), "{said}");
        }
        assert_eq!(invocation.seen.lock().denials.len(), 4);
        let done = invocation.state_change("k".repeat(key_bytes_max), value(value_bytes_max));
        assert!(matches!(done.await, HostReply::Stored(Ok(()))));
        assert_eq!(denied(&stage).await.len(), 4);
    }

    #[tokio::test]
    async fn a_change_that_no_worker_passes_on_is_metered_like_any_other() {
        let stage = Stage::new().await;
        let mut set = LimitSet::default();
        for entry in ["state_writes_per_second_max=1", "throttle_ms_max=1"] {
            let (name, value) = LimitSet::parse_entry(entry).unwrap();
            set.set(name, value).unwrap();
        }
        stage.gate.registry().update(stage.scope, |view| {
            view.put_limits(LimitsRecord { set, revision: 1 });
        });
        let invocation = stage.invocation();
        let change = || invocation.state_change(String::new(), StateChange::Delete);
        let [first, second] = <[_; 2]>::from(tokio::join!(change(), change())).map(|reply| {
            let HostReply::Stored(Err(StateRefusal::Limit(said))) = reply else {
                unreachable!("{reply:?}")
            };
            said
        });
        assert!(first.starts_with("state_key_bytes_max"), "{first}");
        assert!(second.contains("state_writes_per_second_max"), "{second}");
    }
}
