//! `keyway job`.

use std::process::ExitCode;

use anyhow::Result;
use keyway_gate::Seen;
use serde_json::Value;

use super::args::{Global, JobVerb};
use super::client::Client;
use super::output;
use crate::api::types::{Job, JobDetail, JobStep, Rerun, RerunFrom};

pub(crate) fn run(global: &Global, verb: JobVerb) -> Result<ExitCode> {
    let client = Client::new(global)?;
    match verb {
        JobVerb::List {
            recipe,
            state,
            limit,
        } => {
            let mut query = format!("jobs?limit={limit}");
            if let Some(recipe) = recipe {
                query.push_str(&format!("&recipe={recipe}"));
            }
            if let Some(state) = state {
                query.push_str(&format!("&state={state}"));
            }
            let all: Vec<Job> = client.get(&client.scoped(&query)?)?;
            if global.json {
                output::json(&all)?;
            } else {
                output::table(
                    ["job", "recipe", "version", "state", "created", "why"],
                    all.iter().map(row).collect(),
                    "There is no job yet.",
                );
            }
        }
        JobVerb::Show { id } => {
            let detail: JobDetail = client.get(&client.scoped(&format!("jobs/{id}"))?)?;
            if global.json {
                output::json(&detail)?;
            } else {
                show(&detail);
            }
        }
        JobVerb::Rerun { id, from } => {
            let from = if from == "trigger" {
                RerunFrom::Trigger
            } else {
                RerunFrom::Failed
            };
            let job: Job = client.post(
                &client.scoped(&format!("jobs/{id}/rerun"))?,
                &Rerun { from },
            )?;
            if global.json {
                output::json(&job)?;
            } else {
                output::say(format_args!(
                    "Job {} reruns {id}: {}",
                    job.id,
                    job.state.as_str()
                ));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(job: &Job) -> [String; 6] {
    let why = job.failure.as_deref().unwrap_or_default();
    [
        job.id.to_string(),
        job.recipe.to_string(),
        job.recipe_version.to_string(),
        job.state.as_str().to_owned(),
        output::time(&job.created_at),
        why.chars().take(80).collect(),
    ]
}

fn show(detail: &JobDetail) {
    let job = &detail.job;
    output::say(format_args!(
        "Job {}: {} ({} version {})",
        job.id,
        job.state.as_str(),
        job.recipe,
        job.recipe_version
    ));
    if let Some(origin) = &job.reruns {
        output::say(format_args!("reruns {origin}"));
    }
    if let Some(failure) = &job.failure {
        output::say(format_args!("why: {failure}"));
    }
    output::say(format_args!("\ntrigger  {}", plain(&detail.trigger)));
    for step in &detail.steps {
        show_step(step);
    }
    if let Some(reply) = &detail.reply {
        output::say(format_args!("\nreply  {}", plain(reply)));
    }
}

fn show_step(step: &JobStep) {
    output::say(format_args!(
        "\n{}  {} — {}",
        step.key, step.kind, step.state
    ));
    for (word, value) in [("in ", &step.input), ("out", &step.output)] {
        if let Some(value) = value {
            output::say(format_args!("  {word} {}", plain(value)));
        }
    }
    if let Some(failure) = &step.failure {
        output::say(format_args!("  why {failure}"));
    }
    if let Some(seen) = &step.seen {
        show_seen(seen);
    }
}

/// What a guest did, for people.
pub(crate) fn show_seen(seen: &Seen) {
    for request in &seen.requests {
        let end = match (&request.failed, request.status) {
            (Some(failed), _) => failed.clone(),
            (None, Some(status)) => status.to_string(),
            (None, None) => "no answer".to_owned(),
        };
        output::say(format_args!(
            "  sent {} {} → {end} ({} µs)",
            request.method, request.url, request.micros
        ));
        output::say(format_args!("       allowed by {}", request.rule));
        if !request.headers.is_empty() {
            output::say(format_args!(
                "       headers {}",
                request.headers.join(", ")
            ));
        }
        if let Some(bodies) = &request.bodies {
            for (word, body) in [("request", &bodies.request), ("reply", &bodies.reply)] {
                let body = if body.is_empty() { "(no body)" } else { body };
                output::say(format_args!("       {word} {body}"));
            }
        }
        if request.masked > 0 {
            output::say(format_args!(
                "       masked {} occurrence(s) of the credential in the reply",
                request.masked
            ));
        }
    }
    for denial in &seen.denials {
        let reason = serde_json::to_value(denial.reason).unwrap_or_default();
        output::say(format_args!(
            "  denied {} ({})",
            denial.asked,
            reason.as_str().unwrap_or_default()
        ));
        output::say(format_args!("       {}", denial.remedy));
    }
    for line in &seen.log {
        output::say(format_args!("  log  {:?}: {}", line.level, line.message));
    }
    if seen.log_lines_dropped > 0 {
        output::say(format_args!(
            "  log  {} more lines were dropped for the limit",
            seen.log_lines_dropped
        ));
    }
}

/// JSON on one line, with a masked value as people see it.
pub(crate) fn plain(value: &Value) -> String {
    value.to_string().replace(r#"{"$masked":true}"#, "•••")
}
