//! One envelope: it opens at its place and nowhere else, whole or not at all.

use std::collections::HashSet;
use std::time::Instant;

use super::*;
use crate::binding::Binding;
use crate::item::SealingKey;

const BOTH: [Suite; 2] = [Suite::Aes256Gcm, Suite::XChaCha20Poly1305];

fn key(suite: Suite) -> SealingKey {
    SealingKey::new(
        b"test",
        &[7; 32],
        KeyId::from_bytes([3; 16]),
        Term(2),
        suite,
    )
}

fn binding() -> Binding {
    Binding::of(&[b"here"])
}

#[test]
fn what_was_sealed_opens_in_both_suites_and_every_length() {
    for suite in BOTH {
        for length in [0, 1, 15, 16, 17, 300, 65_537] {
            let plaintext = vec![0x5a; length];
            let envelope = key(suite).seal(&binding(), &plaintext).unwrap();
            assert_eq!(*key(suite).open(&binding(), &envelope).unwrap(), plaintext);
            let stored = Envelope::from_bytes(envelope.clone().into_bytes()).unwrap();
            assert_eq!(stored, envelope);
        }
    }
}

/// KEY-01.
#[test]
fn a_value_moved_to_another_place_does_not_open() {
    let deployment = Deployment::new();
    let keys = deployment.keys_for(KeyClass::Recipe);
    let envelope = keys.seal(KeyClass::Recipe, &PLACE, b"definition").unwrap();
    assert_eq!(
        keys.open(&PLACE, &envelope).unwrap().as_bytes(),
        b"definition"
    );
    for elsewhere in [
        Place {
            table: "recipes",
            ..PLACE
        },
        Place {
            column: "reply",
            ..PLACE
        },
        Place { row: 8, ..PLACE },
        Place {
            row_version: 2,
            ..PLACE
        },
        Place {
            row_version: 0,
            ..PLACE
        },
    ] {
        assert!(
            matches!(keys.open(&elsewhere, &envelope), Err(VaultError::Mismatch)),
            "{elsewhere:?}"
        );
    }
}

/// KEY-05: every bit of the frame matters, and behind the frame's shape there
/// is one error only.
#[test]
fn an_envelope_with_any_bit_flipped_does_not_open() {
    for suite in BOTH {
        let whole = key(suite)
            .seal(&binding(), b"twelve bytes")
            .unwrap()
            .into_bytes();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            *bytes.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
            let result = Envelope::from_bytes(bytes)
                .and_then(|envelope| key(suite).open(&binding(), &envelope));
            match (bit / 8, result) {
                (0..4, Err(VaultError::NotAnEnvelope(_))) => {}
                (4, Err(VaultError::UnknownSuite(_) | VaultError::NotAnEnvelope(_))) => {}
                (4.., Err(VaultError::Mismatch)) => {}
                (_, other) => panic!("bit {bit} of {suite:?}: {other:?}"),
            }
        }
    }
}

/// KEY-05.
#[test]
fn a_binding_with_any_bit_flipped_does_not_open() {
    let here = Binding::of(&[b"deployment", b"tenant", b"row"]);
    let envelope = key(Suite::Aes256Gcm).seal(&here, b"content").unwrap();
    assert!(key(Suite::Aes256Gcm).open(&here, &envelope).is_ok());
    for bit in 0..here.as_bytes().len() * 8 {
        let mut bytes = here.as_bytes().to_vec();
        *bytes.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
        let result = key(Suite::Aes256Gcm).open(&Binding::of(&[&bytes]), &envelope);
        assert!(matches!(result, Err(VaultError::Mismatch)));
    }
}

/// KEY-05.
#[test]
fn an_envelope_cut_short_or_made_longer_does_not_open() {
    for suite in BOTH {
        let whole = key(suite)
            .seal(&binding(), b"twelve bytes")
            .unwrap()
            .into_bytes();
        for length in 0..whole.len() {
            let cut = whole.get(..length).unwrap().to_vec();
            let result = Envelope::from_bytes(cut)
                .and_then(|envelope| key(suite).open(&binding(), &envelope));
            assert!(matches!(
                result,
                Err(VaultError::NotAnEnvelope(_) | VaultError::Mismatch)
            ));
        }
        let longer = Envelope::from_bytes([whole.as_slice(), &[0]].concat()).unwrap();
        assert!(matches!(
            key(suite).open(&binding(), &longer),
            Err(VaultError::Mismatch)
        ));
    }
}

/// KEY-09.
#[test]
fn an_unknown_suite_is_refused_by_its_number() {
    let mut bytes = key(Suite::Aes256Gcm)
        .seal(&binding(), b"x")
        .unwrap()
        .into_bytes();
    *bytes.get_mut(4).unwrap() = 9;
    assert!(matches!(
        Envelope::from_bytes(bytes),
        Err(VaultError::UnknownSuite(9))
    ));
}

/// KEY-09: the suite is the key's. An envelope of the same key in the other
/// suite, even a well-made one, does not open.
#[test]
fn an_envelope_cannot_choose_its_suite() {
    let [aes, chacha] = BOTH.map(key);
    let envelope = chacha.seal(&binding(), b"x").unwrap();
    assert!(chacha.open(&binding(), &envelope).is_ok());
    assert!(matches!(
        aes.open(&binding(), &envelope),
        Err(VaultError::Mismatch)
    ));
}

/// KEY-06.
#[test]
fn a_hundred_thousand_seals_of_one_value_all_differ() {
    let (key, mut seen) = (key(Suite::Aes256Gcm), HashSet::new());
    for _ in 0..100_000 {
        let envelope = key.seal(&binding(), b"").unwrap().into_bytes();
        // Salt and nonce: what follows magic, suite, term and key id.
        let random: [u8; 44] = envelope.get(25..69).unwrap().try_into().unwrap();
        assert!(seen.insert(random));
    }
}

/// Prints what a seal costs: `cargo test -p keyway-vault --release -- --nocapture seal_costs`.
#[test]
fn a_seal_costs_microseconds_and_not_more() {
    let deployment = Deployment::new();
    let keys = deployment.keys_for(KeyClass::JobData);
    let plaintext = [0x5a; 300];
    let envelope = keys.seal(KeyClass::JobData, &PLACE, &plaintext).unwrap();
    let seal = fastest(|| drop(keys.seal(KeyClass::JobData, &PLACE, &plaintext).unwrap()));
    let open = fastest(|| drop(keys.open(&PLACE, &envelope).unwrap()));
    eprintln!("seal_costs: seal {seal:?}, open {open:?} for 300 bytes");
    assert!(seal < Duration::from_micros(500), "a seal took {seal:?}");
}

/// The cost of one call in the fastest of many batches, because the machine
/// may be busy with other things.
fn fastest(act: impl Fn()) -> Duration {
    const CALLS: u32 = 50;
    let batch = || {
        let start = Instant::now();
        (0..CALLS).for_each(|_| act());
        start.elapsed() / CALLS
    };
    (0..400).map(|_| batch()).min().unwrap()
}
