//! `keyway connector`.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use keyway_ipc::CallOutcome;
use keyway_model::Digest;
use keyway_model::manifest::{Manifest, page, section};

use super::args::{CallLocally, ConnectorVerb, Global};
use super::client::Client;
use super::{connection, credential, output};
use crate::api::types::{Approval, ConnectorDetail, ConnectorSummary, NewApproval};

/// Columns of a capability page on a terminal.
const PAGE_COLUMNS: usize = 96;

pub(crate) fn run(global: &Global, verb: ConnectorVerb) -> Result<ExitCode> {
    match verb {
        ConnectorVerb::New { name } => {
            crate::scaffold::new(&name)?;
            if global.json {
                output::json(&serde_json::json!({ "connector": name, "path": name.as_str() }))?;
            } else {
                output::say(format_args!(
                    "Made {name}: src/lib.rs is the connector, connector.toml says what it may do.\n\
                     Next: cd {name} && keyway connector build && keyway connector inspect {name}.wasm"
                ));
            }
        }
        ConnectorVerb::Build {
            path,
            out,
            unchecked,
        } => {
            let built = crate::scaffold::build(&path, out.as_deref(), !unchecked)?;
            if global.json {
                output::json(&serde_json::json!({
                    "path": built.path, "bytes": built.bytes, "digest": built.digest,
                }))?;
            } else {
                output::say(format_args!(
                    "Built {} ({} bytes)\n{}",
                    built.path.display(),
                    built.bytes,
                    built.digest
                ));
            }
        }
        ConnectorVerb::Inspect { file } => inspect(global, &file)?,
        ConnectorVerb::Call(call) => return call_locally(global, &call),
        ConnectorVerb::Install { file } => {
            let client = Client::new(global)?;
            let bytes = read(&file)?;
            let installed: ConnectorSummary =
                client.post_bytes(&client.scoped("connectors")?, bytes)?;
            if global.json {
                output::json(&installed)?;
            } else {
                output::say(format_args!(
                    "Installed {} {} ({}).",
                    installed.name, installed.version, installed.state
                ));
                output::say(installed.digest);
                if installed.state != "approved" {
                    output::say(format_args!(
                        "It runs when it is approved: keyway connector approve {}",
                        installed.name
                    ));
                }
            }
        }
        ConnectorVerb::Approve {
            connector,
            digest,
            why,
            capabilities,
            days,
        } => {
            let capabilities = capabilities.map(|list| list.into_iter().collect());
            approve(
                global,
                &connector,
                digest,
                NewApproval {
                    why,
                    capabilities,
                    days,
                },
            )?;
        }
        ConnectorVerb::Revoke { digest } => {
            let client = Client::new(global)?;
            let revoked: Vec<Approval> =
                client.post(&client.scoped(&format!("connectors/{digest}/revoke"))?, &())?;
            if global.json {
                output::json(&revoked)?;
            } else {
                output::say(format_args!(
                    "Revoked {} approval(s) of {digest}; running jobs stop at their next host call.",
                    revoked.len()
                ));
            }
        }
        ConnectorVerb::List => list(global)?,
        ConnectorVerb::Show { connector } => {
            let client = Client::new(global)?;
            let detail: ConnectorDetail =
                client.get(&client.scoped(&format!("connectors/{connector}"))?)?;
            if global.json {
                output::json(&detail)?;
            } else {
                show(&detail);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))
}

fn inspect(global: &Global, file: &Path) -> Result<()> {
    let bytes = read(file)?;
    let text = section::extract(&bytes).with_context(|| file.display().to_string())?;
    let manifest = Manifest::parse(text).with_context(|| file.display().to_string())?;
    let imports = crate::local::imports(&bytes).with_context(|| file.display().to_string())?;
    let page = page::CapabilityPage::of(&manifest, Digest::of(&bytes), imports);
    if global.json {
        return output::json(&page);
    }
    output::say(page.render(PAGE_COLUMNS).trim_end());
    Ok(())
}

/// Shows the page and asks, unless the digest was given.
fn approve(
    global: &Global,
    connector: &str,
    digest: Option<Digest>,
    new: NewApproval,
) -> Result<()> {
    let client = Client::new(global)?;
    let detail: ConnectorDetail =
        client.get(&client.scoped(&format!("connectors/{connector}"))?)?;
    let installed = detail.summary.digest;
    match digest {
        Some(given) if given == installed => {}
        Some(given) => bail!(
            "--digest {given} is not that of {connector}, which is {installed}: read its page again"
        ),
        None => ask(&detail)?,
    }
    let approval: Approval = client.post(
        &client.scoped(&format!("connectors/{installed}/approve"))?,
        &new,
    )?;
    if global.json {
        return output::json(&approval);
    }
    let capabilities: Vec<_> = approval.capabilities.iter().map(String::as_str).collect();
    output::say(format_args!(
        "Approved {} {} for {}.",
        detail.summary.name,
        detail.summary.version,
        capabilities.join(", ")
    ));
    Ok(())
}

fn ask(detail: &ConnectorDetail) -> Result<()> {
    output::say(detail.page_text.trim_end());
    if !std::io::stdin().is_terminal() {
        bail!(
            "nobody to ask: read the page above, then pass --digest {}",
            detail.summary.digest
        );
    }
    output::say("\nApprove exactly this artifact? Type yes:");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() == "yes" {
        Ok(())
    } else {
        bail!("not approved")
    }
}

fn list(global: &Global) -> Result<()> {
    let client = Client::new(global)?;
    let all: Vec<ConnectorSummary> = client.get(&client.scoped("connectors")?)?;
    if global.json {
        return output::json(&all);
    }
    let rows = all
        .iter()
        .map(|c| {
            let digest = c.digest.to_string();
            let short = digest.get(..19).unwrap_or(&digest).to_owned();
            [
                c.name.to_string(),
                c.version.clone(),
                c.state.clone(),
                format!("{short}…"),
                output::time(&c.installed_at),
            ]
        })
        .collect();
    output::table(
        ["name", "version", "state", "digest", "installed"],
        rows,
        "There is no connector yet.",
    );
    Ok(())
}

fn show(detail: &ConnectorDetail) {
    output::say(detail.page_text.trim_end());
    output::say("");
    let rows = detail
        .approvals
        .iter()
        .map(|a| {
            let capabilities: Vec<_> = a.capabilities.iter().map(String::as_str).collect();
            let ends = match (&a.revoked_at, &a.until) {
                (Some(at), _) => format!("revoked {}", output::time(at)),
                (None, Some(until)) => format!("until {}", output::time(until)),
                (None, None) => "holds".to_owned(),
            };
            [
                output::time(&a.at),
                a.by.clone(),
                capabilities.join(","),
                a.why.clone(),
                ends,
            ]
        })
        .collect();
    output::table(
        ["approved", "by", "capabilities", "why", "state"],
        rows,
        "It was never approved.",
    );
}

fn call_locally(global: &Global, call: &CallLocally) -> Result<ExitCode> {
    let input = match &call.input {
        Some(path) => serde_json::from_slice(&read(path)?)
            .with_context(|| format!("{}: not JSON", path.display()))?,
        None => serde_json::json!({}),
    };
    let secret = call
        .credential_file
        .as_deref()
        .map(credential::read_secret_file)
        .transpose()?;
    let local = crate::local::LocalCall {
        artifact: read(&call.file)?,
        action: call.action.clone(),
        input,
        parameters: connection::pairs(&call.parameters)?,
        credential: secret,
        ca_files: call.ca.clone(),
        allow: call.allow.clone(),
    };
    let ended = crate::local::call(local)?;
    if global.json {
        output::json(&serde_json::json!({
            "outcome": outcome_json(&ended.outcome), "seen": ended.seen, "wall_us": ended.usage.wall_us,
            "memory_bytes": ended.usage.memory_bytes, "host_calls": ended.usage.host_calls,
        }))?;
    }
    let ok = matches!(ended.outcome, CallOutcome::Value(_));
    if !global.json {
        super::job::show_seen(&ended.seen);
        output::say(outcome_text(&ended.outcome));
        output::say(format_args!(
            "limits used: {:.1} ms of wall time, {} KiB of memory, {} host call(s), {} log line(s)",
            ended.usage.wall_us as f64 / 1000.0,
            ended.usage.memory_bytes / 1024,
            ended.usage.host_calls,
            ended.usage.log_lines
        ));
    }
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The outcome for programs: one member, whose name is the kind.
fn outcome_json(outcome: &CallOutcome) -> serde_json::Value {
    match outcome {
        CallOutcome::Value(json) => {
            serde_json::json!({ "output": serde_json::from_str::<serde_json::Value>(json).ok() })
        }
        CallOutcome::Failure(failure) => serde_json::json!({
            "failure": { "kind": failure.kind(), "message": failure.message() }
        }),
        CallOutcome::LogicError(text) => serde_json::json!({ "error": text }),
        CallOutcome::Trap(trap) => serde_json::json!({ "trap": trap.to_string() }),
        CallOutcome::Batch(batch) => serde_json::json!({ "events": batch.events.len() }),
    }
}

fn outcome_text(outcome: &CallOutcome) -> String {
    match outcome {
        CallOutcome::Value(json) => {
            format!("output {}", json.replace(r#"{"$masked":true}"#, "•••"))
        }
        CallOutcome::Failure(failure) => format!("failure {failure}"),
        CallOutcome::LogicError(text) => format!("error {text}"),
        CallOutcome::Trap(trap) => format!("trap {trap}"),
        CallOutcome::Batch(batch) => format!("{} event(s)", batch.events.len()),
    }
}
