//! Every role × operation × place, asked of the policies and compared with
//! the list that the documentation is made from.
#![expect(clippy::unwrap_used, reason = "tests")]

use keyway_authz::{Judgement, Policy as _, PolicyRequest, Principal, Resource};
use keyway_model::{Environment, RecipeId, Scope, TenantId, TokenId};
use keyway_roles::{Environments, Membership, OPERATIONS, Role, Roles};

const TEST: Environment = Environment::Test;

struct Fixture {
    roles: Roles,
    own: TenantId,
    other: TenantId,
}

fn fixture() -> Fixture {
    Fixture {
        roles: Roles::new().unwrap(),
        own: TenantId::random(),
        other: TenantId::random(),
    }
}

impl Fixture {
    fn token(&self, role: Role, environments: Environments) -> Principal {
        let principal = Principal::Token(TokenId::random());
        self.roles.set_principal(
            principal,
            Membership {
                tenant: self.own,
                environments,
                role,
            },
        );
        principal
    }

    fn ask(
        &self,
        principal: Principal,
        operation: &'static str,
        scope: Option<Scope>,
    ) -> Judgement {
        let kind = operation.split(':').next().unwrap();
        let resource = Resource {
            kind,
            id: Some("some-id".to_owned()),
            scope,
        };
        self.roles.judge(&PolicyRequest {
            principal,
            operation,
            resource,
        })
    }

    fn allows(&self, principal: Principal, operation: &'static str, scope: Option<Scope>) -> bool {
        matches!(
            self.ask(principal, operation, scope),
            Judgement::Allow { .. }
        )
    }

    fn own(&self) -> Option<Scope> {
        Some(Scope {
            tenant: self.own,
            environment: TEST,
        })
    }
}

#[test]
fn every_role_may_do_what_the_list_says_and_nothing_else() {
    let fixture = fixture();
    for role in Role::ALL {
        for environments in [Environments::All, Environments::One(TEST)] {
            let token = fixture.token(role, environments);
            for operation in OPERATIONS {
                let allowed = fixture.allows(token, operation.name, fixture.own());
                assert_eq!(
                    allowed,
                    operation.roles.contains(&role),
                    "{role} {}",
                    operation.name
                );
            }
        }
    }
}

#[test]
fn no_role_may_do_anything_in_another_workspace() {
    let fixture = fixture();
    let mut asked = 0;
    for role in Role::ALL {
        let token = fixture.token(role, Environments::All);
        for operation in OPERATIONS {
            for environment in Environment::ALL {
                let elsewhere = Some(Scope {
                    tenant: fixture.other,
                    environment,
                });
                assert!(
                    !fixture.allows(token, operation.name, elsewhere),
                    "{role} {}",
                    operation.name
                );
                asked += 1;
            }
            assert!(
                !fixture.allows(token, operation.name, None),
                "{role} {} on the platform",
                operation.name
            );
        }
    }
    assert_eq!(asked, 3 * 3 * OPERATIONS.len());
}

#[test]
fn a_token_of_one_environment_may_do_nothing_in_another() {
    let fixture = fixture();
    let token = fixture.token(Role::Admin, Environments::One(TEST));
    for operation in OPERATIONS {
        for environment in [Environment::Development, Environment::Production] {
            let elsewhere = Some(Scope {
                tenant: fixture.own,
                environment,
            });
            assert!(
                !fixture.allows(token, operation.name, elsewhere),
                "{}",
                operation.name
            );
        }
    }
}

#[test]
fn the_platform_administrator_may_do_everything_and_a_stranger_nothing() {
    let fixture = fixture();
    let stranger = Principal::Token(TokenId::random());
    for operation in OPERATIONS {
        assert!(fixture.allows(Principal::Platform(1000), operation.name, None));
        assert!(fixture.allows(Principal::Platform(1000), operation.name, fixture.own()));
        let webhook = Principal::Webhook(RecipeId::random());
        for nobody in [stranger, webhook, Principal::Nobody] {
            let allowed = fixture.allows(nobody, operation.name, fixture.own());
            assert!(!allowed, "{nobody} {}", operation.name);
        }
    }
}

#[test]
fn an_operation_that_is_not_listed_or_on_another_kind_is_denied_to_everyone() {
    let fixture = fixture();
    let platform = Principal::Platform(0);
    let remedy = "there is no operation recipe:frobnicate on a recipe; use another".to_owned();
    let judged = fixture.ask(platform, "recipe:frobnicate", None);
    assert_eq!(judged, Judgement::Deny { remedy });
    let resource = Resource {
        kind: "job",
        id: None,
        scope: fixture.own(),
    };
    let judged = fixture.roles.judge(&PolicyRequest {
        principal: platform,
        operation: "recipe:apply",
        resource,
    });
    assert!(matches!(judged, Judgement::Deny { .. }));
}

#[test]
fn a_denial_says_which_role_may() {
    let fixture = fixture();
    let analyst = fixture.token(Role::Analyst, Environments::All);
    let expect = |operation, scope, words: &str| {
        let judged = fixture.ask(analyst, operation, scope);
        assert_eq!(
            judged,
            Judgement::Deny {
                remedy: words.to_owned()
            }
        );
    };
    expect(
        "recipe:apply",
        fixture.own(),
        "role Analyst may not recipe:apply; a role that may: Admin; ask a workspace admin",
    );
    expect(
        "job:show",
        Some(Scope {
            tenant: fixture.other,
            environment: TEST,
        }),
        "no such job within this token's reach; use a token of the workspace and environment that holds it",
    );
    expect(
        "workspace:create",
        None,
        "workspace:create is the platform administrator's; ask whoever runs this deployment",
    );
}

#[test]
fn an_allowance_names_the_policy_that_gave_it() {
    let fixture = fixture();
    let operator = fixture.token(Role::Operator, Environments::All);
    let judged = fixture.ask(operator, "recipe:start", fixture.own());
    assert_eq!(
        judged,
        Judgement::Allow {
            policy: "operator".to_owned()
        }
    );
}

#[test]
fn taking_a_membership_away_ends_what_was_remembered() {
    let fixture = fixture();
    let token = fixture.token(Role::Operator, Environments::All);
    let before = fixture.roles.generation();
    assert!(fixture.allows(token, "connection:use", fixture.own()));
    assert!(fixture.allows(token, "connection:use", fixture.own()));
    fixture.roles.remove(token);
    assert!(!fixture.allows(token, "connection:use", fixture.own()));
    assert!(fixture.roles.generation() > before);
    assert_eq!(fixture.roles.membership(token), None);
}

#[test]
fn a_lesser_role_takes_effect_at_once() {
    let fixture = fixture();
    let token = fixture.token(Role::Admin, Environments::All);
    assert!(fixture.allows(token, "recipe:apply", fixture.own()));
    let lesser = Membership {
        tenant: fixture.own,
        environments: Environments::All,
        role: Role::Analyst,
    };
    fixture.roles.set_principal(token, lesser);
    assert!(!fixture.allows(token, "recipe:apply", fixture.own()));
    assert!(fixture.allows(token, "recipe:show", fixture.own()));
}
