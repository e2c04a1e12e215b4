//! `keyway workspace` and `keyway token`.

use std::process::ExitCode;

use anyhow::Result;
use keyway_model::Name;
use keyway_model::limit::LimitSet;

use super::args::{Global, LimitsVerb, TokenVerb, WorkspaceVerb};
use super::client::Client;
use super::output;
use crate::api::types::{
    CreatedToken, NewLimits, NewToken, NewWorkspace, Token, Workspace, WorkspaceLimit,
};

pub(crate) fn workspace(global: &Global, verb: WorkspaceVerb) -> Result<ExitCode> {
    let client = Client::new(global)?;
    match verb {
        WorkspaceVerb::Create { name } => {
            let made: Workspace = client.post("/api/v1/workspaces", &NewWorkspace { name })?;
            if global.json {
                output::json(&made)?;
            } else {
                output::say(format_args!(
                    "Created workspace {} ({}).",
                    made.name, made.id
                ));
            }
        }
        WorkspaceVerb::Limits(verb) => limits(global, &client, verb)?,
        WorkspaceVerb::List => {
            let all: Vec<Workspace> = client.get("/api/v1/workspaces")?;
            if global.json {
                output::json(&all)?;
            } else {
                table(&all);
            }
        }
        WorkspaceVerb::Show { name } => {
            let one: Workspace = client.get(&format!("/api/v1/workspaces/{name}"))?;
            if global.json {
                output::json(&one)?;
            } else {
                table(&[one]);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(workspaces: &[Workspace]) {
    let row = |one: &Workspace| {
        let created = output::time(&one.created_at);
        [one.name.to_string(), one.id.to_string(), created]
    };
    output::table(
        ["name", "id", "created"],
        workspaces.iter().map(row).collect(),
        "There is no workspace yet.",
    );
}

fn limits(global: &Global, client: &Client, verb: LimitsVerb) -> Result<()> {
    let path = |name: &Name| format!("/api/v1/workspaces/{name}/{}/limits", global.environment);
    let all: Vec<WorkspaceLimit> = match verb {
        LimitsVerb::Show { name } => client.get(&path(&name))?,
        LimitsVerb::Set { name, limits } => client.post(&path(&name), &new_limits(&limits)?)?,
    };
    if global.json {
        return output::json(&all);
    }
    let rows = all.iter().map(|limit| {
        [
            limit.name.to_string(),
            limit.unit.clone(),
            limit.platform.to_string(),
            limit.ceiling.to_string(),
            limit
                .workspace
                .map_or_else(String::new, |it| it.to_string()),
            limit.holds.to_string(),
        ]
    });
    let headers = ["limit", "unit", "platform", "ceiling", "workspace", "holds"];
    output::table(headers, rows.collect(), "There is no limit.");
    Ok(())
}

fn new_limits(entries: &[String]) -> Result<NewLimits> {
    let mut new = NewLimits::default();
    for entry in entries {
        match entry.strip_suffix("=default") {
            Some(name) => new.unset.push(name.parse()?),
            None => {
                let (name, value) = LimitSet::parse_entry(entry)?;
                new.set.set(name, value)?;
            }
        }
    }
    Ok(new)
}

pub(crate) fn token(global: &Global, verb: TokenVerb) -> Result<ExitCode> {
    let client = Client::new(global)?;
    match verb {
        TokenVerb::Create {
            role,
            label,
            days,
            all_environments,
        } => {
            let path = client.scoped("tokens")?;
            let workspace = path.split('/').nth(4).unwrap_or_default().parse()?;
            let new = NewToken {
                workspace,
                environment: (!all_environments).then_some(global.environment),
                role,
                label,
                expires_in_seconds: u64::from(days) * 86_400,
            };
            let made: CreatedToken = client.post("/api/v1/tokens", &new)?;
            if global.json {
                output::json(&made)?;
            } else {
                output::say(format_args!(
                    "Created token {} ({}), until {}.",
                    made.token.id,
                    made.token.role,
                    output::time(&made.token.expires_at)
                ));
                output::say("Its secret part is shown this once; keep it in a file of mode 0600:");
                output::say(&made.secret);
            }
        }
        TokenVerb::List => {
            let all: Vec<Token> = client.get("/api/v1/tokens")?;
            if global.json {
                output::json(&all)?;
            } else {
                let rows = all.iter().map(token_row).collect();
                output::table(
                    [
                        "id",
                        "workspace",
                        "environment",
                        "role",
                        "label",
                        "expires",
                        "state",
                    ],
                    rows,
                    "There is no token yet.",
                );
            }
        }
        TokenVerb::Revoke { id } => {
            let revoked: Token = client.post(&format!("/api/v1/tokens/{id}/revoke"), &())?;
            if global.json {
                output::json(&revoked)?;
            } else {
                output::say(format_args!("Revoked token {id}."));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn token_row(token: &Token) -> [String; 7] {
    [
        token.id.to_string(),
        token.workspace.to_string(),
        token
            .environment
            .map_or("all".to_owned(), |e| e.to_string()),
        token.role.clone(),
        token.label.clone(),
        output::time(&token.expires_at),
        if token.revoked { "revoked" } else { "valid" }.to_owned(),
    ]
}
