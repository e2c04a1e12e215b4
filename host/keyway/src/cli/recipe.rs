//! `keyway recipe`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::args::{Global, RecipeVerb};
use super::client::Client;
use super::output;
use crate::api::types::{Recipe, RecipeDetail, RecipeText};

pub(crate) fn run(global: &Global, verb: RecipeVerb) -> Result<ExitCode> {
    match verb {
        RecipeVerb::Schema => output::json(&keyway_model::recipe::schema())?,
        RecipeVerb::Validate { file } => {
            let name = crate::local::validate_recipe(&read(&file)?)
                .map_err(|error| located(&file, &error))?;
            if global.json {
                output::json(&serde_json::json!({ "recipe": name, "valid": true }))?;
            } else {
                output::say(format_args!(
                    "{}: recipe `{name}` is valid.",
                    file.display()
                ));
            }
        }
        RecipeVerb::Apply { file } => {
            let client = Client::new(global)?;
            let path = client.scoped("recipes")?;
            let recipe: Recipe = client
                .post(&path, &RecipeText { text: read(&file)? })
                .map_err(|error| located(&file, &error))?;
            if global.json {
                output::json(&recipe)?;
            } else {
                output::say(format_args!(
                    "Applied recipe {} as version {} ({}).",
                    recipe.name, recipe.version, recipe.state
                ));
                if let Some(url) = &recipe.webhook_url {
                    let when = match recipe.state.as_str() {
                        "stopped" => format!(", after `keyway recipe start {}`", recipe.name),
                        _ => String::new(),
                    };
                    output::say(format_args!("Post events to {url}{when}"));
                }
            }
        }
        RecipeVerb::List => {
            let client = Client::new(global)?;
            let all: Vec<Recipe> = client.get(&client.scoped("recipes")?)?;
            if global.json {
                output::json(&all)?;
            } else {
                output::table(
                    ["name", "version", "state", "trigger", "applied"],
                    all.iter().map(row).collect(),
                    "There is no recipe yet.",
                );
            }
        }
        RecipeVerb::Show { name } => {
            let client = Client::new(global)?;
            let detail: RecipeDetail = client.get(&client.scoped(&format!("recipes/{name}"))?)?;
            if global.json {
                output::json(&detail)?;
            } else {
                output::say(format_args!(
                    "# {} version {}, {}",
                    detail.recipe.name, detail.recipe.version, detail.recipe.state
                ));
                if let Some(url) = &detail.recipe.webhook_url {
                    output::say(format_args!("# webhook: {url}"));
                }
                output::exact(detail.text.trim_end());
            }
        }
        RecipeVerb::Start { name } => switch(global, &name.to_string(), "start")?,
        RecipeVerb::Stop { name } => switch(global, &name.to_string(), "stop")?,
    }
    Ok(ExitCode::SUCCESS)
}

fn switch(global: &Global, name: &str, verb: &str) -> Result<()> {
    let client = Client::new(global)?;
    let recipe: Recipe = client.post(&client.scoped(&format!("recipes/{name}/{verb}"))?, &())?;
    if global.json {
        return output::json(&recipe);
    }
    output::say(format_args!("Recipe {} is {}.", recipe.name, recipe.state));
    Ok(())
}

fn row(recipe: &Recipe) -> [String; 5] {
    [
        recipe.name.to_string(),
        recipe.version.to_string(),
        recipe.state.clone(),
        recipe.trigger.clone(),
        output::time(&recipe.applied_at),
    ]
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))
}

/// Errors name lines; this puts the file's name before each.
fn located(file: &Path, error: &anyhow::Error) -> anyhow::Error {
    let lines: Vec<String> = error
        .to_string()
        .lines()
        .map(|line| format!("{}:{line}", file.display()))
        .collect();
    anyhow::anyhow!("the recipe was not accepted\n{}", lines.join("\n"))
}
