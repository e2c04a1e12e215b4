//! Verbs that work on files: a deployment of its own, in a temporary
//! directory, for as long as the verb takes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use aws_lc_rs::rand;
use keyway_authz::Principal;
use keyway_gate::resource::ConnectionRecord;
use keyway_gate::{Basis, Connector, Ended, Presence, Purpose};
use keyway_ipc::{CallOutcome, Entrance};
use keyway_jobs::compile::{self, CompileError};
use keyway_model::manifest::{Manifest, section};
use keyway_model::recipe::{Format, Recipe};
use keyway_model::time::Clock;
use keyway_model::{Name, Scope};
use keyway_vault::Secret;
use serde_json::Value;

use crate::api::types::{NewApproval, NewConnection, NewWorkspace};
use crate::config::{AllowedPlace, Config, EgressConfig, WorkersConfig};
use crate::deployment::{Caller, Deployment, masked_call};
use crate::wire::{Plan, assemble};

/// What `connector call` was given.
pub(crate) struct LocalCall {
    pub(crate) artifact: Vec<u8>,
    pub(crate) action: String,
    pub(crate) input: Value,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) credential: Option<Secret>,
    pub(crate) ca_files: Vec<PathBuf>,
    pub(crate) allow: Vec<String>,
}

/// What a component imports, without running any of it.
pub(crate) fn imports(component: &[u8]) -> Result<Vec<String>> {
    Ok(keyway_runtime::imports(component)?)
}

/// Checks a recipe; what it names of a workspace is not looked up. Answers
/// with its name.
pub(crate) fn validate_recipe(text: &str) -> Result<Name> {
    let recipe = Recipe::parse(text, Format::Detect).map_err(|errors| lines(&errors))?;
    let request = compile::check_request(&recipe).to_string();
    let response = in_a_deployment(
        Config {
            workers: one_worker(),
            ..Config::default()
        },
        async |deployment| {
            Ok(deployment
                .jobs_engine()
                .runner()
                .check(keyway_store::PLATFORM, request, &Presence::always())
                .await?)
        },
    )?;
    match compile::finish(&recipe, &response) {
        Ok(_) => Ok(recipe.name),
        Err(CompileError::Recipe(errors)) => Err(lines(&errors)),
        Err(other) => Err(other.into()),
    }
}

fn lines(errors: &keyway_model::recipe::RecipeErrors) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    anyhow!("{}", lines.join("\n"))
}

/// Runs one action through worker, gate and egress, as a deployment would.
pub(crate) fn call(call: LocalCall) -> Result<Ended> {
    let allow = call
        .allow
        .iter()
        .map(|place| place_of(place))
        .collect::<Result<Vec<_>>>()?;
    let egress = EgressConfig {
        allow,
        ca_files: call.ca_files.clone(),
        ..EgressConfig::default()
    };
    let config = Config {
        egress,
        workers: one_worker(),
        ..Config::default()
    };
    in_a_deployment(config, async |deployment| run(&deployment, call).await)
}

fn one_worker() -> WorkersConfig {
    WorkersConfig {
        processes: 1,
        ..WorkersConfig::default()
    }
}

fn place_of(text: &str) -> Result<AllowedPlace> {
    let (host, port) = text
        .rsplit_once(':')
        .with_context(|| format!("--allow {text}: write HOST:PORT"))?;
    Ok(AllowedPlace {
        host: host.parse()?,
        port: port.parse()?,
        cleartext: false,
        addresses: Vec::new(),
    })
}

pub(crate) fn in_a_deployment<T>(
    config: Config,
    work: impl AsyncFnOnce(Arc<Deployment>) -> Result<T>,
) -> Result<T> {
    crate::serve::init_logs();
    let dir = tempfile::Builder::new().prefix("keyway-").tempdir()?;
    let plan = Plan {
        data: dir.path().join("data"),
        config,
        program: crate::confined::Confined::this_program(),
        clock: Clock::System,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { work(assemble(plan).await?).await })
}

/// Runs several calls of the same connector, one after the other.
pub(crate) fn calls(call: LocalCall, inputs: Vec<Value>) -> Result<Vec<Ended>> {
    let config = Config {
        workers: one_worker(),
        ..Config::default()
    };
    in_a_deployment(config, async |deployment| {
        let action = call.action.clone();
        let ready = prepare(&deployment, call).await?;
        let mut all = Vec::with_capacity(inputs.len());
        for input in &inputs {
            all.push(ready.invoke(&deployment, &action, input).await?);
        }
        Ok(all)
    })
}

async fn run(deployment: &Deployment, call: LocalCall) -> Result<Ended> {
    let (action, input) = (call.action.clone(), call.input.clone());
    let ready = prepare(deployment, call).await?;
    ready.invoke(deployment, &action, &input).await
}

/// A connection of a connector that was installed and approved.
pub(crate) struct Prepared {
    manifest: Manifest,
    connection: Name,
    who: Principal,
}

