//! What a new version could do that the old one could not, and the reverse.
//!
//! Both manifests are taken apart into sentences: what is permitted, and what
//! restrains. A new permission or a lost restraint widens.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde::Serialize;

use super::super::{Manifest, Redirects, Schema};
use super::{credential, requests};
use crate::call::EffectClass;
use crate::limit::{LimitName, LimitSet};

/// Which way a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The new version can do more.
    Widening,
    /// The new version can do less.
    Narrowing,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// Which way it goes.
    pub direction: Direction,
    /// What it is about, as a sentence for people.
    pub sentence: String,
}

/// The differences in authority, widenings first. Titles, versions and other
/// words are not authority.
pub fn diff(old: &Manifest, new: &Manifest) -> Vec<Change> {
    let limits = limit_changes(&old.limits, &new.limits);
    let (old, new) = (Facts::of(old), Facts::of(new));
    let widening = |sentence| Change {
        direction: Direction::Widening,
        sentence,
    };
    let narrowing = |sentence| Change {
        direction: Direction::Narrowing,
        sentence,
    };
    let gained = new.permits.difference(&old.permits).cloned().map(widening);
    let freed = old
        .restrains
        .difference(&new.restrains)
        .map(|s| widening(format!("no longer: {s}")));
    let lost = old
        .permits
        .difference(&new.permits)
        .map(|s| narrowing(format!("no longer: {s}")));
    let bound = new
        .restrains
        .difference(&old.restrains)
        .cloned()
        .map(narrowing);
    let (wider, narrower): (Vec<_>, Vec<_>) = limits
        .into_iter()
        .partition(|change| change.direction == Direction::Widening);
    let widenings = gained.chain(freed).chain(wider);
    widenings.chain(lost).chain(bound).chain(narrower).collect()
}

/// What is asked for of each limit. Where a manifest asks for nothing, the
/// platform's value holds, which is taken to be the default here: the page is
/// made without a platform.
fn limit_changes(old: &LimitSet, new: &LimitSet) -> Vec<Change> {
    let change = |name: LimitName| {
        let (before, after) = (old.value(name), new.value(name));
        let default = name.info().default;
        let direction = match after.unwrap_or(default).cmp(&before.unwrap_or(default)) {
            _ if before == after => return None,
            Ordering::Greater => Direction::Widening,
            Ordering::Less | Ordering::Equal => Direction::Narrowing,
        };
        let words = |asked: Option<u64>| {
            asked.map_or("what the platform gives".to_owned(), |it| it.to_string())
        };
        Some(Change {
            direction,
            sentence: format!("asks for {name}: {}, was {}", words(after), words(before)),
        })
    };
    LimitName::all().filter_map(change).collect()
}

#[derive(Default)]
struct Facts {
    permits: BTreeSet<String>,
    restrains: BTreeSet<String>,
}

impl Facts {
    fn of(manifest: &Manifest) -> Self {
        let mut facts = Self::default();
        for capability in &manifest.connector.capabilities {
            facts
                .permits
                .insert(format!("may use the capability {capability}"));
        }
        if let Some(credential) = credential(&manifest.auth) {
            facts
                .permits
                .insert(format!("sends the credential {credential}"));
        }
        for (what, uses) in manifest.all_uses() {
            for request in requests(manifest, uses) {
                let with = if request.with_credential {
                    " with the credential"
                } else {
                    ""
                };
                if request.redirects == Redirects::Follow {
                    facts
                        .permits
                        .insert(format!("{what} follows redirects from {}", request.place));
                }
                for (method, path) in request
                    .methods
                    .iter()
                    .flat_map(|m| request.paths.iter().map(move |p| (m, p)))
                {
                    facts
                        .permits
                        .insert(format!("{what} may {method} {}{path}{with}", request.place));
                }
            }
        }
        for (name, action) in &manifest.actions {
            let what = format!("actions.{name}");
            facts.effect(&what, action.effect);
            facts.masks(&what, Some(&action.input), action.output.as_ref());
        }
        for (name, trigger) in &manifest.triggers {
            facts.masks(
                &format!("triggers.{name}"),
                Some(&trigger.input),
                trigger.output.as_ref(),
            );
        }
        facts
    }

    fn effect(&mut self, what: &str, effect: EffectClass) {
        self.permits.insert(format!("{what} exists"));
        if effect.repeats() {
            self.permits
                .insert(format!("{what} may be repeated after a crash"));
        }
        if effect == EffectClass::Keyed {
            self.restrains
                .insert(format!("{what} sends an idempotency key"));
        }
    }

    fn masks(&mut self, what: &str, input: Option<&Schema>, output: Option<&Schema>) {
        for (side, schema) in [("input", input), ("output", output)] {
            for pattern in schema
                .into_iter()
                .flat_map(|schema| schema.sensitive.patterns())
            {
                self.restrains
                    .insert(format!("{what} masks {side} `{pattern}`"));
            }
        }
    }
}
