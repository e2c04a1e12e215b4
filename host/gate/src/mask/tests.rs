//! What is masked, and what is let through.

use std::sync::{Arc, OnceLock};

use futures_util::FutureExt as _;
use keyway_model::limit::{
    CREDENTIAL_BYTES_MAX, MASKS_HELD_BYTES_MAX, MASKS_HELD_BYTES_PER_WORKSPACE_MAX,
};
use keyway_model::{ConnectionId, TenantId};
use memchr::memmem;

use super::kept::{Kept, Known, MADE_HERE_BYTES};
use super::*;

const SECRET: &[u8] = b"s3cr3t/with+odd\"chars";

fn encodings() -> Vec<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let mut all = vec![
        SECRET.to_vec(),
        hex::encode(SECRET).into_bytes(),
        hex::encode_upper(SECRET).into_bytes(),
    ];
    for before in ["", "x", "xy"] {
        let wrapped = [before.as_bytes(), SECRET, b"!?"].concat();
        all.push(STANDARD.encode(&wrapped).into_bytes());
        all.push(URL_SAFE_NO_PAD.encode(&wrapped).into_bytes());
    }
    all.push(b"s3cr3t%2Fwith%2Bodd%22chars".to_vec());
    all.push(b"s3cr3t%2fwith%2bodd%22chars".to_vec());
    all.push(b"s3cr3t/with+odd\\\"chars".to_vec());
    all.push(b"s3cr3t\\/with+odd\\\"chars".to_vec());
    all
}

#[test]
fn every_encoding_of_a_secret_is_found() {
    let mask = Mask::of([SECRET]);
    for encoded in encodings() {
        let body = [b"before ", encoded.as_slice(), b" after"].concat();
        let (masked, count) = mask.whole(&body).unwrap_or_default();
        assert!(count >= 1, "{}", String::from_utf8_lossy(&body));
        assert!(masked.starts_with(b"before ") && masked.ends_with(b" after"));
    }
    assert!(mask.whole(b"nothing of the kind").is_none());
}

#[test]
fn the_answer_does_not_depend_on_where_chunks_are_cut() {
    let mask = Mask::of([SECRET]);
    for encoded in encodings() {
        let body = [b"{\"a\":\"", encoded.as_slice(), encoded.as_slice(), b"\"}"].concat();
        let (whole, _) = mask.whole(&body).unwrap_or_default();
        for cut in 0..body.len() {
            for second in [cut, (cut + 1).min(body.len()), (cut + 7).min(body.len())] {
                let mut stream = MaskStream::new(&mask);
                let mut out = stream.push(&body[..cut]);
                out.extend(stream.push(&body[cut..second]));
                out.extend(stream.push(&body[second..]));
                out.extend(stream.finish());
                assert_eq!(out, whole, "cut at {cut} and {second}");
                assert!(stream.count() >= 1);
            }
        }
    }
}

/// What ordinary encoders make of a secret, each escaping its own choice of characters.
#[test]
fn every_encoder_escapes_other_characters_and_all_are_found() {
    let secret = "tok+en/AB&<cd>='x y\"z9";
    let mask = Mask::of([secret.as_bytes()]);
    for written in [
        r#"tok\u002Ben/AB\u0026\u003Ccd\u003E=\u0027x y\u0022z9"#,
        r#"tok+en/AB\u0026\u003ccd\u003e='x y\"z9"#,
        "tok+en/AB&amp;&lt;cd&gt;=&#39;x y&quot;z9",
        "tok+en/AB&#38;&#x3c;cd&#62;=&apos;x y&#34;z9",
        "tok%2Ben/AB%26%3Ccd%3E%3D%27x%20y%22z9",
        "tok%2Ben%2FAB%26%3Ccd%3E%3D'x+y%22z9",
        r"tok\x2Ben/AB\x26<cd>='x y\x22z9",
        "tok=2Ben/AB&<cd>=3D'x y\"z9",
    ] {
        let body = format!("before {written} after");
        let (masked, count) = mask.whole(body.as_bytes()).unwrap_or_default();
        assert_eq!(count, 1, "{written}");
        assert_eq!(masked, b"before [masked] after", "{written}");
    }
}

