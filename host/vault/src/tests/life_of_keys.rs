//! Keys begin, seal for a while, are held for a while, and end.

use super::*;

/// KEY-08.
#[test]
fn a_data_key_seals_no_more_items_than_it_may() {
    let deployment = Deployment::with(KeyLimits {
        items_max: 10,
        ..KeyLimits::default()
    });
    let keys = deployment.keys_for(KeyClass::Recipe);
    let sealed: Vec<_> = (0..10)
        .map(|_| keys.seal(KeyClass::Recipe, &PLACE, b"x").unwrap())
        .collect();
    let refused = keys.seal(KeyClass::Recipe, &PLACE, b"x");
    assert!(matches!(
        refused,
        Err(VaultError::KeyUsedUp(KeyClass::Recipe))
    ));
    ready(&keys, KeyClass::Recipe);
    keys.seal(KeyClass::Recipe, &PLACE, b"x").unwrap();
    assert!(
        sealed
            .iter()
            .all(|envelope| keys.open(&PLACE, envelope).is_ok())
    );
}

/// KEY-08.
#[test]
fn a_job_data_key_seals_for_one_hour() {
    let deployment = Deployment::with(KeyLimits {
        held: 300 * MINUTE,
        ..KeyLimits::default()
    });
    let keys = deployment.keys_for(KeyClass::JobData);
    let envelope = keys.seal(KeyClass::JobData, &PLACE, b"order").unwrap();
    deployment.clock.advance(60 * MINUTE);
    let refused = keys.seal(KeyClass::JobData, &PLACE, b"order");
    let next_hour = NOON.hour() + 1;
    assert!(matches!(refused, Err(VaultError::NoSealingKey { period, .. }) if period == next_hour));
    assert_eq!(ready(&keys, KeyClass::JobData).name().period, next_hour);
    keys.seal(KeyClass::JobData, &PLACE, b"order").unwrap();
    assert_eq!(keys.open(&PLACE, &envelope).unwrap().as_bytes(), b"order");
}

#[test]
fn keys_at_rest_open_after_a_restart() {
    let deployment = Deployment::new();
    let scope = scope();
    let tenant_key = deployment.tenant_key(scope, Term::FIRST);
    let keys = deployment
        .keyring
        .load(scope, std::slice::from_ref(&tenant_key))
        .unwrap();
    let data_key = ready(&keys, KeyClass::JobData);
    let envelope = keys.seal(KeyClass::JobData, &PLACE, b"order").unwrap();

    let keyring = deployment.restarted();
    assert!(matches!(
        keyring.scope(scope),
        Err(VaultError::ScopeNotLoaded(_))
    ));
    let tenant_key = WrappedKey::from_bytes(&tenant_key.to_bytes()).unwrap();
    let keys = keyring.load(scope, &[tenant_key]).unwrap();
    let missing = keys.open(&PLACE, &envelope);
    assert!(matches!(missing, Err(VaultError::KeyNotLoaded(id)) if id == data_key.name().id));
    keys.load(&WrappedKey::from_bytes(&data_key.to_bytes()).unwrap())
        .unwrap();
    assert_eq!(keys.open(&PLACE, &envelope).unwrap().as_bytes(), b"order");
}

#[test]
fn a_new_term_seals_and_the_old_one_still_opens() {
    let deployment = Deployment::new();
    let scope = scope();
    let first = deployment.tenant_key(scope, Term::FIRST);
    let keys = deployment
        .keyring
        .load(scope, std::slice::from_ref(&first))
        .unwrap();
    let old_key = ready(&keys, KeyClass::State);
    let old = keys.seal(KeyClass::State, &PLACE, b"old").unwrap();

    let second = deployment.tenant_key(scope, Term::FIRST.next());
    let keys = deployment.keyring.load(scope, &[second, first]).unwrap();
    keys.load(&old_key).unwrap();
    assert_eq!(keys.open(&PLACE, &old).unwrap().as_bytes(), b"old");
    assert!(matches!(
        keys.seal(KeyClass::State, &PLACE, b"new"),
        Err(VaultError::NoSealingKey { .. })
    ));
    assert_eq!(ready(&keys, KeyClass::State).name().term, Term(2));
    keys.seal(KeyClass::State, &PLACE, b"new").unwrap();
}

#[test]
fn a_data_key_of_a_term_that_is_gone_is_refused() {
    let deployment = Deployment::new();
    let scope = scope();
    let keys = deployment
        .keyring
        .load(scope, &[deployment.tenant_key(scope, Term::FIRST)])
        .unwrap();
    let old_key = ready(&keys, KeyClass::State);
    let keys = deployment
        .keyring
        .load(scope, &[deployment.tenant_key(scope, Term(2))])
        .unwrap();
    assert!(matches!(
        keys.load(&old_key),
        Err(VaultError::TenantKeyNotLoaded(Term(1)))
    ));
}

