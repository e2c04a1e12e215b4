//! Alarms: raised by the deployment itself, listed and acknowledged by the
//! platform administrator.

use std::sync::Arc;

use keyway_authz::{Principal, Resource};
use keyway_gate::{AlarmKind, AlarmRecord, Call, ControlError};
use keyway_model::limit::LISTED_MAX;
use keyway_model::{AlarmId, Digest};
use keyway_store::PLATFORM;
use tokio::sync::mpsc;

use super::Deployment;
use crate::api::types::Alarm;
use crate::workers::Verdict;

impl Deployment {
    /// Raises an alarm for each component that is put into quarantine.
    pub(crate) async fn follow_verdicts(
        self: Arc<Self>,
        mut verdicts: mpsc::UnboundedReceiver<Verdict>,
    ) {
        while let Some(Verdict { component, why }) = verdicts.recv().await {
            let raised = self.raise(AlarmKind::ComponentQuarantined, component.to_string(), why);
            if let Err(error) = raised.await {
                // It stays in quarantine as long as this process lives.
                tracing::error!(%component, %error, "an alarm cannot be kept");
            }
        }
    }

    /// Raises an alarm for each component whose code in the cache was not ours.
    pub(crate) async fn follow_forged(
        self: Arc<Self>,
        mut forged: mpsc::UnboundedReceiver<Digest>,
    ) {
        while let Some(component) = forged.recv().await {
            let text = format!(
                "compiled code in the cache does not carry our MAC; it was deleted, and the \
                 component {component} is compiled again. See who can write to the data directory"
            );
            let raised = self.raise(AlarmKind::ForgedCode, component.to_string(), text);
            if let Err(error) = raised.await {
                tracing::error!(%component, %error, "an alarm cannot be kept");
            }
        }
    }

    /// Says that guests run under weaker confinement than they should.
    pub(crate) async fn note_weaker_workers(&self) -> Result<(), ControlError> {
        let missing = self.workers.missing();
        if missing.is_empty() {
            return Ok(());
        }
        let text = format!(
            "workers run without: {}; the configuration says dangerous_weaker_worker",
            missing.join(", ")
        );
        tracing::warn!("{text}");
        self.raise(AlarmKind::WeakerWorkers, "workers".to_owned(), text)
            .await
    }

    /// Keeps an alarm, unless the same is open already.
    async fn raise(
        &self,
        kind: AlarmKind,
        subject: String,
        text: String,
    ) -> Result<(), ControlError> {
        let store = self.gate.store().tenant(PLATFORM);
        let open = AlarmRecord::all(&store).await?;
        let is_open = open.iter().any(|alarm| {
            alarm.kind == kind && alarm.subject == subject && alarm.acknowledged.is_none()
        });
        // Each time is a record of its own, also when the alarm is open.
        let id = AlarmId::random();
        let deployment = Principal::Platform(rustix::process::geteuid().as_raw());
        let call = self
            .begin_alarm(deployment, "alarm:raise", Some(id))
            .await?;
        let alarm = AlarmRecord {
            id,
            kind,
            subject,
            text,
            raised_at: self.gate.clock().now(),
            acknowledged: None,
        };
        let changes = match is_open {
            true => Vec::new(),
            false => vec![alarm.change(&store).await?],
        };
        call.done(changes).await
    }

    /// Keeps components in quarantine that were so before a restart.
    pub(crate) async fn load_alarms(&self) -> Result<(), ControlError> {
        let store = self.gate.store().tenant(PLATFORM);
        for alarm in AlarmRecord::all(&store).await? {
            if alarm.kind == AlarmKind::ComponentQuarantined
                && alarm.acknowledged.is_none()
                && let Ok(component) = alarm.subject.parse::<Digest>()
            {
                self.workers.quarantine(component, alarm.text);
            }
        }
        Ok(())
    }

    /// Lists alarms, the newest first.
    pub async fn alarms(&self, who: Principal) -> Result<Vec<Alarm>, ControlError> {
        let call = self.begin_alarm(who, "alarm:list", None).await?;
        let store = self.gate.store().tenant(PLATFORM);
        let mut alarms = AlarmRecord::all(&store).await?;
        alarms.sort_by_key(|alarm| std::cmp::Reverse(alarm.raised_at));
        alarms.truncate(LISTED_MAX as usize);
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