#[test]
fn an_encoding_in_lines_is_found() {
    use base64::Engine as _;
    let secret = b"a-secret-that-is-long-enough-for-two-lines-of-mime";
    let mask = Mask::of([secret.as_slice()]);
    let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
    for line_break in ["\r\n", "\n", "\\r\\n", "\\n"] {
        let body = [
            &encoded[..20],
            line_break,
            &encoded[20..41],
            line_break,
            &encoded[41..],
        ];
        let (masked, count) = mask.whole(body.concat().as_bytes()).unwrap_or_default();
        assert_eq!(count, 1, "{}", String::from_utf8_lossy(&masked));
        assert!(masked.len() < MASKED.len() + 6);
    }
}

#[test]
fn what_is_hard_to_search_is_masked_and_takes_no_longer() {
    let mask = Mask::of([vec![b'a'; 4000].as_slice()]);
    let mut stream = MaskStream::new(&mask);
    let mut out = Vec::new();
    for _ in 0..16 {
        out.extend(stream.push(&vec![b'a'; 1 << 16]));
    }
    out.extend(stream.finish());
    assert_eq!(out, MASKED);
    assert!(stream.effort.steps < 1 << 27, "{}", stream.effort.steps);
}

/// Each backslash is itself or half of an escaped one, so the places where the
/// next byte may begin are as many as there were bytes.
#[test]
fn what_can_be_read_in_many_ways_takes_no_longer() {
    let mask = Mask::of([vec![b'\\'; 4000].as_slice()]);
    let mut stream = MaskStream::new(&mask);
    let mut out = Vec::new();
    for _ in 0..4 {
        out.extend(stream.push(&vec![b'\\'; 1 << 16]));
    }
    out.extend(stream.finish());
    assert_eq!(out, MASKED);
    assert!(stream.effort.steps < 1 << 24, "{}", stream.effort.steps);
}

#[test]
fn matches_that_overlap_or_touch_are_one() {
    let mask = Mask::of([b"abcabcab".as_slice()]);
    for (body, expected) in [
        ("xabcabcabcaby", "x[masked]y"),
        ("xabcabcababcabcaby", "x[masked]y"),
        ("abcabcab abcabcab", "[masked] [masked]"),
    ] {
        let (masked, _) = mask.whole(body.as_bytes()).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&masked), expected);
    }
}

#[test]
fn a_long_body_is_searched_the_same_way() {
    let mask = Mask::of([SECRET]);
    let padding = vec![b'.'; 16 << 10];
    let body = [padding.as_slice(), SECRET, padding.as_slice(), SECRET].concat();
    let (masked, count) = mask.whole(&body).unwrap_or_default();
    assert_eq!(count, 2);
    assert_eq!(memmem::find_iter(&masked, MASKED).count(), 2);
    assert!(memmem::find(&masked, SECRET).is_none());
}

#[test]
fn a_kept_mask_is_for_the_secrets_of_now() {
    let masks = Masks::default();
    let (owner, connection) = (TenantId::random(), ConnectionId::random());
    let of = |secret: &[u8]| made(&masks, owner, connection, secret);
    let first = of(b"the-first-secret");
    assert!(Arc::ptr_eq(&first, &of(b"the-first-secret")));
    let second = of(b"the-second-secret");
    assert!(second.whole(b"the-second-secret").is_some());
    assert!(second.whole(b"the-first-secret").is_none());
    let other = masks.of(owner, ConnectionId::random(), Vec::new());
    assert!(other.now_or_never().unwrap().unwrap().is_empty());
    assert_eq!(masks.known.lock().kept.len(), 2);
}

/// The mask for one secret that is short, or for which one is kept.
fn made(masks: &Masks, owner: TenantId, connection: ConnectionId, secret: &[u8]) -> Arc<Mask> {
    let secrets = vec![Zeroizing::new(secret.to_vec())];
    let made = masks.of(owner, connection, secrets).now_or_never();
    made.unwrap().unwrap()
}

