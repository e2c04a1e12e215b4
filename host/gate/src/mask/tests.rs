//! What is masked, and what is let through.

use super::*;
use memchr::memmem;

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
    assert!(stream.steps < 1 << 27, "{}", stream.steps);
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
    assert!(stream.steps < 1 << 24, "{}", stream.steps);
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
    let connection = ConnectionId::random();
    let of = |secret: &[u8]| masks.of(connection, vec![Zeroizing::new(secret.to_vec())]);
    let first = of(b"the-first-secret");
    assert!(Arc::ptr_eq(&first, &of(b"the-first-secret")));
    let second = of(b"the-second-secret");
    assert!(second.text("the-second-secret").is_some());
    assert!(second.text("the-first-secret").is_none());
    let other = masks.of(ConnectionId::random(), Vec::new());
    assert!(other.is_empty());
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
fn an_empty_mask_lets_everything_through_at_once() {
    let mask = Mask::nothing();
    let mut stream = MaskStream::new(&mask);
    assert_eq!(stream.push(b"abc"), b"abc");
    assert_eq!(stream.finish(), b"");
}
