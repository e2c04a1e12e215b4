//! Recipes: validate, apply, list, show, start, stop.

use std::sync::Arc;

use aws_lc_rs::rand;
use keyway_gate::resource::{NewVersion, RecipeRecord};
use keyway_gate::{ControlError, Presence, View};
use keyway_jobs::EvaluateError;
use keyway_jobs::compile::{self, CompileError};
use keyway_model::manifest::Manifest;
use keyway_model::recipe::{
    Format, Recipe, RecipeError, RecipeErrors, Reference, ReferenceKind, Trigger,
};
use keyway_model::{Digest, Name, RecipeId, Scope};

use super::making::Kind;
use super::{Allowed, Caller, Deployment};
use crate::api::types::{self, RecipeDetail, RecipeText};

/// Random bits in a webhook's path.
const WEBHOOK_BYTES: usize = 32;

impl Deployment {
    /// Checks a recipe against what is installed, and stores nothing.
    pub async fn validate_recipe(
        &self,
        caller: Caller,
        recipe: RecipeText,
        presence: &Presence,
    ) -> Result<String, ControlError> {
        let allowed = self
            .begin(&caller, "recipe:validate", "recipe", None)
            .await?;
        let scope = allowed.scope;
        let view = self.view(scope);
        match self.compiled(scope, &view, &recipe.text, presence).await {
            Ok((recipe, _)) => allowed.answer(recipe.name.to_string()).await,
            Err(error) => allowed.fail(error).await,
        }
    }

    /// Stores a recipe as its next version, and starts it if it is new.
    pub async fn apply_recipe(
        self: &Arc<Self>,
        caller: Caller,
        text: RecipeText,
        presence: &Presence,
    ) -> Result<types::Recipe, ControlError> {
        let allowed = self.begin(&caller, "recipe:apply", "recipe", None).await?;
        let scope = allowed.scope;
        let view = self.view(scope);
        let compiled = self.compiled(scope, &view, &text.text, presence).await;
        let (recipe, definition) = match compiled {
            Ok(compiled) => compiled,
            Err(error) => return allowed.fail(error).await,
        };
        let is_new = view.recipe(&recipe.name).is_none();
        let place = is_new.then(|| self.place_for(Kind::Recipe, &allowed));
        let _place = match place.transpose() {
            Ok(place) => place,
            Err(over) => return Err(allowed.call.over(over).await),
        };
        let record = self.next_version(&view, &recipe, definition, text.text, &allowed)?;
        let store = self.gate.store().tenant(scope);
        let changes = record.changes(&store, NewVersion::Yes).await?;
        allowed.call.done(changes).await?;
        let answer = self.shown_recipe(&record);
        self.put_in_force(scope, record);
        Ok(answer)
    }

    /// Parses a recipe, checks what it names, and compiles its expressions in
    /// the sandbox.
    async fn compiled(
        &self,
        scope: Scope,
        view: &View,
        text: &str,
        presence: &Presence,
    ) -> Result<(Recipe, String), ControlError> {
        let recipe = Recipe::parse(text, Format::Detect).map_err(told)?;
        let references = recipe.references();
        let found: Vec<RecipeError> = references
            .iter()
            .filter_map(|reference| missing(view, reference))
            .collect();
        if let Some(errors) = RecipeErrors::of(found) {
            return Err(told(errors));
        }
        let request = compile::check_request(&recipe).to_string();
        let response = self
            .jobs
            .runner()
            .check(scope, request, presence)
            .await
            .map_err(|error| match error {
                EvaluateError::Cancelled => ControlError::Cancelled,
                EvaluateError::TooLong(error) => ControlError::Invalid(format!(
                    "the recipe is too long: {error}; divide it into several recipes"
                )),
                EvaluateError::WorkerGone | EvaluateError::Failed(_) | _ => {
                    ControlError::Internal(error.to_string())
                }
            })?;
        let definition = compile::finish(&recipe, &response).map_err(not_compiled)?;
        let definition = definition
            .to_json()
            .map_err(|error| ControlError::Internal(error.to_string()))?;
        Ok((recipe, definition))
    }

