//! Every route of the API.

use keyway_model::limit::ARTIFACT_BYTES_MAX;

use super::handlers::{
    acknowledge, alarms, apply, approve, audit, check, connect, connections, connector, connectors,
    create_token, create_workspace, export, install, job, jobs, key, limits, recipe, recipes,
    rerun, revoke, revoke_token, set_limits, start, stop, tokens, validate, workspace, workspaces,
};
use crate::routes::Route;

/// Below a workspace and an environment.
macro_rules! below {
    ($path:literal) => {
        concat!("/api/v1/workspaces/{ws}/{env}", $path)
    };
}

/// Every route.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/workspaces", "workspace:create", create_workspace),
        Route::get("/api/v1/workspaces", "workspace:list", workspaces),
        Route::get("/api/v1/workspaces/{ws}", "workspace:show", workspace),
        Route::post("/api/v1/tokens", "token:create", create_token),
        Route::get("/api/v1/tokens", "token:list", tokens),
        Route::post("/api/v1/tokens/{id}/revoke", "token:revoke", revoke_token),
        Route::get("/api/v1/alarms", "alarm:list", alarms),
        Route::post(
            "/api/v1/alarms/{id}/acknowledge",
            "alarm:acknowledge",
            acknowledge,
        ),
        Route::post(below!("/connectors"), "connector:install", install).taking(ARTIFACT_BYTES_MAX),
        Route::get(below!("/connectors"), "connector:list", connectors),
        Route::get(
            below!("/connectors/{connector}"),
            "connector:show",
            connector,
        ),
        Route::post(
            below!("/connectors/{connector}/approve"),
            "connector:approve",
            approve,
        ),
        Route::post(
            below!("/connectors/{connector}/revoke"),
            "connector:revoke",
            revoke,
        ),
        Route::post(below!("/connections"), "connection:create", connect),
        Route::get(below!("/connections"), "connection:list", connections),
        Route::post(
            below!("/connections/{name}/check"),
            "connection:check",
            check,
        ),
        Route::post(below!("/recipes"), "recipe:apply", apply),
        Route::post(below!("/recipes/validate"), "recipe:validate", validate),
        Route::get(below!("/recipes"), "recipe:list", recipes),
        Route::get(below!("/recipes/{name}"), "recipe:show", recipe),
        Route::post(below!("/recipes/{name}/start"), "recipe:start", start),
        Route::post(below!("/recipes/{name}/stop"), "recipe:stop", stop),
        Route::get(below!("/jobs"), "job:list", jobs),
        Route::get(below!("/jobs/{id}"), "job:show", job),
        Route::post(below!("/jobs/{id}/rerun"), "job:rerun", rerun),
        Route::get(below!("/limits"), "limits:show", limits),
        Route::post(below!("/limits"), "limits:set", set_limits),
        Route::get(below!("/audit"), "audit:list", audit),
        Route::get(below!("/audit/export"), "audit:export", export),
        Route::get(below!("/audit/key"), "audit:export", key),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // outward call; the others are the deployment's own.
        const WITHOUT_ROUTE: [&str; 3] = ["connection:use", "alarm:raise", "deployment:start"];
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
