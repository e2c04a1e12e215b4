//! The definitions of recipes in use, each parsed once.
//!
//! Of a recipe, the version in force is kept, and each other one as long as a job
//! runs of it: what is held grows with the recipes and the jobs there are, never with
//! the versions that there have been.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use keyway_gate::resource::RecipeRecord;
use keyway_model::{RecipeId, Scope};
use parking_lot::Mutex;

use crate::definition::{Definition, DefinitionError};
use crate::driver::{DriveError, Jobs};

/// A recipe, wherever it is.
type Key = (Scope, RecipeId);

/// The definitions that are at hand.
#[derive(Debug, Default)]
pub(crate) struct Definitions(Mutex<HashMap<Key, Versions>>);

/// Those of one recipe.
#[derive(Debug, Default)]
struct Versions {
    in_force: Option<(u32, Arc<Definition>)>,
    /// Held up by the jobs that run of them.
    others: HashMap<u32, Weak<Definition>>,
}

impl Jobs {
    /// The definition of a recipe as it is in force.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`], if what is stored of it cannot be read.
    pub fn definition_in_force(
        &self,
        scope: Scope,
        recipe: &RecipeRecord,
    ) -> Result<Arc<Definition>, DefinitionError> {
        let key = (scope, recipe.id);
        if let Some(known) = self.definitions.known(key, recipe.version) {
            return Ok(known);
        }
        let definition = Arc::new(Definition::from_json(&recipe.definition)?);
        self.definitions
            .put_in_force(key, recipe.version, &definition);
        Ok(definition)
    }

    /// The definition of the version that a job is of; another may be in force.
    pub(crate) async fn definition(
        &self,
        scope: Scope,
        in_force: &RecipeRecord,
        version: u32,
    ) -> Result<Arc<Definition>, DriveError> {
        if in_force.version == version {
            return Ok(self.definition_in_force(scope, in_force)?);
        }
        let key = (scope, in_force.id);
        if let Some(known) = self.definitions.known(key, version) {
            return Ok(known);
        }
        let store = self.gate.store().tenant(scope);
        let record: Option<RecipeRecord> = store.recipe_version(in_force.id, version).await?;
        let record = record.ok_or(DriveError::NoRecipe)?;
        let definition = Arc::new(Definition::from_json(&record.definition)?);
        self.definitions.lend(key, version, &definition);
        Ok(definition)
    }
}

impl Definitions {
    fn known(&self, recipe: Key, version: u32) -> Option<Arc<Definition>> {
        let recipes = self.0.lock();
        let versions = recipes.get(&recipe)?;
        match &versions.in_force {
            Some((known, definition)) if *known == version => Some(Arc::clone(definition)),
            _ => versions.others.get(&version)?.upgrade(),
        }
    }

    /// Keeps a version until a newer one is in force. Whoever comes with one that no
    /// longer is, has looked before that.
    fn put_in_force(&self, recipe: Key, version: u32, definition: &Arc<Definition>) {
        let mut recipes = self.0.lock();
        let versions = recipes.entry(recipe).or_default();
        match &mut versions.in_force {
            Some((known, _)) if *known > version => versions.lend(version, definition),
            in_force => {
                if let Some((before, old)) = in_force.replace((version, Arc::clone(definition))) {
                    versions.lend(before, &old);
                }
            }
        }
    }

    /// Keeps a version as long as somebody has it.
    fn lend(&self, recipe: Key, version: u32, definition: &Arc<Definition>) {
        let mut recipes = self.0.lock();
        recipes.entry(recipe).or_default().lend(version, definition);
    }
}

impl Versions {
    fn lend(&mut self, version: u32, definition: &Arc<Definition>) {
        self.others.retain(|_, other| other.strong_count() > 0);
        self.others.insert(version, Arc::downgrade(definition));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use keyway_model::recipe::{Format, Recipe};
    use keyway_model::{Environment, TenantId};

    use super::*;
    use crate::compile;
    use crate::machine::oracle;

    fn definition() -> Arc<Definition> {
        let text = "recipe: test\ntrigger: { webhook: {} }\nsteps:\n- { id: one, transform: 1 }\n";
        let recipe = Recipe::parse(text, Format::Yaml).unwrap();
        let answer = oracle::check(&compile::check_request(&recipe));
        Arc::new(compile::finish(&recipe, &answer).unwrap())
    }

    fn recipe(number: u128) -> Key {
        let scope = Scope {
            tenant: TenantId::from_bits(1),
            environment: Environment::Development,
        };
        (scope, RecipeId::from_bits(number))
    }

    #[test]
    fn definitions_of_versions_that_no_job_runs_are_let_go() {
        let definitions = Definitions::default();
        let of_a_job = definition();
        definitions.put_in_force(recipe(1), 1, &of_a_job);
        let mut seen = Vec::new();
        for version in 2..=50 {
            let next = definition();
            definitions.put_in_force(recipe(1), version, &next);
            seen.push(Arc::downgrade(&next));
        }
        let (last, before) = seen.split_last().unwrap();
        assert!(
            last.upgrade().is_some(),
            "it is in force, with or without a job"
        );
        assert!(before.iter().all(|old| old.upgrade().is_none()));
        let known = definitions.known(recipe(1), 1).unwrap();
        assert!(Arc::ptr_eq(&known, &of_a_job), "a job runs of it");
        drop((known, of_a_job));
        assert!(definitions.known(recipe(1), 1).is_none());
        definitions.put_in_force(recipe(1), 51, &definition());
        let kept = definitions.0.lock();
        let others = &kept.get(&recipe(1)).unwrap().others;
        assert!(others.len() <= 1, "{others:?}");
    }

    #[test]
    fn a_version_in_force_is_parsed_once_and_an_older_one_never_takes_its_place() {
        let definitions = Definitions::default();
        let (newer, older, others) = (definition(), definition(), definition());
        definitions.put_in_force(recipe(1), 2, &newer);
        definitions.put_in_force(recipe(2), 2, &others);
        definitions.put_in_force(recipe(1), 1, &older);
        definitions.lend(recipe(3), 7, &older);
        for (key, version, expected) in [
            (recipe(1), 2, &newer),
            (recipe(1), 1, &older),
            (recipe(2), 2, &others),
            (recipe(3), 7, &older),
        ] {
            let known = definitions.known(key, version).unwrap();
            assert!(Arc::ptr_eq(&known, expected), "{key:?} {version}");
        }
        drop((newer, older));
        assert!(definitions.known(recipe(1), 2).is_some());
        assert!(definitions.known(recipe(1), 1).is_none());
        assert!(definitions.known(recipe(3), 7).is_none());
    }
}
