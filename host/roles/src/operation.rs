//! Every operation of the control path, and which roles are meant to have it.
//!
//! The decision is made by the policies, not by this list: the tests hold the
//! two against each other, and remedies and documentation are written from it.

use std::fmt::Write as _;

use crate::roles::Role;

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationInfo {
    /// Its name, `kind:verb`.
    pub name: &'static str,
    /// The kind of resource that it works on.
    pub resource: &'static str,
    /// The roles that may do it inside their reach, besides the platform
    /// administrator.
    pub roles: &'static [Role],
}

const fn operation(
    name: &'static str,
    resource: &'static str,
    roles: &'static [Role],
) -> OperationInfo {
    OperationInfo {
        name,
        resource,
        roles,
    }
}

const PLATFORM: &[Role] = &[];
const ADMIN: &[Role] = &[Role::Admin];
const RUN: &[Role] = &[Role::Admin, Role::Operator];
const READ: &[Role] = &[Role::Admin, Role::Operator, Role::Analyst];

/// Every operation.
pub const OPERATIONS: &[OperationInfo] = &[
    operation("workspace:create", "workspace", PLATFORM),
    operation("workspace:list", "workspace", PLATFORM),
    operation("workspace:show", "workspace", READ),
    operation("token:create", "token", ADMIN),
    operation("token:revoke", "token", ADMIN),
    operation("token:list", "token", ADMIN),
    operation("connector:install", "connector", ADMIN),
    operation("connector:approve", "connector", ADMIN),
    operation("connector:revoke", "connector", ADMIN),
    operation("connector:list", "connector", READ),
    operation("connector:show", "connector", READ),
    operation("connection:create", "connection", ADMIN),
    operation("connection:list", "connection", READ),
    operation("connection:check", "connection", RUN),
    operation("connection:use", "connection", RUN),
    operation("recipe:apply", "recipe", ADMIN),
    operation("recipe:validate", "recipe", READ),
    operation("recipe:list", "recipe", READ),
    operation("recipe:show", "recipe", READ),
    operation("recipe:start", "recipe", RUN),
    operation("recipe:stop", "recipe", RUN),
    operation("job:list", "job", READ),
    operation("job:show", "job", READ),
    operation("job:rerun", "job", RUN),
    operation("limits:show", "limits", READ),
    operation("limits:set", "limits", ADMIN),
    operation("audit:list", "audit", ADMIN),
    operation("audit:export", "audit", ADMIN),
    operation("alarm:list", "alarm", PLATFORM),
    operation("alarm:acknowledge", "alarm", PLATFORM),
    operation("alarm:raise", "alarm", PLATFORM),
    operation("deployment:start", "deployment", PLATFORM),
];

/// The operation `name`.
pub(crate) fn find(name: &str) -> Option<&'static OperationInfo> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

/// The list as a Markdown table, for the documentation.
pub fn table_markdown() -> String {
    let mut out = String::from("| operation | Admin | Operator | Analyst |\n|---|---|---|---|\n");
    for operation in OPERATIONS {
        let cell = |role| {
            if operation.roles.contains(&role) {
                "yes"
            } else {
                ""
            }
        };
        let [admin, operator, analyst] = Role::ALL.map(cell);
        // Writing to a String cannot fail.
        writeln!(
            out,
            "| `{}` | {admin} | {operator} | {analyst} |",
            operation.name
        )
        .unwrap_or_default();
    }
    out
}
