//! The one place that speaks Cedar: loads the policies and asks them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy,
    PolicyId, PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use keyway_authz::Principal;
use keyway_model::{Environment, Scope};

use crate::roles::Membership;

const SCHEMA: &str = include_str!("../policy/schema.cedarschema");
const POLICIES: &str = include_str!("../policy/roles.cedar");

/// Why policies or a question were not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The schema does not parse.
    #[error("the schema of policies does not parse: {0}")]
    Schema(String),
    /// A policy does not parse, or has no `@id`.
    #[error("the policies do not parse: {0}")]
    Policies(String),
    /// The policies do not fit the schema.
    #[error("the policies do not fit the schema: {0}")]
    Invalid(String),
    /// A question does not fit the schema.
    #[error("the question does not fit the schema of policies: {0}")]
    Question(String),
}

/// What is asked, in terms of the schema.
#[derive(Debug)]
pub(crate) struct Question<'q> {
    pub(crate) principal: Principal,
    pub(crate) membership: Option<&'q Membership>,
    pub(crate) operation: &'q str,
    pub(crate) kind: &'q str,
    pub(crate) scope: Option<Scope>,
}

/// The policies, checked against their schema.
pub(crate) struct Cedar {
    schema: Schema,
    policies: PolicySet,
    authorizer: Authorizer,
}

impl fmt::Debug for Cedar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cedar")
            .field("policies", &self.policies.num_of_policies())
            .finish_non_exhaustive()
    }
}

impl Cedar {
    /// The policies of this release.
    pub(crate) fn load() -> Result<Self, PolicyError> {
        Self::from_texts(SCHEMA, POLICIES)
    }

    pub(crate) fn from_texts(schema: &str, policies: &str) -> Result<Self, PolicyError> {
        let (schema, _warnings) =
            Schema::from_cedarschema_str(schema).map_err(|e| PolicyError::Schema(e.to_string()))?;
        let parsed =
            PolicySet::from_str(policies).map_err(|e| PolicyError::Policies(e.to_string()))?;
        let named = parsed
            .policies()
            .map(name_by_annotation)
            .collect::<Result<Vec<_>, _>>()?;
        let policies =
            PolicySet::from_policies(named).map_err(|e| PolicyError::Policies(e.to_string()))?;
        let checked = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if !checked.validation_passed() {
            return Err(PolicyError::Invalid(checked.to_string()));
        }
        Ok(Self {
            schema,
            policies,
            authorizer: Authorizer::new(),
        })
    }

    /// The id of the policy that allows, or `None` for a denial. An error in
    /// any policy is an error of the whole.
    pub(crate) fn ask(&self, question: &Question<'_>) -> Result<Option<String>, PolicyError> {
        let (principal, mut entities) = principal(question)?;
        let resource = uid(&format!("on::{}", question.kind), "any")?;
        let home = question.scope.map(environment).transpose()?;
        entities.push(Entity::new_no_attrs(
            resource.clone(),
            home.into_iter().collect(),
        ));
        let action = uid("Action", question.operation)?;
        let entities = Entities::from_entities(entities, Some(&self.schema)).map_err(asked)?;
        let request = Request::new(
            principal,
            action,
            resource,
            Context::empty(),
            Some(&self.schema),
        )
        .map_err(asked)?;
        let response = self
            .authorizer
            .is_authorized(&request, &self.policies, &entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(asked(error));
        }
        Ok(match response.decision() {
            Decision::Allow => Some(
                response
                    .diagnostics()
                    .reason()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            Decision::Deny => None,
        })
    }

    #[cfg(test)]
    pub(crate) fn operations(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .schema
            .actions()
            .map(|a| a.id().unescaped().to_owned())
            .collect();
        names.sort();
        names
    }
}

fn name_by_annotation(policy: &Policy) -> Result<Policy, PolicyError> {
    let id = policy.annotation("id").ok_or_else(|| {
        PolicyError::Policies(format!(
            "{} has no name; write @id(\"name\") above it",
            policy.id()
        ))
    })?;
    Ok(policy.new_id(PolicyId::new(id)))
}

fn principal(question: &Question<'_>) -> Result<(EntityUid, Vec<Entity>), PolicyError> {
    let id = question.principal.to_string();
    match question.principal {
        Principal::Platform(_) => {
            let uid = uid("Platform", &id)?;
            Ok((uid.clone(), vec![Entity::new_no_attrs(uid, HashSet::new())]))
        }
        // No action applies to these two, so that no policy can ever allow them anything.
        Principal::Webhook(_) => {
            let uid = uid("Webhook", &id)?;
            Ok((uid.clone(), vec![Entity::new_no_attrs(uid, HashSet::new())]))
        }
        Principal::Nobody => {
            let uid = uid("Nobody", &id)?;
            Ok((uid.clone(), vec![Entity::new_no_attrs(uid, HashSet::new())]))
        }
        Principal::Token(_) => {
            let uid_of_token = uid("Token", &id)?;
            let role = question
                .membership
                .map(|m| uid("Role", m.role.as_str()))
                .transpose()?;
            let reach = question
                .membership
                .into_iter()
                .flat_map(Membership::scopes)
                .map(|scope| environment(scope).map(RestrictedExpression::new_entity_uid))
                .collect::<Result<Vec<_>, _>>()?;
            let reach = HashMap::from([("reach".to_owned(), RestrictedExpression::new_set(reach))]);
            let token = Entity::new(uid_of_token.clone(), reach, role.into_iter().collect())
                .map_err(asked)?;
            Ok((uid_of_token, vec![token]))
        }
    }
}

/// Tenant and environment are one entity, so that no policy can look at the
/// environment and forget the tenant.
fn environment(scope: Scope) -> Result<EntityUid, PolicyError> {
    let Scope {
        tenant,
        environment,
    } = scope;
    let word: &str = Environment::as_str(environment);
    uid("Environment", &format!("{tenant}/{word}"))
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, PolicyError> {
    let kind = EntityTypeName::from_str(kind).map_err(asked)?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn asked(error: impl fmt::Display) -> PolicyError {
    PolicyError::Question(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::OPERATIONS;

    #[test]
    fn schema_and_list_know_the_same_operations() {
        let cedar = Cedar::load().expect("the policies are ours");
        let mut listed: Vec<_> = OPERATIONS
            .iter()
            .map(|operation| operation.name.to_owned())
            .collect();
        listed.sort();
        assert_eq!(cedar.operations(), listed);
    }

    #[test]
    fn a_policy_that_does_not_fit_the_schema_is_refused_when_it_is_loaded() {
        let load = |policies: &str| {
            Cedar::from_texts(SCHEMA, policies).map_or_else(|e| e.to_string(), |c| format!("{c:?}"))
        };
        let unknown =
            "@id(\"x\") permit (principal, action == Action::\"recipe:frobnicate\", resource);";
        assert!(
            load(unknown).starts_with("the policies do not fit the schema: "),
            "{}",
            load(unknown)
        );
        let attribute =
            "@id(\"x\") permit (principal is Token, action, resource) when { principal.boss };";
        assert!(load(attribute).starts_with("the policies do not fit the schema: "));
        assert!(load("permit (principal, action, resource);").contains("has no name; write @id"));
        assert!(load("permit (principal").starts_with("the policies do not parse: "));
        assert!(load("@id(\"x\") permit (principal, action, resource);").starts_with("Cedar"));
    }
}