    fn next_version(
        &self,
        view: &View,
        recipe: &Recipe,
        definition: String,
        text: String,
        allowed: &Allowed,
    ) -> Result<RecipeRecord, ControlError> {
        let before = view.recipe(&recipe.name);
        let webhook = match (
            &recipe.trigger,
            before.and_then(|before| before.webhook.clone()),
        ) {
            (Trigger::Poll(_), _) => None,
            (Trigger::Webhook(_), Some(path)) => Some(path),
            (Trigger::Webhook(_), None) => Some(random_path()?),
        };
        Ok(RecipeRecord {
            id: before.map_or_else(RecipeId::random, |before| before.id),
            name: recipe.name.clone(),
            version: before.map_or(1, |before| before.version.saturating_add(1)),
            text,
            definition,
            owner: allowed.principal,
            applied_at: self.gate.clock().now(),
            webhook,
            started: before.is_none_or(|before| before.started),
            revision: before.map_or(1, |before| before.revision + 1),
        })
    }

    /// Makes a version the one that takes events.
    pub(super) fn put_in_force(self: &Arc<Self>, scope: Scope, record: RecipeRecord) {
        let hash_of = |path: &String| *Digest::of(path.as_bytes()).as_bytes();
        let retired = self.view(scope).recipe_by_id(record.id).cloned();
        let retired = retired.and_then(|before| before.webhook.as_ref().map(hash_of));
        let taken = record.webhook.as_ref().map(hash_of);
        {
            let mut hooks = self.hooks.write();
            if let Some(retired) = retired {
                hooks.remove(&retired);
            }
            if let Some(taken) = taken {
                hooks.insert(taken, (scope, record.id));
            }
        }
        self.gate
            .registry()
            .update(scope, |view| view.put_recipe(record.clone()));
        self.jobs.poll(scope, &record);
    }

    /// Lists recipes.
    pub async fn recipes(&self, caller: Caller) -> Result<Vec<types::Recipe>, ControlError> {
        let allowed = self.begin(&caller, "recipe:list", "recipe", None).await?;
        let all = self
            .view(allowed.scope)
            .recipes()
            .iter()
            .map(|r| self.shown_recipe(r))
            .collect();
        allowed.answer(all).await
    }

    /// Shows one with its text.
    pub async fn recipe(&self, caller: Caller, name: &str) -> Result<RecipeDetail, ControlError> {
        let allowed = self
            .begin(&caller, "recipe:show", "recipe", Some(name.to_owned()))
            .await?;
        let view = self.view(allowed.scope);
        let Some(record) = find(&view, name) else {
            return allowed.fail(no_recipe(name)).await;
        };
        let detail = RecipeDetail {
            recipe: self.shown_recipe(&record),
            text: record.text.clone(),
        };
        allowed.answer(detail).await
    }

    /// Starts or stops one.
    pub async fn switch_recipe(
        self: &Arc<Self>,
        caller: Caller,
        name: &str,
        operation: &'static str,
    ) -> Result<types::Recipe, ControlError> {
        let allowed = self
            .begin(&caller, operation, "recipe", Some(name.to_owned()))
            .await?;
        let scope = allowed.scope;
        let view = self.view(scope);
        let Some(record) = find(&view, name) else {
            return allowed.fail(no_recipe(name)).await;
        };
        let started = operation == "recipe:start";
        if record.started == started {
            let shown = self.shown_recipe(&record);
            let why = format!("nothing changes: it is {} already", shown.state);
            allowed.call.nothing_to_do(why).await?;
            return Ok(shown);
        }
        let record = RecipeRecord {
            started,
            revision: record.revision + 1,
            ..RecipeRecord::clone(&record)
        };
        let changes = record
            .changes(&self.gate.store().tenant(scope), NewVersion::No)
            .await?;
        allowed.call.done(changes).await?;
        let answer = self.shown_recipe(&record);
        self.put_in_force(scope, record);
        Ok(answer)
    }

