//! What is kept is exactly what a request would make anew.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use keyway_authz::Principal;
use keyway_model::Environment;
use keyway_model::time::Timestamp;
use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::tls::TlsRecord;

const PIN: &str = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn scope(tenant: u128, environment: Environment) -> Scope {
    Scope {
        tenant: TenantId::from_bits(tenant),
        environment,
    }
}

fn connection(id: u128, tls: TlsRecord) -> Arc<ConnectionRecord> {
    Arc::new(ConnectionRecord {
        id: ConnectionId::from_bits(id),
        name: "shop".parse().unwrap(),
        connector: "orders".parse().unwrap(),
        parameters: BTreeMap::new(),
        hosts: BTreeSet::new(),
        tls,
        credential_version: 1,
        created_by: Principal::Platform(0),
        created_at: Timestamp::from_micros(0),
    })
}

fn pinned() -> TlsRecord {
    TlsRecord {
        pins: vec![PIN.to_owned()],
        ..TlsRecord::default()
    }
}

/// A client certificate and its key, in PEM.
fn client() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["keyway".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn of(
    identities: &Identities,
    scope: Scope,
    record: &Arc<ConnectionRecord>,
    key: Option<&str>,
) -> Arc<TlsSettings> {
    identities.of(scope, record, key).unwrap().unwrap()
}

#[test]
fn what_has_not_changed_is_read_once() {
    let (identities, production) = (Identities::default(), scope(1, Environment::Production));
    let record = connection(1, pinned());
    let first = of(&identities, production, &record, None);
    // The same record, read anew from the store.
    let again = connection(1, pinned());
    for record in [&record, &again, &record] {
        let next = of(&identities, production, record, None);
        assert!(Arc::ptr_eq(&first, &next));
    }
    let nothing = connection(2, TlsRecord::default());
    assert!(identities.of(production, &nothing, None).unwrap().is_none());
}

#[test]
fn nothing_is_shared_between_tenants_environments_connections_or_with_nobody() {
    let identities = Identities::default();
    let (chain, key) = client();
    let tls = TlsRecord {
        client_chain_pem: Some(chain),
        ..pinned()
    };
    let (one, other) = (connection(1, tls.clone()), connection(2, tls));
    let all = [
        of(&identities, scope(1, Environment::Production), &one, None),
        of(&identities, scope(2, Environment::Production), &one, None),
        of(&identities, scope(1, Environment::Development), &one, None),
        of(&identities, scope(1, Environment::Production), &other, None),
        of(
            &identities,
            scope(1, Environment::Production),
            &one,
            Some(&key),
        ),
    ];
    for (index, settings) in all.iter().enumerate() {
        for later in all.iter().skip(index + 1) {
            assert!(!Arc::ptr_eq(settings, later));
        }
    }
    let shows: Vec<bool> = all.iter().map(|it| it.has_client_certificate()).collect();
    assert_eq!(shows, [false, false, false, false, true]);
}

#[test]
fn a_change_of_settings_or_key_takes_effect_at_once() {
    let (identities, production) = (Identities::default(), scope(1, Environment::Production));
    let ((chain, key), (next_chain, next_key)) = (client(), client());
    let with = |chain: &str| TlsRecord {
        client_chain_pem: Some(chain.to_owned()),
        ..TlsRecord::default()
    };
    let record = connection(1, with(&chain));
    let first = of(&identities, production, &record, Some(&key));
    // The settings of before with another key: were they kept, this would pass.
    let wrong = identities.of(production, &record, Some(&next_key));
    assert!(wrong.is_err());
    // The next version of both.
    let next = connection(1, with(&next_chain));
    let second = of(&identities, production, &next, Some(&next_key));
    assert!(!Arc::ptr_eq(&first, &second));
    // Whoever still has the old version in hand gets the old one.
    assert!(identities.of(production, &next, Some(&key)).is_err());
    let third = of(&identities, production, &record, Some(&key));
    assert!(!Arc::ptr_eq(&second, &third));
    let unpinned = of(&identities, production, &record, None);
    let repinned = of(&identities, production, &connection(1, pinned()), None);
    assert!(!Arc::ptr_eq(&unpinned, &repinned));
}

#[test]
fn a_tenant_with_many_connections_makes_room_among_its_own() {
    let identities = Identities::default();
    let (few, many) = (
        scope(1, Environment::Production),
        scope(2, Environment::Production),
    );
    let record = connection(1, pinned());
    let first = of(&identities, few, &record, None);
    for id in 0..2 * KEPT_MAX as u128 {
        of(&identities, many, &connection(id, pinned()), None);
    }
    assert_eq!(identities.0.lock().read.len(), KEPT_OF_ONE_MAX + 1);
    assert!(Arc::ptr_eq(&first, &of(&identities, few, &record, None)));
    for tenant in 3..3 + 2 * KEPT_MAX as u128 {
        let scope = scope(tenant, Environment::Production);
        of(&identities, scope, &record, None);
    }
    assert_eq!(identities.0.lock().read.len(), KEPT_MAX);
}
