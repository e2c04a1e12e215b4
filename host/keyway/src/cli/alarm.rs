//! `keyway alarm`.

use std::process::ExitCode;

use anyhow::Result;

use super::args::{AlarmVerb, Global};
use super::client::Client;
use super::output;
use crate::api::types::Alarm;

pub(crate) fn run(global: &Global, verb: AlarmVerb) -> Result<ExitCode> {
    let client = Client::new(global)?;
    match verb {
        AlarmVerb::List => {
            let alarms: Vec<Alarm> = client.get("/api/v1/alarms")?;
            if global.json {
                output::json(&alarms)?;
            } else {
                output::table(
                    ["alarm", "raised", "kind", "about", "what", "acknowledged"],
                    alarms.iter().map(row).collect(),
                    "There is no alarm.",
                );
            }
        }
        AlarmVerb::Ack { alarm } => {
            let acknowledged: Alarm =
                client.post(&format!("/api/v1/alarms/{alarm}/acknowledge"), &())?;
            if global.json {
                output::json(&acknowledged)?;
            } else {
                output::say(format_args!(
                    "Acknowledged {}: {} {}.",
                    acknowledged.id, acknowledged.kind, acknowledged.subject
                ));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(alarm: &Alarm) -> [String; 6] {
    [
        alarm.id.to_string(),
        alarm.raised_at.clone(),
        alarm.kind.clone(),
        alarm.subject.clone(),
        alarm.text.clone(),
        match (&alarm.acknowledged_at, &alarm.acknowledged_by) {
            (Some(at), Some(by)) => format!("{at} by {by}"),
            _ => "no".to_owned(),
        },
    ]
}
