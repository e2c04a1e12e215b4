//! What an alarm says before it is kept, and how one is kept that the store refuses.
//!
//! Nothing that happened is dropped: a full disk must not hide that code got out of its
//! sandbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use keyway_gate::{AlarmKind, AlarmRecord, ControlError, LeftOut};
use keyway_model::{Digest, Environment, Name};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::workers::Notice;

/// Connectors that are left out and that a text names, and how much of what is wrong with
/// each: `connector list` shows them all.
const NAMED_IN_TEXT: usize = 4;
const WHY_CHARS: usize = 200;

/// Something that a person must see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// What it is.
    pub(super) kind: AlarmKind,
    /// Which thing it is about.
    pub(super) subject: String,
    /// What has happened, for people.
    pub(super) text: String,
}

impl Condition {
    /// Something that happened to workers.
    pub(super) fn of_notice(notice: Notice) -> Self {
        Self {
            kind: notice.kind(),
            subject: notice.subject(),
            text: notice.text(),
        }
    }

    /// A component's code in the cache was not ours.
    pub(super) fn forged(component: Digest) -> Self {
        Self {
            kind: AlarmKind::ForgedCode,
            subject: component.to_string(),
            text: format!(
                "compiled code in the cache does not carry our MAC; it was deleted, and the \
                 component {component} is compiled again. See who can write to the data directory"
            ),
        }
    }

    /// Installed connectors of one place do not run. The same ones give the same text.
    pub(super) fn left_out(
        (workspace, environment): (&Name, Environment),
        left_out: &[Arc<LeftOut>],
    ) -> Self {
        let mut all: Vec<_> = left_out.iter().collect();
        all.sort_by(|a, b| {
            let (a, b) = (&a.record, &b.record);
            (&a.name, a.installed_at, a.digest).cmp(&(&b.name, b.installed_at, b.digest))
        });
        let named = all.iter().take(NAMED_IN_TEXT).map(|one| {
            let (record, why) = (&one.record, one.why.chars().take(WHY_CHARS));
            let why: String = why.collect();
            format!(
                "`{}` {} ({}): {why}",
                record.name, record.version, record.digest
            )
        });
        let mut named = named.collect::<Vec<_>>().join("; ");
        let more = all.len().saturating_sub(NAMED_IN_TEXT);
        if more > 0 {
            named.push_str(&format!("; and {more} more"));
        }
        Self {
            kind: AlarmKind::ConnectorLeftOut,
            subject: format!("{workspace}/{environment}"),
            text: format!(
                "workspace `{workspace}`, environment {environment}: connectors that were \
                 installed under wider limits are left out, since their manifests are not taken \
                 any more: {named}. Where one of them was approved last, calls by its name are \
                 refused until another version is approved or its approval is revoked"
            ),
        }
    }

    /// Whether this alarm is about the same, and nobody has looked at it.
    pub(super) fn is_open(&self, alarm: &AlarmRecord) -> bool {
        alarm.kind == self.kind && alarm.subject == self.subject && alarm.acknowledged.is_none()
    }

    /// Whether this alarm says the same, also when somebody has looked at it.
    pub(super) fn was_told(&self, alarm: &AlarmRecord) -> bool {
        alarm.kind == self.kind && alarm.subject == self.subject && alarm.text == self.text
    }
}

/// Keeps what is told, one after the other, each again and again until it is kept. What
/// comes in between waits once for each kind and subject.
pub(super) async fn keep_each<T, F>(
    mut told: UnboundedReceiver<T>,
    condition_of: fn(T) -> Condition,
    pause: Duration,
    keep: impl Fn(Condition) -> F,
) where
    F: Future<Output = Result<(), ControlError>>,
{
    while let Some(one) = told.recv().await {
        let mut waiting = VecDeque::from([condition_of(one)]);
        while let Some(first) = waiting.front() {
            let kept = keep(first.clone()).await;
            match kept {
                Ok(()) => drop(waiting.pop_front()),
                Err(error) => {
                    tracing::error!(condition = ?first, %error, "an alarm cannot be kept; trying again");
                    tokio::time::sleep(pause).await;
                    merge(&mut waiting, &mut told, condition_of);
                }
            }
        }
    }
}

