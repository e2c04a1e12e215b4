//! Alarms: raised by the deployment itself, listed and acknowledged by the
//! platform administrator.

mod condition;

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use keyway_authz::{Principal, Resource};
use keyway_gate::{AlarmKind, AlarmRecord, Call, ControlError, LeftOut};
use keyway_model::limit::LISTED_MAX;
use keyway_model::{AlarmId, Digest, Environment, Name};
use keyway_store::PLATFORM;
use tokio::sync::mpsc;

use self::condition::{Condition, keep_each};
use super::Deployment;
use crate::api::types::Alarm;
use crate::workers::Notice;

/// How long an alarm that could not be kept waits before it is tried again.
const RAISE_PAUSE: Duration = Duration::from_secs(1);

/// Whether an alarm about the same waits for somebody to look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Already,
    NotYet,
}

impl Deployment {
    /// Raises an alarm for each thing that happens to workers.
    pub(crate) async fn follow_notices(self: Arc<Self>, notices: mpsc::UnboundedReceiver<Notice>) {
        self.follow(notices, Condition::of_notice).await;
    }

    /// Raises an alarm for each component whose code in the cache was not ours.
    pub(crate) async fn follow_forged(self: Arc<Self>, forged: mpsc::UnboundedReceiver<Digest>) {
        self.follow(forged, Condition::forged).await;
    }

    async fn follow<T>(
        self: Arc<Self>,
        told: mpsc::UnboundedReceiver<T>,
        condition_of: fn(T) -> Condition,
    ) {
        let keep = move |condition: Condition| {
            let deployment = Arc::clone(&self);
            async move { deployment.raise(condition).await }
        };
        keep_each(told, condition_of, RAISE_PAUSE, keep).await;
    }

    /// Raises the alarms of what is known before anything is served: that guests run
    /// under weaker confinement than they should.
    pub(crate) async fn note_the_start(
        &self,
        notices: &mut mpsc::UnboundedReceiver<Notice>,
    ) -> Result<(), ControlError> {
        while let Ok(notice) = notices.try_recv() {
            self.raise(Condition::of_notice(notice)).await?;
        }
        Ok(())
    }

    /// Raises one alarm for all installed connectors of a place that do not run, unless
    /// one of those that were there at the start says the same: these are so at each start,
    /// and somebody may have looked at it.
    pub(super) async fn note_left_out(
        &self,
        place: (&Name, Environment),
        left_out: &[Arc<LeftOut>],
        alarms: &[AlarmRecord],
    ) -> Result<(), ControlError> {
        if left_out.is_empty() {
            return Ok(());
        }
        let condition = Condition::left_out(place, left_out);
        tracing::error!("{}", condition.text);
        if alarms.iter().any(|alarm| condition.was_told(alarm)) {
            return Ok(());
        }
        self.keep(condition, Open::NotYet).await
    }

    /// Keeps an alarm, unless one about the same is open already.
    async fn raise(&self, condition: Condition) -> Result<(), ControlError> {
        let store = self.gate.store().tenant(PLATFORM);
        let alarms = AlarmRecord::all(&store).await?;
        let open = match alarms.iter().any(|alarm| condition.is_open(alarm)) {
            true => Open::Already,
            false => Open::NotYet,
        };
        self.keep(condition, open).await
    }

    /// Each time is a record of its own, also when the alarm is open.
    async fn keep(&self, condition: Condition, open: Open) -> Result<(), ControlError> {
        let store = self.gate.store().tenant(PLATFORM);
        let id = AlarmId::random();
        let deployment = Principal::Platform(rustix::process::geteuid().as_raw());
        let call = self
            .begin_alarm(deployment, "alarm:raise", Some(id))
            .await?;
        let alarm = AlarmRecord {
            id,
            kind: condition.kind,
            subject: condition.subject,
            text: condition.text,
            raised_at: self.gate.clock().now(),
            acknowledged: None,
        };
        let changes = match open {
            Open::Already => Vec::new(),
            Open::NotYet => vec![alarm.change(&store).await?],
        };
        call.done(changes).await
    }

    /// Keeps components in quarantine that were so before a restart. Answers with every
    /// alarm.
    pub(super) async fn load_alarms(&self) -> Result<Vec<AlarmRecord>, ControlError> {
        let store = self.gate.store().tenant(PLATFORM);
        let alarms = AlarmRecord::all(&store).await?;
        for alarm in &alarms {
            if alarm.kind == AlarmKind::ComponentQuarantined
                && alarm.acknowledged.is_none()
                && let Ok(component) = alarm.subject.parse::<Digest>()
            {
                self.workers.quarantine(component, alarm.text.clone());
            }
        }
        Ok(alarms)
    }

    /// Lists alarms: those that are open first, of each the newest first.
    pub async fn alarms(&self, who: Principal) -> Result<Vec<Alarm>, ControlError> {
        let call = self.begin_alarm(who, "alarm:list", None).await?;
        let store = self.gate.store().tenant(PLATFORM);
        let alarms = listed(AlarmRecord::all(&store).await?);
        call.done(Vec::new()).await?;
        Ok(alarms.into_iter().map(shown).collect())
    }

