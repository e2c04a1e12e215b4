//! KEY-04: one ciphertext that AES-256-GCM opens under two keys. GCM lets
//! anybody who knows both keys make one; the commitment refuses it.
//!
//! The tag is `E_k(nonce ‖ 1) ⊕ GHASH_H(…)`, and GHASH is linear in each block
//! of ciphertext. With one block free, both tags are made equal by solving one
//! equation in GF(2^128).

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};

use super::*;
use crate::binding::Binding;
use crate::frame::{Frame, HEADER_BYTES};
use crate::item::SealingKey;

const TWIN: Suite = Suite::Aes256Gcm;

/// Multiplication in GCM's field, where the leftmost bit is x^0.
fn multiply(x: u128, mut v: u128) -> u128 {
    let mut product = 0;
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= v;
        }
        let carry = v & 1;
        v >>= 1;
        if carry == 1 {
            v ^= 0xe1 << 120;
        }
    }
    product
}

/// x^(2^128 - 2), the inverse.
fn invert(x: u128) -> u128 {
    let (mut out, mut power) = (1 << 127, x);
    for _ in 1..128 {
        power = multiply(power, power);
        out = multiply(out, power);
    }
    out
}

fn aes_block(key: &[u8; 32], block: [u8; 16]) -> u128 {
    let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, key).unwrap()).unwrap();
    let mut zeros = [0; 16];
    key.less_safe_encrypt(&mut zeros, EncryptionContext::Iv128(block.into()))
        .unwrap();
    u128::from_be_bytes(zeros)
}

/// GHASH of the associated data, one block of ciphertext, and their lengths.
fn ghash(h: u128, aad: &[u8], ciphertext: u128) -> u128 {
    let mut state = 0;
    for chunk in aad.chunks(16) {
        let mut block = [0; 16];
        block
            .iter_mut()
            .zip(chunk)
            .for_each(|(to, from)| *to = *from);
        state = multiply(state ^ u128::from_be_bytes(block), h);
    }
    state = multiply(state ^ ciphertext, h);
    multiply(state ^ ((aad.len() as u128 * 8) << 64 | 128), h)
}

/// A block and a tag that open under both keys.
fn collide(keys: [&[u8; 32]; 2], nonce: &[u8; 12], aad: &[u8]) -> Vec<u8> {
    let mut first = [0; 16];
    first
        .iter_mut()
        .zip(nonce.iter().chain(&[0, 0, 0, 1]))
        .for_each(|(to, from)| *to = *from);
    let [(h1, s1), (h2, s2)] = keys.map(|key| (aes_block(key, [0; 16]), aes_block(key, first)));
    let constant = s1 ^ s2 ^ ghash(h1, aad, 0) ^ ghash(h2, aad, 0);
    let block = multiply(constant, invert(multiply(h1, h1) ^ multiply(h2, h2)));
    let tag = s1 ^ ghash(h1, aad, block);
    [block.to_be_bytes(), tag.to_be_bytes()].concat()
}

#[test]
fn a_ciphertext_that_opens_under_two_keys_is_refused() {
    let [mine, theirs] = [1, 2].map(|key| {
        SealingKey::new(
            b"test",
            &[key; 32],
            KeyId::from_bytes([0; 16]),
            Term(1),
            TWIN,
        )
    });
    let binding = Binding::of(&[b"here"]);
    let honest = mine.seal(&binding, &[0; 16]).unwrap();
    let frame = Frame::parse(honest.as_bytes()).unwrap();
    let [my_key, their_key] = [&mine, &theirs].map(|key| key.encryption_key(frame.header));
    let nonce: &[u8; 12] = frame.nonce.try_into().unwrap();
    let body = collide([&my_key, &their_key], nonce, binding.as_bytes());

    // The cipher alone accepts it twice, with two different contents.
    let [one, another] = [&my_key, &their_key].map(|key| {
        let mut body = body.clone();
        TWIN.open(key, nonce, binding.as_bytes(), &mut body)
            .unwrap();
        body.truncate(16);
        body
    });
    assert_ne!(one, another);

    // The envelope commits to one key: with either's commitment the other refuses.
    let crafted = |commitment: &[u8]| {
        let before = honest.as_bytes().get(..HEADER_BYTES + 12).unwrap();
        Envelope::from_bytes([before, commitment, &body].concat()).unwrap()
    };
    let with_mine = crafted(frame.commitment);
    assert_eq!(*mine.open(&binding, &with_mine).unwrap(), one);
    assert!(matches!(
        theirs.open(&binding, &with_mine),
        Err(VaultError::Mismatch)
    ));
}

#[test]
fn a_commitment_of_another_envelope_is_refused() {
    let key = SealingKey::new(b"test", &[1; 32], KeyId::from_bytes([0; 16]), Term(1), TWIN);
    let binding = Binding::of(&[b"here"]);
    let [one, another] =
        [b"one", b"two"].map(|content| key.seal(&binding, content).unwrap().into_bytes());
    let commitment = HEADER_BYTES + 12..HEADER_BYTES + 12 + 32;
    let mut swapped = one;
    swapped
        .get_mut(commitment.clone())
        .unwrap()
        .copy_from_slice(another.get(commitment).unwrap());
    let swapped = Envelope::from_bytes(swapped).unwrap();
    assert!(matches!(
        key.open(&binding, &swapped),
        Err(VaultError::Mismatch)
    ));
}
