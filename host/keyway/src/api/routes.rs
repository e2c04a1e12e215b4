//! Every route of the API.

use std::sync::Arc;

use axum::routing::{MethodRouter, get, post};
use keyway_model::limit::{API_BODY_BYTES_MAX, ARTIFACT_BYTES_MAX};

use super::handlers::{
    acknowledge, alarms, apply, approve, audit, check, connect, connections, connector, connectors,
    create_token, create_workspace, export, install, job, jobs, key, limits, recipe, recipes,
    rerun, revoke, revoke_token, set_limits, start, stop, tokens, validate, workspaces,
};
use crate::deployment::Deployment;

/// A route, with the operation that it is decided as, and the longest body that
/// it takes.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) operation: &'static str,
    pub(super) body_bytes_max: usize,
    pub(super) handler: MethodRouter<Arc<Deployment>>,
}

/// Below a workspace and an environment.
macro_rules! below {
    ($path:literal) => {
        concat!("/api/v1/workspaces/{ws}/{env}", $path)
    };
}

/// Every route. The router is made of this list, so there is no other.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/api/v1/workspaces",
            "workspace:create",
            post(create_workspace),
        ),
        Route::get("/api/v1/workspaces", "workspace:list", get(workspaces)),
        Route::post("/api/v1/tokens", "token:create", post(create_token)),
        Route::get("/api/v1/tokens", "token:list", get(tokens)),
        Route::post(
            "/api/v1/tokens/{id}/revoke",
            "token:revoke",
            post(revoke_token),
        ),
        Route::get("/api/v1/alarms", "alarm:list", get(alarms)),
        Route::post(
            "/api/v1/alarms/{id}/acknowledge",
            "alarm:acknowledge",
            post(acknowledge),
        ),
        Route::post(below!("/connectors"), "connector:install", post(install))
            .taking(ARTIFACT_BYTES_MAX),
        Route::get(below!("/connectors"), "connector:list", get(connectors)),
        Route::get(
            below!("/connectors/{connector}"),
            "connector:show",
            get(connector),
        ),
        Route::post(
            below!("/connectors/{connector}/approve"),
            "connector:approve",
            post(approve),
        ),
        Route::post(
            below!("/connectors/{connector}/revoke"),
            "connector:revoke",
            post(revoke),
        ),
        Route::post(below!("/connections"), "connection:create", post(connect)),
        Route::get(below!("/connections"), "connection:list", get(connections)),
        Route::post(
            below!("/connections/{name}/check"),
            "connection:check",
            post(check),
        ),
        Route::post(below!("/recipes"), "recipe:apply", post(apply)),
        Route::post(
            below!("/recipes/validate"),
            "recipe:validate",
            post(validate),
        ),
        Route::get(below!("/recipes"), "recipe:list", get(recipes)),
        Route::get(below!("/recipes/{name}"), "recipe:show", get(recipe)),
        Route::post(below!("/recipes/{name}/start"), "recipe:start", post(start)),
        Route::post(below!("/recipes/{name}/stop"), "recipe:stop", post(stop)),
        Route::get(below!("/jobs"), "job:list", get(jobs)),
        Route::get(below!("/jobs/{id}"), "job:show", get(job)),
        Route::post(below!("/jobs/{id}/rerun"), "job:rerun", post(rerun)),
        Route::get(below!("/limits"), "limits:show", get(limits)),
        Route::post(below!("/limits"), "limits:set", post(set_limits)),
        Route::get(below!("/audit"), "audit:list", get(audit)),
        Route::get(below!("/audit/export"), "audit:export", get(export)),
        Route::get(below!("/audit/key"), "audit:export", get(key)),
    ]
}

impl Route {
    const fn get(
        path: &'static str,
        operation: &'static str,
        handler: MethodRouter<Arc<Deployment>>,
    ) -> Self {
        Self {
            method: "GET",
            path,
            operation,
            body_bytes_max: 0,
            handler,
        }
    }

    const fn post(
        path: &'static str,
        operation: &'static str,
        handler: MethodRouter<Arc<Deployment>>,
    ) -> Self {
        Self {
            method: "POST",
            path,
            operation,
            body_bytes_max: API_BODY_BYTES_MAX,
            handler,
        }
    }
    fn taking(self, body_bytes_max: usize) -> Self {
        Self {
            body_bytes_max,
            ..self
        }
    }
}

/// Every route as a Markdown table, for the documentation.
pub fn table_markdown() -> String {
    let mut out =
        String::from("| method | path | operation | body, bytes at most |\n|---|---|---|---|\n");
    for Route {
        method,
        path,
        operation,
        body_bytes_max,
        ..
    } in routes()
    {
        out.push_str(&format!(
            "| {method} | `{path}` | `{operation}` | {body_bytes_max} |\n"
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_exactly_the_routes_there_are() {
        let documented = include_str!("../../../../docs/api.md");
        assert!(
            documented.contains(&table_markdown()),
            "{}",
            table_markdown()
        );
    }

    #[test]
    fn every_route_is_decided_as_an_operation_that_roles_know() {
        for route in routes() {
            let known = keyway_roles::OPERATIONS
                .iter()
                .any(|operation| operation.name == route.operation);
            assert!(known, "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn every_operation_of_the_roles_has_a_route_or_a_reason() {
        // A job asks for the first on the rights of its owner, before each
        // outward call; the second is what `workspace:list` is for a token; the
        // third is the deployment's own.
        const WITHOUT_ROUTE: [&str; 3] = ["connection:use", "workspace:show", "alarm:raise"];
        for operation in keyway_roles::OPERATIONS {
            let has_route = routes()
                .iter()
                .any(|route| route.operation == operation.name);
            assert_ne!(
                has_route,
                WITHOUT_ROUTE.contains(&operation.name),
                "{}",
                operation.name
            );
        }
    }
}
