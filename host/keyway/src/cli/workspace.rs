//! `keyway workspace` and `keyway token`.

use std::process::ExitCode;

use anyhow::Result;

use super::args::{Global, TokenVerb, WorkspaceVerb};
use super::client::Client;
use super::output;
use crate::api::types::{CreatedToken, NewToken, NewWorkspace, Token, Workspace};

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
        WorkspaceVerb::List => {
            let all: Vec<Workspace> = client.get("/api/v1/workspaces")?;
            if global.json {
                output::json(&all)?;
            } else {
                let rows = all
                    .into_iter()
                    .map(|w| {
                        [
                            w.name.to_string(),
                            w.id.to_string(),
                            output::time(&w.created_at),
                        ]
                    })
                    .collect();
                output::table(
                    ["name", "id", "created"],
                    rows,
                    "There is no workspace yet.",
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
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
