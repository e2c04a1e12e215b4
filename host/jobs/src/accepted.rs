//! A job that was accepted: what its caller can wait for.

use keyway_model::{JobId, JobState, Json};
use keyway_store::{TenantStore, Unit};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::driver::{DriveError, Run};
use crate::job::JobRecord;
use crate::machine::Reply;

/// What the caller of a webhook is told.
#[derive(Debug)]
pub enum Answer {
    /// The recipe's own reply, after it is durable.
    Reply(Reply),
    /// The job ended without a reply.
    Ended(JobState),
}

/// A job that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The job.
    pub id: JobId,
    /// The answer, if the recipe gives one; else the event is durable now.
    pub answer: Option<oneshot::Receiver<Answer>>,
    pub(crate) unit: Unit,
}

impl Accepted {
    /// Waits until the event is durable, for a caller that is told so before
    /// the answer.
    ///
    /// # Errors
    ///
    /// [`DriveError`]; then it may be lost.
    pub async fn make_durable(&self, store: &TenantStore) -> Result<(), DriveError> {
        self.unit.commit().await?;
        // What another task took out of the unit may still be on its way.
        let durable: Result<JobRecord, _> = store.job_record(self.id).await;
        Ok(durable.map(drop)?)
    }
}

/// The event of a webhook, which is the variable `trigger`, from its body.
///
/// # Errors
///
/// If the body is not JSON, or deeper than a reader takes.
pub fn webhook_event(body: &[u8]) -> Result<Json, serde_json::Error> {
    #[derive(Serialize)]
    struct Event {
        body: Json,
    }
    let body = Json::canonical(body)?;
    Json::of(&Event { body })
}

/// Tells the caller how the job ended.
pub(crate) fn answer(run: &mut Run, state: JobState) {
    let reply = run.machine.reply().cloned();
    tell(run, reply.map_or(Answer::Ended(state), Answer::Reply));
}

/// Tells the caller; one that has gone away misses the answer, not the job.
pub(crate) fn tell(run: &mut Run, answer: Answer) {
    if let Some(caller) = run.caller.take() {
        drop(caller.send(answer));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_event_is_the_body_as_it_was_sent_with_each_member_once() {
        let sent = br#" { "n" : 1.50, "a": [ 1e3, null, "\u00e9" ], "n" : 18446744073709551615 } "#;
        let body: Value = serde_json::from_slice(sent).unwrap();
        let event = webhook_event(sent).unwrap();
        assert_eq!(event.text(), json!({ "body": body }).to_string());
        assert_eq!(
            event.text(),
            r#"{"body":{"n":18446744073709551615,"a":[1000.0,null,"é"]}}"#
        );
        for unfit in ["", "{", "{} {}", &"[".repeat(200)] {
            assert!(webhook_event(unfit.as_bytes()).is_err(), "{unfit}");
        }
    }
}
