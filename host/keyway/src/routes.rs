//! Every route of every listener, and the one place that makes a router.
//!
//! A route that is in no list here is served by nobody: what the documentation
//! says, and what the tests walk, is made of the same lists.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};

use crate::deployment::Deployment;
use crate::{api, webhook};

/// A route, with the operation that it is recorded as, and the longest body that
/// it takes.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) body_bytes_max: usize,
    handler: MethodRouter<Arc<Deployment>>,
}

impl Route {
    /// One that reads: it takes no body.
    pub(crate) fn get<H, T>(path: &'static str, operation: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<Deployment>>,
        T: 'static,
    {
        Self {
            method: "GET",
            path,
            operation,
            body_bytes_max: 0,
            handler: get(handler),
        }
    }

    /// One that changes something.
    pub(crate) fn post<H, T>(path: &'static str, operation: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<Deployment>>,
        T: 'static,
    {
        Self {
            method: "POST",
            path,
            operation,
            body_bytes_max: keyway_model::limit::API_BODY_BYTES_MAX,
            handler: post(handler),
        }
    }

    /// The same with this longest body.
    pub(crate) fn taking(self, body_bytes_max: usize) -> Self {
        Self {
            body_bytes_max,
            ..self
        }
    }

    /// The same behind something that each of its calls passes first.
    pub(crate) fn behind(
        self,
        layer: impl FnOnce(MethodRouter<Arc<Deployment>>) -> MethodRouter<Arc<Deployment>>,
    ) -> Self {
        Self {
            handler: layer(self.handler),
            ..self
        }
    }
}

/// A router of these routes. Any other path, and any other method, is `other`'s.
pub(crate) fn router<H, T>(
    deployment: Arc<Deployment>,
    routes: impl IntoIterator<Item = Route>,
    other: H,
) -> Router
where
    H: Handler<T, Arc<Deployment>>,
    T: 'static,
{
    routes
        .into_iter()
        .fold(Router::new(), |router, route| {
            router.route(route.path, route.handler)
        })
        // Each listener holds a body to its limit before a handler begins.
        .layer(DefaultBodyLimit::disable())
        .fallback(other.clone())
        .method_not_allowed_fallback(other)
        .with_state(deployment)
}

/// Every route of every listener as a Markdown table, for the documentation.
pub fn table_markdown() -> String {
    let mut out = String::from(
        "| listener | method | path | operation | body, bytes at most |\n|---|---|---|---|---|\n",
    );
    let listeners = [
        ("API", api::routes()),
        ("API", api::health_routes()),
        ("webhook", webhook::routes()),
    ];
    for (listener, routes) in listeners {
        for route in routes {
            let Route {
                method,
                path,
                operation,
                body_bytes_max,
                ..
            } = route;
            out.push_str(&format!(
                "| {listener} | {method} | `{path}` | `{operation}` | {body_bytes_max} |\n"
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_exactly_the_routes_there_are() {
        let documented = include_str!("../../../docs/api.md");
        assert!(
            documented.contains(&table_markdown()),
            "{}",
            table_markdown()
        );
    }
}
