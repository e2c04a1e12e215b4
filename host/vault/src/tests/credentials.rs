//! A credential opens for an entry that names it, and through no other door.

use async_trait::async_trait;
use futures_util::FutureExt;
use keyway_authz::{
    Actor, Entry, Grant, GrantedCredential, HttpRule, HttpRules, HttpSend, Principal, Record,
    Recorder, Sink, SinkError,
};
use keyway_model::manifest::{Capabilities, Redirects};
use keyway_model::net::{Method, RequestUrl};
use keyway_model::{ConnectionId, CredentialSlot};

use super::*;

#[derive(Debug)]
struct Accepting;

#[async_trait]
impl Sink for Accepting {
    async fn append(&self, _: Scope, _: Record) -> Result<(), SinkError> {
        Ok(())
    }
    fn queue(&self, _: Scope, _: Record) {}
}

/// The entry of a request for `connection`, decided and recorded as the gate does.
fn entry(
    scope: Scope,
    connection: ConnectionId,
    credential: Option<CredentialSlot>,
) -> Entry<HttpSend> {
    let url: RequestUrl = "https://api.example.com/orders".parse().unwrap();
    let rule = HttpRule {
        origin: url.origin.clone(),
        methods: vec![Method::Get],
        paths: vec!["/orders".parse().unwrap()],
        credential: credential.map(|slot| GrantedCredential {
            slot,
            cleartext: false,
        }),
        redirects: Redirects::Return,
        rule: "test".to_owned(),
    };
    let grant = Grant::new(
        Actor::directly(Principal::Platform(0)),
        connection,
        Capabilities::ALL,
        Arc::new(HttpRules::from_iter([rule])),
        "test".to_owned(),
    );
    let permit = grant.decide_http(Method::Get, url).unwrap();
    let recorder = Recorder::new(Arc::new(Accepting), scope, Clock::manual(NOON));
    permit.record(&recorder).now_or_never().unwrap().unwrap()
}

struct Sealed {
    keys: ScopeKeys,
    connection: ConnectionId,
    envelope: Envelope,
}

fn sealed() -> Sealed {
    let connection = ConnectionId::random();
    let keys = Deployment::new().keys_for(KeyClass::Credential(connection));
    let envelope = keys
        .seal_secret(connection, 3, &Secret::from("hunter2".to_owned()))
        .unwrap();
    Sealed {
        keys,
        connection,
        envelope,
    }
}

const BEARER: Option<CredentialSlot> = Some(CredentialSlot::Bearer);

#[test]
fn a_credential_opens_for_an_entry_that_names_it() {
    let Sealed {
        keys,
        connection,
        envelope,
    } = sealed();
    let entry = entry(keys.scope(), connection, BEARER);
    assert_eq!(
        keys.open_secret(&entry, 3, &envelope).unwrap().expose(),
        b"hunter2"
    );
}

#[test]
fn an_entry_for_another_connection_opens_nothing() {
    let Sealed { keys, envelope, .. } = sealed();
    let entry = entry(keys.scope(), ConnectionId::random(), BEARER);
    assert!(matches!(
        keys.open_secret(&entry, 3, &envelope),
        Err(VaultError::Mismatch)
    ));
}

#[test]
fn an_entry_of_another_scope_opens_nothing() {
    let Sealed {
        keys,
        connection,
        envelope,
    } = sealed();
    let entry = entry(scope(), connection, BEARER);
    assert!(matches!(
        keys.open_secret(&entry, 3, &envelope),
        Err(VaultError::EntryNamesNoCredential)
    ));
}

#[test]
fn an_entry_for_a_destination_without_the_credential_opens_nothing() {
    let Sealed {
        keys,
        connection,
        envelope,
    } = sealed();
    let entry = entry(keys.scope(), connection, None);
    assert!(matches!(
        keys.open_secret(&entry, 3, &envelope),
        Err(VaultError::EntryNamesNoCredential)
    ));
}

#[test]
fn an_older_credential_does_not_open_as_the_present_one() {
    let Sealed {
        keys,
        connection,
        envelope,
    } = sealed();
    let entry = entry(keys.scope(), connection, BEARER);
    assert!(matches!(
        keys.open_secret(&entry, 4, &envelope),
        Err(VaultError::Mismatch)
    ));
}

#[test]
fn a_credential_moved_to_another_connection_does_not_open() {
    let Sealed { keys, envelope, .. } = sealed();
    let thief = ConnectionId::random();
    ready(&keys, KeyClass::Credential(thief));
    let entry = entry(keys.scope(), thief, BEARER);
    assert!(matches!(
        keys.open_secret(&entry, 3, &envelope),
        Err(VaultError::Mismatch)
    ));
}

#[test]
fn the_door_for_data_opens_and_seals_no_credential() {
    let Sealed {
        keys,
        connection,
        envelope,
    } = sealed();
    let place = Place::credential(connection, 3);
    assert!(matches!(
        keys.open(&place, &envelope),
        Err(VaultError::CredentialNeedsEntry)
    ));
    let class = KeyClass::Credential(connection);
    assert!(matches!(
        keys.seal(class, &place, b"hunter2"),
        Err(VaultError::CredentialNeedsEntry)
    ));
}

#[test]
fn data_does_not_open_as_a_credential() {
    let Sealed {
        keys, connection, ..
    } = sealed();
    ready(&keys, KeyClass::Directory);
    let data = keys
        .seal(
            KeyClass::Directory,
            &Place::credential(connection, 3),
            b"chosen",
        )
        .unwrap();
    let entry = entry(keys.scope(), connection, BEARER);
    assert!(matches!(
        keys.open_secret(&entry, 3, &data),
        Err(VaultError::Mismatch)
    ));
}
