//! Masking: bodies that hold secrets in encodings of their choice, in chunks.
//!
//! Wherever the chunks are cut, the answer is the one that a whole body gets;
//! no form that was put in comes out; what holds none is left as it was; masking
//! what is masked changes nothing.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use keyway_gate::{MASKED, Mask, MaskStream};
use memchr::memmem;

use super::Target;
use crate::input::Input;

pub(super) const TARGET: Target = Target {
    name: "mask",
    run,
    tokens: &[
        "%",
        "%25",
        "%2",
        "\\",
        "\\u00",
        "\\x",
        "&#",
        "&#x",
        "&amp;",
        ";",
        "+",
        "=",
        "\r\n",
        "\\n",
        "\"",
        "/",
        "[masked]",
        "s3cr3t",
        "aaaaaaaa",
        "\x0as3cr3t/+=%",
        "==",
        "\u{e9}",
        "\0",
    ],
    input_bytes_max: 2 << 10,
    memory_bytes_max: 16 << 20,
    test_inputs: 1_000,
};

/// A secret shorter than this is not searched for.
const SECRET_BYTES_MIN: usize = 6;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let secrets: Vec<Vec<u8>> = (0..=input.below(2))
        .map(|_| input.piece(48).to_vec())
        .filter(|secret| is_ordinary(secret))
        .collect();
    let mask = Mask::of(secrets.iter().map(Vec::as_slice));
    let cuts: Vec<u16> = (0..input.below(6)).map(|_| input.u16()).collect();
    let mut body = Vec::new();
    let mut hidden = Vec::new();
    while !input.is_empty() {
        body.extend_from_slice(input.piece(32));
        if let Some(secret) = secrets.get(input.below(3)) {
            hide(secret, input.below(9), &mut body, &mut hidden);
        }
    }
    let whole = mask
        .whole(&body)
        .map_or_else(|| body.clone(), |(out, _)| out);
    assert_eq!(in_chunks(&mask, &body, &cuts), whole, "cut at {cuts:?}");
    for form in secrets.iter().chain(&hidden) {
        assert!(
            memmem::find(&whole, form).is_none(),
            "{:?} is in {:?}",
            String::from_utf8_lossy(form),
            String::from_utf8_lossy(&whole)
        );
    }
    assert!(mask.whole(&whole).is_none(), "what is masked holds nothing");
    assert!(!hidden.is_empty() || secrets.is_empty() || body == whole || holds(&body, &whole));
}

/// What was let through stands in the body, in its order.
fn holds(body: &[u8], whole: &[u8]) -> bool {
    let mut rest = body;
    let mut from = 0;
    let ends = memmem::find_iter(whole, MASKED).chain([whole.len()]);
    for end in ends {
        let kept = &whole[from.min(end)..end];
        let Some(at) = memmem::find(rest, kept) else {
            // A body may hold the text of the mark itself.
            return memmem::find(body, MASKED).is_some();
        };
        rest = &rest[at + kept.len()..];
        from = end + MASKED.len();
    }
    true
}

/// Not a part of the mark itself, and nothing that the mark could complete.
fn is_ordinary(secret: &[u8]) -> bool {
    secret.len() >= SECRET_BYTES_MIN
        && !secret.iter().any(|byte| b"[]".contains(byte))
        && memmem::find(MASKED, secret).is_none()
}

fn in_chunks(mask: &Mask, body: &[u8], cuts: &[u16]) -> Vec<u8> {
    let mut places: Vec<usize> = cuts
        .iter()
        .map(|cut| usize::from(*cut) % (body.len() + 1))
        .collect();
    places.sort_unstable();
    let mut stream = MaskStream::new(mask);
    let mut out = Vec::new();
    let mut from = 0;
    for place in places.into_iter().chain([body.len()]) {
        out.extend(stream.push(&body[from..place]));
        from = place;
    }
    out.extend(stream.finish());
    out
}

/// Puts the secret into the body in one encoding, and what must not come out
/// into `hidden`.
fn hide(secret: &[u8], encoding: usize, body: &mut Vec<u8>, hidden: &mut Vec<Vec<u8>>) {
    let written = match encoding {
        0 => secret.to_vec(),
        1 => hex::encode(secret).into_bytes(),
        2 => hex::encode_upper(secret).into_bytes(),
        3 => secret
            .iter()
            .flat_map(|byte| format!("%{byte:02X}").into_bytes())
            .collect(),
        4 => secret
            .iter()
            .flat_map(|byte| format!("\\x{byte:02x}").into_bytes())
            .collect(),
        5 => match std::str::from_utf8(secret) {
            Ok(text) => {
                let quoted = serde_json::to_string(text).unwrap();
                quoted.as_bytes()[1..quoted.len() - 1].to_vec()
            }
            Err(_) => return,
        },
        more => return in_base64(secret, more - 6, body, hidden),
    };
    body.extend_from_slice(&written);
    hidden.push(written);
}

/// In base64 behind `before` other bytes; what depends on the secret alone must
/// not come out.
fn in_base64(secret: &[u8], before: usize, body: &mut Vec<u8>, hidden: &mut Vec<Vec<u8>>) {
    let around = |fill: u8| [&vec![fill; before], secret, &[fill; 3]].concat();
    let engine = if secret.len().is_multiple_of(2) {
        STANDARD
    } else {
        URL_SAFE
    };
    let (one, other) = (engine.encode(around(0)), engine.encode(around(0xff)));
    let same = |(a, b): &(u8, u8)| a == b;
    let pairs: Vec<(u8, u8)> = one.bytes().zip(other.bytes()).collect();
    let inner: Vec<u8> = pairs
        .iter()
        .skip_while(|pair| !same(pair))
        .take_while(|pair| same(pair))
        .map(|(a, _)| *a)
        .collect();
    body.extend_from_slice(one.as_bytes());
    // The padding of both is the same, too, and stands behind a gap.
    if inner.len() >= SECRET_BYTES_MIN {
        hidden.push(inner);
    }
}