#[test]
fn keys_are_handed_out_for_a_limited_time() {
    let deployment = Deployment::with(KeyLimits {
        held: 5 * MINUTE,
        ..KeyLimits::default()
    });
    let keys = deployment.keys_for(KeyClass::Recipe);
    deployment.clock.advance(5 * MINUTE);
    assert!(deployment.keyring.scope(keys.scope()).is_ok());
    assert_eq!(deployment.keyring.evict(), 0);

    deployment.clock.advance(MINUTE);
    assert!(matches!(
        deployment.keyring.scope(keys.scope()),
        Err(VaultError::ScopeNotLoaded(_))
    ));
    assert_eq!(deployment.keyring.evict(), 1);
    keys.seal(KeyClass::Recipe, &PLACE, b"an operation that had begun")
        .unwrap();

    deployment.clock.advance(5 * MINUTE);
    assert!(matches!(
        keys.seal(KeyClass::Recipe, &PLACE, b"late"),
        Err(VaultError::ScopeNotLoaded(_))
    ));
    assert!(matches!(
        keys.new_data_key(KeyClass::Recipe),
        Err(VaultError::ScopeNotLoaded(_))
    ));
}

#[test]
fn a_forgotten_scope_is_wiped_under_its_handles() {
    let deployment = Deployment::new();
    let keys = deployment.keys_for(KeyClass::Recipe);
    let envelope = keys.seal(KeyClass::Recipe, &PLACE, b"x").unwrap();
    deployment.keyring.forget(keys.scope());
    assert!(matches!(
        deployment.keyring.scope(keys.scope()),
        Err(VaultError::ScopeNotLoaded(_))
    ));
    assert!(matches!(
        keys.open(&PLACE, &envelope),
        Err(VaultError::KeyNotLoaded(_))
    ));
    assert!(matches!(
        keys.seal(KeyClass::Recipe, &PLACE, b"x"),
        Err(VaultError::NoSealingKey { .. })
    ));
    assert!(matches!(
        keys.new_data_key(KeyClass::Recipe),
        Err(VaultError::ScopeNotLoaded(_))
    ));
}

#[test]
fn a_forgotten_data_key_neither_opens_nor_seals() {
    let deployment = Deployment::new();
    let keys = deployment.keys_for(KeyClass::Recipe);
    let job = KeyClass::MaskedJob(keyway_model::JobId::random());
    let key = ready(&keys, job);
    let envelope = keys.seal(job, &PLACE, b"journal").unwrap();
    keys.forget(key.name().id);
    assert!(matches!(
        keys.open(&PLACE, &envelope),
        Err(VaultError::KeyNotLoaded(_))
    ));
    assert!(matches!(
        keys.seal(job, &PLACE, b"journal"),
        Err(VaultError::NoSealingKey { .. })
    ));
    assert!(
        keys.seal(KeyClass::Recipe, &PLACE, b"another class")
            .is_ok()
    );
}

/// Decision 0001: with the tenant's keys and another platform key, job history
/// stays closed, and all else opens.
#[test]
fn job_history_needs_the_platform_key_too() {
    let deployment = Deployment::new();
    let scope = scope();
    let tenant_key = deployment.tenant_key(scope, Term::FIRST);
    let keys = deployment
        .keyring
        .load(scope, std::slice::from_ref(&tenant_key))
        .unwrap();
    let (history_key, recipe_key) = (
        ready(&keys, KeyClass::JobData),
        ready(&keys, KeyClass::Recipe),
    );
    let recipe = keys.seal(KeyClass::Recipe, &PLACE, b"recipe").unwrap();

    let other = new_platform_key(deployment.root.as_ref(), deployment.id)
        .unwrap()
        .stored();
    let (root, clock) = (deployment.root.clone(), deployment.clock.clone());
    let keyring = Keyring::new(deployment.id, root, &other, clock, deployment.limits).unwrap();
    let keys = keyring.load(scope, &[tenant_key]).unwrap();
    keys.load(&recipe_key).unwrap();
    assert_eq!(keys.open(&PLACE, &recipe).unwrap().as_bytes(), b"recipe");
    let platform_key = deployment.platform_key.name().id;
    assert!(
        matches!(keys.load(&history_key), Err(VaultError::OtherPlatformKey(id)) if id == platform_key)
    );
}

/// The same at the level of keys: each half alone makes another sealing key.
#[test]
fn both_halves_go_into_the_key_of_job_history() {
    use crate::binding::Binding;
    use crate::item::SealingKey;
    let make = |tenant: u8, platform: u8| {
        let both = [[tenant; 32], [platform; 32]].concat();
        SealingKey::new(
            b"keyway job data key 1",
            &both,
            KeyId::from_bytes([0; 16]),
            Term(1),
            Suite::Aes256Gcm,
        )
    };
    let binding = Binding::of(&[]);
    let envelope = make(1, 2).seal(&binding, b"order").unwrap();
    assert!(make(1, 2).open(&binding, &envelope).is_ok());
    for (tenant, platform) in [(1, 0), (0, 2), (2, 1)] {
        assert!(matches!(
            make(tenant, platform).open(&binding, &envelope),
            Err(VaultError::Mismatch)
        ));
    }
}
