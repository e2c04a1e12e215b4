//! What is remembered of a judgement: as long as what it was made from, and of nobody
//! else's.

use keyway_authz::Resource;
use keyway_model::TokenId;

use super::*;

const SCOPE: Scope = Scope {
    tenant: TenantId::from_bits(1),
    environment: Environment::Test,
};

fn token(number: u128) -> Principal {
    Principal::Token(TokenId::from_bits(number))
}

const fn member(role: Role) -> Membership {
    Membership {
        tenant: SCOPE.tenant,
        environments: Environments::All,
        role,
    }
}

fn request(principal: Principal, operation: &'static str) -> PolicyRequest {
    let kind = operation.split_once(':').unwrap().0;
    let (id, scope) = (None, Some(SCOPE));
    let resource = Resource { kind, id, scope };
    PolicyRequest {
        principal,
        operation,
        resource,
    }
}

fn may_start(roles: &Roles, principal: Principal) -> bool {
    let judgement = roles.judge(&request(principal, "recipe:start"));
    matches!(judgement, Judgement::Allow { .. })
}

/// Puts a mark in the place of all that is remembered now.
fn mark(roles: &Roles) {
    let mut remembered = roles.remembered.lock();
    let Remembered { newer, older } = &mut *remembered;
    for judgement in newer.values_mut().chain(older.values_mut()) {
        *judgement = marked();
    }
}

fn marked() -> Judgement {
    Judgement::Allow {
        policy: "remembered".to_owned(),
    }
}

/// Whether the answer is one that was marked.
fn is_remembered(roles: &Roles, principal: Principal) -> bool {
    roles.judge(&request(principal, "recipe:start")) == marked()
}

#[test]
fn a_change_of_one_principal_forgets_nothing_of_another() {
    let roles = Roles::new().unwrap();
    let platform = Principal::Platform(0);
    let others = [token(1), token(2), token(3), platform, Principal::Nobody];
    for number in 1..3 {
        roles.set_principal(token(number), member(Role::Operator));
    }
    for other in others {
        let judgement = roles.judge(&request(other, "recipe:start"));
        assert_ne!(judgement, marked());
    }
    mark(&roles);
    for number in 100..300 {
        roles.set_principal(token(number), member(Role::Analyst));
        roles.set_principal(token(number), member(Role::Operator));
        assert!(may_start(&roles, token(number)));
        roles.remove(token(number));
    }
    roles.remove_all((0..50).map(|number| token(number + 2_000)));
    for other in others {
        assert!(is_remembered(&roles, other), "{other}");
    }
    assert_eq!(roles.members.read().all.len(), 2);
}

#[test]
fn no_flood_of_judgements_drives_out_one_that_is_asked_for() {
    let roles = Roles::new().unwrap();
    roles.set_principal(token(1), member(Role::Operator));
    assert!(may_start(&roles, token(1)));
    mark(&roles);
    let judgement = || Judgement::Deny {
        remedy: String::new(),
    };
    for number in 0..4 * REMEMBERED_MAX as u128 {
        let (key, _) = roles.key(&request(token(number + 10), "recipe:start"));
        roles.remembered.lock().put(key, judgement());
        if number % 1_000 == 0 {
            assert!(is_remembered(&roles, token(1)), "{number}");
        }
    }
    let remembered = roles.remembered.lock();
    let all = remembered.newer.len() + remembered.older.len();
    assert!(all <= REMEMBERED_MAX, "{all}");
}

#[test]
fn no_judgement_outlives_the_membership_that_it_was_made_from() {
    let roles = Roles::new().unwrap();
    let own = token(1);
    let asked = |allowed| {
        assert_eq!(may_start(&roles, own), allowed);
        mark(&roles);
        assert!(is_remembered(&roles, own));
    };
    asked(false);
    roles.set_principal(own, member(Role::Operator));
    asked(true);
    roles.set_principal(own, member(Role::Analyst));
    asked(false);
    // The same as before, and yet another one.
    roles.set_principal(own, member(Role::Operator));
    asked(true);
    roles.set_principal(own, member(Role::Operator));
    assert!(!is_remembered(&roles, own));
    roles.remove(own);
    // It is nobody again, as it was at first.
    mark(&roles);
    roles
        .remembered
        .lock()
        .newer
        .retain(|key, _| key.since.is_some());
    assert!(!may_start(&roles, own));
    roles.set_principal(own, member(Role::Analyst));
    assert!(!may_start(&roles, own));
}

#[test]
fn a_judgement_that_was_being_made_while_its_membership_changed_is_not_used() {
    let roles = Roles::new().unwrap();
    let own = token(1);
    let remove: fn(&Roles, Principal) = |roles, own| roles.remove(own);
    let lower: fn(&Roles, Principal) = |roles, own| {
        roles.set_principal(own, member(Role::Analyst));
    };
    for changes in [[remove, remove], [lower, lower], [remove, lower]] {
        roles.set_principal(own, member(Role::Operator));
        let (key, membership) = roles.key(&request(own, "recipe:start"));
        let late = roles.judge_afresh(&key, membership.as_ref());
        assert!(matches!(late, Judgement::Allow { .. }));
        for change in changes {
            change(&roles, own);
        }
        roles.remembered.lock().put(key, late);
        assert!(!may_start(&roles, own));
    }
    // Nor one of who was no member yet.
    roles.remove(own);
    let (key, membership) = roles.key(&request(own, "recipe:start"));
    let late = roles.judge_afresh(&key, membership.as_ref());
    roles.set_principal(own, member(Role::Operator));
    roles.remembered.lock().put(key, late);
    assert!(may_start(&roles, own));
}

#[test]
fn many_are_taken_out_in_one_change() {
    let roles = Roles::new().unwrap();
    for number in 0..9 {
        roles.set_principal(token(number), member(Role::Operator));
    }
    let before = roles.generation();
    roles.remove_all((0..8).map(token));
    assert_eq!(roles.generation(), before + 1);
    for number in 0..8 {
        assert!(!may_start(&roles, token(number)));
        assert_eq!(roles.membership(token(number)), None);
    }
    assert!(may_start(&roles, token(8)));
}