pub(crate) async fn prepare(deployment: &Deployment, call: LocalCall) -> Result<Prepared> {
    let LocalCall {
        artifact,
        parameters,
        credential,
        ..
    } = call;
    let manifest =
        Manifest::parse(section::extract(&artifact)?).map_err(|error| anyhow!("{error}"))?;
    let who = Principal::Platform(rustix::process::geteuid().as_raw());
    let workspace: Name = "local".parse()?;
    deployment
        .create_workspace(
            who,
            NewWorkspace {
                name: workspace.clone(),
            },
        )
        .await?;
    let caller = || Caller::at(who, (workspace.to_string(), "development".to_owned()));
    let installed = deployment
        .install(caller(), artifact, &Presence::always())
        .await?;
    let approval = NewApproval {
        why: "a local call".to_owned(),
        capabilities: None,
        days: None,
    };
    deployment
        .approve(caller(), &installed.digest.to_string(), approval)
        .await?;
    let credential = credential
        .map(|secret| String::from_utf8(secret.expose().to_vec()))
        .transpose()?;
    let connection: Name = "local".parse()?;
    let new = NewConnection {
        name: connection.clone(),
        connector: installed.name.clone(),
        parameters,
        credential,
        hosts: Default::default(),
        tls: None,
    };
    deployment.create_connection(caller(), new).await?;
    Ok(Prepared {
        manifest,
        connection,
        who,
    })
}

/// What a call finds of its connection.
struct Running {
    scope: Scope,
    connector: Arc<Connector>,
    connection: Arc<ConnectionRecord>,
}

impl Prepared {
    fn running(&self, deployment: &Deployment) -> Result<Running> {
        let gate = deployment.gate();
        let scope = *gate
            .registry()
            .scopes()
            .first()
            .context("the local workspace is there")?;
        let view = gate.registry().view(scope);
        let connection = view
            .connection(&self.connection)
            .context("the connection was created")?
            .clone();
        let (connector, _) = view
            .running(&connection.connector, gate.clock().now())
            .context("the connector was approved")?;
        Ok(Running {
            scope,
            connector: Arc::clone(connector),
            connection,
        })
    }

    /// What an invocation for `purpose` is opened with.
    pub(crate) fn basis(
        &self,
        deployment: &Deployment,
        action: &str,
        purpose: Purpose,
    ) -> Result<Basis> {
        let Running {
            scope,
            connector,
            connection,
        } = self.running(deployment)?;
        let actor = keyway_jobs::direct_actor(self.who, &connector, action);
        Ok(Basis {
            scope,
            connector,
            connection,
            purpose,
            actor,
        })
    }

    async fn invoke(&self, deployment: &Deployment, action: &str, input: &Value) -> Result<Ended> {
        let Self { manifest, .. } = self;
        let gate = deployment.gate();
        let (purpose, entrance, key) = match action {
            "check" => (Purpose::Check, Entrance::Check, None),
            name => {
                let parsed: Name = name.parse()?;
                let Some(declared) = manifest.actions.get(&parsed) else {
                    let known: Vec<&str> = manifest.actions.keys().map(Name::as_str).collect();
                    bail!(
                        "there is no action `{name}`; the connector has: {}, check",
                        known.join(", ")
                    );
                };
                self.running(deployment)?
                    .connector
                    .schemas
                    .check_action(&parsed, input)
                    .with_context(|| format!("the input of `{name}`"))?;
                // Of this call alone: with another's, an upstream would answer as it did then.
                let key = match declared.idempotency_header.clone() {
                    Some(header) => Some((header, call_key()?)),
                    None => None,
                };
                (
                    Purpose::Action(parsed),
                    Entrance::Action {
                        name: name.to_owned(),
                        input: input.to_string(),
                    },
                    key,
                )
            }
        };
        let basis = self.basis(deployment, action, purpose)?;
        let unit = gate.store().unit(basis.scope);
        let invocation = gate.open(basis, unit.clone(), key)?.with_bodies();
        let ended = deployment
            .jobs_engine()
            .runner()
            .run(&invocation, entrance)
            .await;
        unit.commit().await?;
        if let (CallOutcome::Value(json), Some(schema)) =
            (&ended.outcome, output_schema(manifest, action))
        {
            let value: Value =
                serde_json::from_str(json).context("the action's output is not JSON")?;
            keyway_gate::check_against(schema, &value)
                .with_context(|| format!("the output of `{action}` does not fit its schema"))?;
        }
        let declared = action.parse().ok();
        match declared.and_then(|name: Name| manifest.actions.get(&name)) {
            Some(declared) => Ok(masked_call(declared, input, ended)?),
            None => Ok(ended),
        }
    }
}

fn output_schema<'m>(manifest: &'m Manifest, action: &str) -> Option<&'m Value> {
    let name: Name = action.parse().ok()?;
    manifest
        .actions
        .get(&name)?
        .output
        .as_ref()
        .map(|schema| &schema.value)
}

/// A key that no other call has.
fn call_key() -> Result<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| anyhow!("the random source failed"))?;
    Ok(format!("local-call-{}", hex::encode(bytes)))
}