    /// Notes that somebody has looked at an alarm. A component that was put into
    /// quarantine runs again.
    pub async fn acknowledge_alarm(&self, who: Principal, id: &str) -> Result<Alarm, ControlError> {
        let parsed: Result<AlarmId, _> = id.parse();
        let call = self
            .begin_alarm(who, "alarm:acknowledge", parsed.as_ref().ok().copied())
            .await?;
        let id = match parsed {
            Ok(id) => id,
            Err(error) => {
                return Err(call.failed(ControlError::Invalid(error.to_string())).await);
            }
        };
        let store = self.gate.store().tenant(PLATFORM);
        let found = AlarmRecord::all(&store)
            .await?
            .into_iter()
            .find(|alarm| alarm.id == id);
        let Some(mut alarm) = found else {
            let error = ControlError::NotFound(format!("there is no alarm `{id}`"));
            return Err(call.failed(error).await);
        };
        if alarm.acknowledged.is_some() {
            let error = ControlError::Conflict(format!("the alarm `{id}` is acknowledged already"));
            return Err(call.failed(error).await);
        }
        alarm.acknowledged = Some((self.gate.clock().now(), who));
        call.done(vec![alarm.change(&store).await?]).await?;
        if alarm.kind == AlarmKind::ComponentQuarantined
            && let Ok(component) = alarm.subject.parse::<Digest>()
        {
            self.workers.release(&component);
        }
        Ok(shown(alarm))
    }

    async fn begin_alarm(
        &self,
        who: Principal,
        operation: &'static str,
        id: Option<AlarmId>,
    ) -> Result<Call, ControlError> {
        let resource = Resource {
            kind: "alarm",
            id: id.map(|id| id.to_string()),
            scope: None,
        };
        let log = self.home_of(who);
        self.gate.begin(who, operation, resource, log).await
    }
}

/// So many as one answer lists. None that somebody has looked at hides one that is open.
fn listed(mut alarms: Vec<AlarmRecord>) -> Vec<AlarmRecord> {
    alarms.sort_by_key(|alarm| (alarm.acknowledged.is_some(), Reverse(alarm.raised_at)));
    alarms.truncate(LISTED_MAX as usize);
    alarms
}

fn shown(alarm: AlarmRecord) -> Alarm {
    Alarm {
        id: alarm.id,
        kind: alarm.kind.as_str().to_owned(),
        subject: alarm.subject,
        text: alarm.text,
        raised_at: alarm.raised_at.to_string(),
        acknowledged_at: alarm.acknowledged.map(|(at, _)| at.to_string()),
        acknowledged_by: alarm.acknowledged.map(|(_, who)| who.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use keyway_model::Timestamp;

    use super::*;

    fn alarm(micros: i64, acknowledged: Option<Principal>) -> AlarmRecord {
        let raised_at = Timestamp::from_micros(micros);
        AlarmRecord {
            id: AlarmId::random(),
            kind: AlarmKind::ForgedCode,
            subject: micros.to_string(),
            text: String::new(),
            raised_at,
            acknowledged: acknowledged.map(|who| (raised_at, who)),
        }
    }

    #[test]
    fn an_open_alarm_is_listed_before_all_that_somebody_has_looked_at() {
        let newer = (10..10 + i64::from(LISTED_MAX)).map(|at| alarm(at, Some(Principal::Nobody)));
        let open = [1, 2].map(|at| alarm(at, None));
        let listed = listed(newer.chain(open).collect());
        assert_eq!(listed.len(), LISTED_MAX as usize);
        let first = listed.iter().take(3).map(|alarm| alarm.raised_at.micros());
        let newest = 9 + i64::from(LISTED_MAX);
        assert_eq!(first.collect::<Vec<_>>(), [2, 1, newest]);
    }

    #[test]
    fn the_description_of_the_api_names_every_kind_of_alarm() {
        let shapes = include_str!("../api/types.rs");
        let (_, alarm) = shapes.split_once("pub struct Alarm {").unwrap_or_default();
        let (described, _) = alarm.split_once("pub kind:").unwrap_or_default();
        // Whoever asks for a kind that there is not is told all that there are.
        let refused = serde_json::from_str::<AlarmKind>("\"none\"");
        let told = refused.err().map(|error| error.to_string());
        let told = told.unwrap_or_default();
        let (_, kinds) = told.split_once("expected one of ").unwrap_or_default();
        let kinds: Vec<&str> = kinds.split('`').skip(1).step_by(2).collect();
        assert!(kinds.contains(&"forged-code"), "{told}");
        for name in kinds {
            assert!(described.contains(&format!("`{name}`")), "{name}");
            // What people read is what is stored.
            let kind: Option<AlarmKind> = serde_json::from_str(&format!("\"{name}\"")).ok();
            assert_eq!(kind.map(AlarmKind::as_str), Some(name));
        }
    }
}