    fn shown_recipe(&self, record: &RecipeRecord) -> types::Recipe {
        let base = self.webhook_base.read();
        types::Recipe {
            id: record.id,
            name: record.name.clone(),
            version: record.version,
            state: if record.started { "started" } else { "stopped" }.to_owned(),
            trigger: if record.webhook.is_some() {
                "webhook"
            } else {
                "poll"
            }
            .to_owned(),
            webhook_url: record
                .webhook
                .as_ref()
                .map(|path| format!("{base}/hooks/{path}")),
            owner: record.owner.to_string(),
            applied_at: record.applied_at.to_string(),
        }
    }
}

fn find(view: &View, name: &str) -> Option<Arc<RecipeRecord>> {
    view.recipe(&name.parse::<Name>().ok()?).cloned()
}

fn no_recipe(name: &str) -> ControlError {
    ControlError::NotFound(format!(
        "there is no recipe `{}`",
        name.chars().take(80).collect::<String>()
    ))
}

fn random_path() -> Result<String, ControlError> {
    let mut bytes = [0; WEBHOOK_BYTES];
    rand::fill(&mut bytes)
        .map_err(|_| ControlError::Internal("the random source failed".to_owned()))?;
    Ok(hex::encode(bytes))
}

fn told(errors: RecipeErrors) -> ControlError {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    ControlError::Invalid(lines.join("\n"))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else it is, it is not the recipe's fault"
)]
fn not_compiled(error: CompileError) -> ControlError {
    match error {
        CompileError::Recipe(errors) => told(errors),
        other => ControlError::Internal(other.to_string()),
    }
}

/// What is wrong with what a recipe names, if something is.
fn missing(view: &View, reference: &Reference<'_>) -> Option<RecipeError> {
    let path = reference
        .step
        .map_or("trigger".to_owned(), |step| format!("steps.{step}"));
    let error = |message: String, remedy: String| {
        Some(RecipeError::new(reference.place, path, message, remedy))
    };
    let installed = view
        .connectors()
        .into_iter()
        .filter(|c| c.record.name == *reference.connector);
    let Some(connector) = installed.max_by_key(|c| c.record.installed_at) else {
        let known: Vec<String> = view
            .connectors()
            .iter()
            .map(|c| c.record.name.to_string())
            .collect();
        return error(
            format!("no connector `{}` is installed", reference.connector),
            format!("install it, or name one of: {}", list(&known)),
        );
    };
    if let Some((kind, name, known)) = unknown_part(&connector.manifest, &reference.kind) {
        return error(
            format!("connector `{}` has no {kind} `{name}`", reference.connector),
            format!("it has: {}", list(&known)),
        );
    }
    let Some(connection) = view.connection(reference.connection) else {
        let fitting = view
            .connections()
            .into_iter()
            .filter(|c| c.connector == *reference.connector);
        let known: Vec<String> = fitting.map(|c| c.name.to_string()).collect();
        return error(
            format!("there is no connection `{}`", reference.connection),
            format!(
                "create it with `keyway connection create`, or name one of: {}",
                list(&known)
            ),
        );
    };
    if connection.connector != *reference.connector {
        return error(
            format!(
                "connection `{}` is for connector `{}`",
                connection.name, connection.connector
            ),
            format!("name a connection for `{}`", reference.connector),
        );
    }
    None
}

fn unknown_part<'r>(
    manifest: &Manifest,
    kind: &ReferenceKind<'r>,
) -> Option<(&'static str, &'r Name, Vec<String>)> {
    match kind {
        ReferenceKind::Action(name) if !manifest.actions.contains_key(name) => Some((
            "action",
            name,
            manifest.actions.keys().map(ToString::to_string).collect(),
        )),
        ReferenceKind::Trigger(name) if !manifest.triggers.contains_key(name) => Some((
            "trigger",
            name,
            manifest.triggers.keys().map(ToString::to_string).collect(),
        )),
        ReferenceKind::Action(_) | ReferenceKind::Trigger(_) => None,
    }
}

fn list(known: &[String]) -> String {
    if known.is_empty() {
        "none yet".to_owned()
    } else {
        known.join(", ")
    }
}