#[test]
fn masks_of_long_secrets_are_made_aside_and_one_at_a_time_for_a_workspace() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let masks = Masks::default();
    let [owner, rival] = [TenantId::random(), TenantId::random()];
    let long = vec![b'x'; MADE_HERE_BYTES + 1];
    let of = |owner, connection| {
        let secrets = vec![Zeroizing::new(long.clone())];
        Box::pin(masks.of(owner, connection, secrets))
    };
    let [its, further, anothers] = [(); 3].map(|()| ConnectionId::random());
    runtime.block_on(async {
        // All that is done aside waits behind this.
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let before = tokio::task::spawn_blocking(move || wait.recv());
        let mut all = [
            of(owner, its),
            of(owner, its),
            of(owner, further),
            of(rival, anothers),
        ];
        for making in &mut all {
            assert!(making.now_or_never().is_none(), "it was made here");
        }
        assert_eq!(masks.turns.counts(), (2, 2));
        // A short one is made meanwhile, and who waits no more leaves the rest their turns.
        made(&masks, owner, ConnectionId::random(), SECRET);
        let [first, same, gone, other] = all;
        drop((gone, go_on));
        assert!(before.await.unwrap().is_err());
        let (first, same) = (first.await.unwrap(), same.await.unwrap());
        assert!(Arc::ptr_eq(&first, &same), "it was made twice");
        assert!(other.await.unwrap().whole(&long).is_some());
    });
    assert_eq!(masks.turns.counts(), (0, 0));
    assert!(made(&masks, owner, its, &long).whole(&long).is_some());
}

/// Keeps a mask as if it took so many bytes.
fn keep(known: &mut Known, owner: TenantId, bytes: u64) -> ConnectionId {
    let connection = ConnectionId::random();
    let mut kept = Kept::new(owner, vec![Zeroizing::new(SECRET.to_vec())]);
    kept.bytes = bytes;
    known.keep(connection, kept);
    connection
}

#[test]
fn masks_of_one_workspace_stay_within_their_bytes() {
    let masks = Masks::default();
    let [few, many] = [TenantId::random(), TenantId::random()];
    let [its, anothers] = [ConnectionId::random(), ConnectionId::random()];
    let of = |owner, connection| made(&masks, owner, connection, SECRET);
    let (first, other) = (of(many, its), of(few, anothers));
    let bytes = masks.known.lock().held_by(many);
    assert!(bytes > first.bytes() as u64 && first.bytes() > 40 * SECRET.len());
    for _ in 0..20 {
        let known = &mut masks.known.lock();
        let last = keep(known, many, MASKS_HELD_BYTES_PER_WORKSPACE_MAX / 8);
        let held = known.held_by(many);
        assert!(held <= MASKS_HELD_BYTES_PER_WORKSPACE_MAX, "{held}");
        assert!(known.kept.contains_key(&last), "the last is kept");
    }
    assert_eq!(masks.known.lock().kept.len(), 9);
    assert!(Arc::ptr_eq(&other, &of(few, anothers)), "another's stays");
    let again = of(many, its);
    assert!(!Arc::ptr_eq(&first, &again), "it was let go");
    assert!(again.whole(SECRET).is_some());
}

#[test]
fn where_all_masks_are_too_many_bytes_those_of_the_largest_holder_go() {
    let mut known = Known::default();
    let piece = MASKS_HELD_BYTES_PER_WORKSPACE_MAX / 8;
    let small = TenantId::from_bits(1);
    keep(&mut known, small, piece);
    for tenant in (2..9).map(TenantId::from_bits) {
        for _ in 0..20 {
            keep(&mut known, tenant, piece);
            assert!(known.bytes <= MASKS_HELD_BYTES_MAX, "{}", known.bytes);
        }
        let held = known.held_by(tenant);
        assert!(held >= piece, "who comes last has some, too");
    }
    assert_eq!(known.held_by(small), piece);
    keep(&mut known, small, MASKS_HELD_BYTES_PER_WORKSPACE_MAX + 1);
    assert_eq!(known.held_by(small), piece, "what is too long is not kept");
}