/// Takes what has come, but for what waits already.
fn merge<T>(
    waiting: &mut VecDeque<Condition>,
    told: &mut UnboundedReceiver<T>,
    condition_of: fn(T) -> Condition,
) {
    while let Ok(one) = told.try_recv() {
        let new = condition_of(one);
        let waits = waiting
            .iter()
            .any(|known| known.kind == new.kind && known.subject == new.subject);
        if !waits {
            waiting.push_back(new);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::ready;

    use keyway_authz::Principal;
    use keyway_gate::resource::ConnectorRecord;
    use keyway_model::Timestamp;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    fn component(number: u8) -> Digest {
        Digest::of(&[number])
    }

    /// The subjects that are kept of these components, in a store that refuses at first,
    /// and how often one was tried.
    async fn kept(components: &[u8], refusals: usize) -> (Vec<String>, usize) {
        let (teller, told) = unbounded_channel();
        for number in components {
            teller.send(component(*number)).unwrap();
        }
        drop(teller);
        let (kept, tries) = (RefCell::new(Vec::new()), Cell::new(0));
        let keep = |condition: Condition| {
            tries.set(tries.get() + 1);
            if tries.get() <= refusals {
                return ready(Err(ControlError::Internal("the disk is full".to_owned())));
            }
            kept.borrow_mut().push(condition.subject);
            ready(Ok(()))
        };
        keep_each(told, Condition::forged, Duration::ZERO, keep).await;
        (kept.into_inner(), tries.get())
    }

    fn subjects(components: &[u8]) -> Vec<String> {
        let all = components.iter();
        all.map(|number| component(*number).to_string()).collect()
    }

    #[tokio::test]
    async fn an_alarm_that_the_store_refuses_is_tried_until_it_is_kept() {
        assert_eq!(kept(&[1], 3).await, (subjects(&[1]), 4));
        // What waits meanwhile waits once, in the order in which it came.
        let (told, tries) = kept(&[1, 1, 2, 1, 2, 3, 2], 3).await;
        assert_eq!((told, tries), (subjects(&[1, 2, 3]), 6));
        // Nothing is merged where nothing has to wait.
        assert_eq!(kept(&[1, 1, 2], 0).await, (subjects(&[1, 1, 2]), 3));
    }

    fn left_out(count: u8) -> Vec<Arc<LeftOut>> {
        let one = |number: u8| {
            let record = ConnectorRecord {
                digest: component(number),
                name: "orders".parse().unwrap(),
                version: format!("0.{number}.0"),
                manifest: String::new(),
                imports: Vec::new(),
                bytes: 0,
                installed_at: Timestamp::from_micros(number.into()),
                installed_by: Principal::Nobody,
            };
            let why = format!("too long{}", "!".repeat(100_000));
            Arc::new(LeftOut { record, why })
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn connectors_of_a_place_that_are_left_out_give_one_short_text_in_whatever_order() {
        let workspace: Name = "acme".parse().unwrap();
        let of =
            |all: &[Arc<LeftOut>]| Condition::left_out((&workspace, Environment::Development), all);
        let mut all = left_out(200);
        let told = of(&all);
        assert_eq!(told.subject, "acme/development");
        assert!(told.text.contains("`orders` 0.0.0"), "{}", told.text);
        assert!(told.text.contains("too long!"), "{}", told.text);
        assert!(told.text.contains("and 196 more"), "{}", told.text);
        assert_eq!(told.text.matches("sha256:").count(), NAMED_IN_TEXT);
        assert!(told.text.len() < 2_000, "{}", told.text.len());
        all.reverse();
        assert_eq!(of(&all), told);
        let fewer = of(&left_out(4));
        assert_ne!(fewer.text, told.text);
        assert!(!fewer.text.contains(" more."), "{}", fewer.text);
    }
}
