//! Two tenants, two environments, two deployments, two root keys: none opens
//! what is another's.

use super::*;

fn job_data(keys: &ScopeKeys) -> Envelope {
    keys.seal(KeyClass::JobData, &PLACE, b"order").unwrap()
}

/// KEY-18.
#[test]
fn no_scope_opens_anothers_envelope() {
    let deployment = Deployment::new();
    let scopes: Vec<ScopeKeys> = (0..100)
        .map(|_| deployment.keys_for(KeyClass::JobData))
        .collect();
    let sealed: Vec<Envelope> = scopes.iter().map(job_data).collect();
    for (mine, keys) in scopes.iter().enumerate() {
        for (theirs, envelope) in sealed.iter().enumerate() {
            match keys.open(&PLACE, envelope) {
                Ok(opened) => assert_eq!((mine, opened.as_bytes()), (theirs, b"order".as_slice())),
                Err(VaultError::KeyNotLoaded(_)) => assert_ne!(mine, theirs),
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_scope_refuses_anothers_data_key() {
    let deployment = Deployment::new();
    let (mine, theirs) = (deployment.keys(), deployment.keys());
    let key = ready(&theirs, KeyClass::JobData);
    assert!(matches!(mine.load(&key), Err(VaultError::OtherScope)));
}

#[test]
fn a_scope_refuses_anothers_tenant_key() {
    let deployment = Deployment::new();
    let (mine, theirs) = (scope(), scope());
    let key = deployment.tenant_key(theirs, Term::FIRST);
    assert!(matches!(
        deployment.keyring.load(mine, &[key]),
        Err(VaultError::OtherScope)
    ));
}

#[test]
fn the_environments_of_a_tenant_are_scopes_of_their_own() {
    let deployment = Deployment::new();
    let production = deployment.keys();
    let test = Scope {
        environment: Environment::Test,
        ..production.scope()
    };
    let key = ready(&production, KeyClass::JobData);
    let test = deployment
        .keyring
        .load(test, &[deployment.tenant_key(test, Term::FIRST)])
        .unwrap();
    assert!(matches!(test.load(&key), Err(VaultError::OtherScope)));
    assert!(matches!(
        test.open(&PLACE, &job_data(&production)),
        Err(VaultError::KeyNotLoaded(_))
    ));
}

/// A key row that was written over with another tenant's, its name corrected
/// to match: the wrapping is bound to the name.
#[test]
fn a_renamed_key_does_not_open() {
    #[derive(serde::Serialize)]
    struct Row<N> {
        name: N,
        wrapped: Vec<u8>,
    }
    let row = |name: &DataKeyName, wrapped: &WrappedKey<DataKeyName>| {
        let row = Row {
            name: name.clone(),
            wrapped: wrapped.wrapped().to_vec(),
        };
        WrappedKey::<DataKeyName>::from_bytes(&postcard::to_stdvec(&row).unwrap()).unwrap()
    };
    let deployment = Deployment::new();
    let (mine, theirs) = (deployment.keys(), deployment.keys());
    let my_key = mine.new_data_key(KeyClass::JobData).unwrap().stored();
    let their_key = theirs.new_data_key(KeyClass::JobData).unwrap().stored();
    let name = my_key.name();
    for (renamed, wrapped) in [
        (name.clone(), &their_key),
        (
            DataKeyName {
                id: KeyId::from_bytes([9; 16]),
                ..name.clone()
            },
            &my_key,
        ),
        (
            DataKeyName {
                class: KeyClass::MaskedJob(keyway_model::JobId::random()),
                ..name.clone()
            },
            &my_key,
        ),
        (
            DataKeyName {
                class: KeyClass::Recipe,
                ..name.clone()
            },
            &my_key,
        ),
        (
            DataKeyName {
                period: name.period + 1,
                ..name.clone()
            },
            &my_key,
        ),
        (
            DataKeyName {
                platform_key: None,
                ..name.clone()
            },
            &my_key,
        ),
        (
            DataKeyName {
                suite: Suite::XChaCha20Poly1305,
                ..name.clone()
            },
            &my_key,
        ),
    ] {
        assert!(
            matches!(
                mine.load(&row(&renamed, wrapped)),
                Err(VaultError::Mismatch)
            ),
            "{renamed:?}"
        );
    }
    mine.load(&row(name, &my_key)).unwrap();
}

#[test]
fn another_root_key_is_named_as_such() {
    let deployment = Deployment::new();
    let other = Arc::new(RootKey::random().unwrap());
    let (clock, limits) = (deployment.clock.clone(), deployment.limits);
    let error = Keyring::new(
        deployment.id,
        other.clone(),
        &deployment.platform_key,
        clock,
        limits,
    )
    .unwrap_err();
    let (wrapped_by, offered) = (deployment.root.id(), other.id());
    assert!(
        matches!(error, VaultError::OtherRoot { wrapped_by: a, offered: b } if (a, b) == (wrapped_by, offered))
    );
    assert!(error.to_string().contains(&wrapped_by.to_string()));
}

#[test]
fn another_deployments_keys_are_refused() {
    let deployment = Deployment::new();
    let (id, root) = (DeploymentId::random(), deployment.root.clone());
    let (clock, limits) = (deployment.clock.clone(), deployment.limits);
    let error = Keyring::new(id, root, &deployment.platform_key, clock, limits).unwrap_err();
    assert!(matches!(error, VaultError::OtherDeployment));
}

#[test]
fn a_damaged_key_row_is_refused() {
    let deployment = Deployment::new();
    let key = ready(&deployment.keys(), KeyClass::Recipe);
    let bytes = key.to_bytes();
    assert_eq!(WrappedKey::<DataKeyName>::from_bytes(&bytes).unwrap(), key);
    for damaged in [
        bytes.get(1..).unwrap().to_vec(),
        [bytes.as_slice(), &[0]].concat(),
        Vec::new(),
    ] {
        let result = WrappedKey::<DataKeyName>::from_bytes(&damaged);
        assert!(result.is_err_and(|e| matches!(e, VaultError::NotAWrappedKey)));
    }
}