/// Of a user and a password, which travel encoded.
#[test]
fn the_mask_of_the_longest_credential_can_be_kept() {
    let part = 64;
    let plain = b"\x02>~z".repeat(CREDENTIAL_BYTES_MAX / part / 4);
    let encoded = b"/+9a".repeat(CREDENTIAL_BYTES_MAX / part / 3);
    let secrets = [&plain, &encoded, &plain[2..].to_vec()].map(|it| Zeroizing::new(it.clone()));
    let bytes = Kept::new(TenantId::random(), secrets.to_vec()).bytes;
    let bytes = bytes * part as u64;
    assert!(bytes < MASKS_HELD_BYTES_PER_WORKSPACE_MAX, "{bytes}");
}

#[test]
fn a_body_in_single_bytes_is_moved_about_once() {
    let mask = Mask::of([vec![b'x'; 400].as_slice()]);
    let mut stream = MaskStream::new(&mask);
    let (bytes, mut shown, mut moved) = (1 << 16, 0, 0);
    for _ in 0..bytes {
        let out = stream.push(b".");
        shown += out.len();
        // What is left after something went is where it was, or was moved to the front.
        if !out.is_empty() && stream.held.gone == 0 {
            moved += stream.held.bytes().len();
        }
    }
    assert!(shown > bytes / 2, "{shown}");
    assert!(moved <= bytes, "{moved}");
    assert_eq!(shown + stream.finish().len(), bytes);
}

#[test]
fn many_secrets_are_found_among_each_other() {
    let secrets: Vec<Vec<u8>> = (0..40_u8)
        .map(|number| [&[b'A' + number], b"-secret-".as_slice(), &[number; 3]].concat())
        .collect();
    let mask = Mask::of(secrets.iter().map(Vec::as_slice));
    let body = secrets.join(b" and ".as_slice());
    let (masked, count) = mask.whole(&body).unwrap_or_default();
    assert_eq!(count as usize, secrets.len());
    assert_eq!(
        memmem::find_iter(&masked, b" and ").count(),
        secrets.len() - 1
    );
}

#[test]
fn a_body_that_is_open_when_the_credential_leaves_is_searched_from_then_on() {
    let body = [b"since ".as_slice(), SECRET, b" end"].concat();
    for cut in 0..body.len() {
        let mask = OnceLock::new();
        let mut stream = ReplyStream::under(&mask);
        assert_eq!(stream.push(b"before, "), b"before, ");
        mask.get_or_init(|| Arc::new(Mask::of([SECRET])));
        let mut out = stream.push(&body[..cut]);
        out.extend(stream.push(&body[cut..]));
        out.extend(stream.finish());
        assert_eq!(out, b"since [masked] end", "cut at {cut}");
        assert_eq!(stream.count(), 1);
    }
}

#[test]
fn a_body_of_a_call_without_credential_passes_as_it_is() {
    let mask = OnceLock::new();
    let mut stream = ReplyStream::under(&mask);
    assert_eq!(stream.push(SECRET), SECRET);
    assert_eq!(stream.finish(), b"");
    assert_eq!(stream.count(), 0);
}

#[test]
fn a_secret_that_is_no_text_is_found_in_json_as_replacement_characters() {
    let mask = Mask::of([b"\xff/secret\xc3".as_slice()]);
    for body in ["\u{fffd}/secret\u{fffd}", "\u{fffd}\\/secret\u{fffd}"] {
        let (masked, _) = mask.whole(body.as_bytes()).unwrap_or_default();
        assert_eq!(masked, MASKED, "{body}");
    }
}

#[test]
fn an_empty_mask_lets_everything_through_at_once() {
    let mask = Mask::of([]);
    let mut stream = MaskStream::new(&mask);
    assert_eq!(stream.push(b"abc"), b"abc");
    assert_eq!(stream.finish(), b"");
}
