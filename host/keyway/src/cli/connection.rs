//! `keyway connection`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::args::{ConnectionVerb, Global, TlsSource};
use super::client::Client;
use super::{credential, output};
use crate::api::types::{Checked, Connection, NewConnection, NewTls};

pub(crate) fn run(global: &Global, verb: ConnectionVerb) -> Result<ExitCode> {
    let client = Client::new(global)?;
    match verb {
        ConnectionVerb::Create {
            name,
            connector,
            parameters,
            hosts,
            credential: source,
            tls,
        } => {
            let secret = credential::read(&source)?;
            let credential = secret
                .map(|secret| String::from_utf8(secret.expose().to_vec()))
                .transpose()
                .context("the credential is not UTF-8 text")?;
            let new = NewConnection {
                name,
                connector,
                parameters: pairs(&parameters)?,
                credential,
                hosts: hosts.into_iter().collect(),
                tls: read_tls(&tls)?,
            };
            let made: Connection = client.post(&client.scoped("connections")?, &new)?;
            if global.json {
                output::json(&made)?;
            } else {
                output::say(format_args!(
                    "Created connection {} ({}) for {}.",
                    made.name, made.id, made.connector
                ));
            }
        }
        ConnectionVerb::List => {
            let all: Vec<Connection> = client.get(&client.scoped("connections")?)?;
            if global.json {
                output::json(&all)?;
            } else {
                let rows = all.iter().map(row).collect();
                output::table(
                    ["name", "connector", "parameters", "credential", "created"],
                    rows,
                    "There is no connection yet.",
                );
            }
        }
        ConnectionVerb::Check { name } => {
            let checked: Checked =
                client.post(&client.scoped(&format!("connections/{name}/check"))?, &())?;
            if global.json {
                output::json(&checked)?;
            } else if checked.ok {
                output::say(format_args!("Connection {name} works: {}", checked.message));
            } else {
                output::say(format_args!(
                    "Connection {name} does not work: {}",
                    checked.message
                ));
            }
            return Ok(if checked.ok {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is said about TLS, if anything.
fn read_tls(source: &TlsSource) -> Result<Option<NewTls>> {
    let TlsSource {
        ca_file,
        pins,
        client_certificate,
        client_key_file,
    } = source;
    let pem = |path: &PathBuf| {
        std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))
    };
    let key = |path: &PathBuf| {
        let secret = credential::read_secret_file(path)?;
        String::from_utf8(secret.expose().to_vec())
            .with_context(|| format!("{}: not a PEM text", path.display()))
    };
    let tls = NewTls {
        roots: ca_file.as_ref().map(pem).transpose()?,
        pins: pins.clone(),
        client_certificate: client_certificate.as_ref().map(pem).transpose()?,
        client_key: client_key_file.as_ref().map(key).transpose()?,
    };
    let is_empty = ca_file.is_none() && pins.is_empty() && client_certificate.is_none();
    Ok((!is_empty).then_some(tls))
}

fn row(connection: &Connection) -> [String; 5] {
    let parameters: Vec<String> = connection
        .parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    [
        connection.name.to_string(),
        connection.connector.to_string(),
        parameters.join(" "),
        if connection.has_credential {
            "•••"
        } else {
            "none"
        }
        .to_owned(),
        output::time(&connection.created_at),
    ]
}

/// `NAME=VALUE` pairs.
pub(crate) fn pairs(given: &[String]) -> Result<BTreeMap<String, String>> {
    given
        .iter()
        .map(|pair| {
            let (name, value) = pair
                .split_once('=')
                .with_context(|| format!("--parameter {pair}: write NAME=VALUE"))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}
