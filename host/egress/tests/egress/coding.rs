//! Encoded replies are decoded within limits, or refused.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use keyway_egress::{EgressError, Limit};
use keyway_model::limit::RESPONSE_EXPANSION_FREE_BYTES;

use crate::support::{Bench, Upstream, read, reply};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn fetch(coding: &str, body: &[u8], body_bytes_max: u64) -> Result<Vec<u8>, EgressError> {
    let upstream =
        Upstream::answering(reply(&format!("content-encoding: {coding}\r\n"), body)).await;
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| config.limits.reply_body_bytes_max = body_bytes_max)
        .build();
    let reply = bench.get(&upstream.url("/")).await?;
    assert!(!reply.headers.contains_key("content-encoding"));
    Ok(read(reply).await?.to_vec())
}

#[tokio::test]
async fn gzip_and_deflate_are_decoded() {
    let text = b"the order of the canary ".repeat(500);
    assert_eq!(fetch("gzip", &gzip(&text), 1 << 20).await.unwrap(), text);
    assert_eq!(fetch("x-gzip", &gzip(&text), 1 << 20).await.unwrap(), text);
    assert_eq!(
        fetch("Deflate", &deflate(&text), 1 << 20).await.unwrap(),
        text
    );
    let two_members = [gzip(b"one "), gzip(b"two")].concat();
    assert_eq!(
        fetch("gzip", &two_members, 1 << 20).await.unwrap(),
        b"one two"
    );
    assert_eq!(
        fetch("identity", b"plain", 1 << 20).await.unwrap(),
        b"plain"
    );
}

#[tokio::test]
async fn a_coding_that_cannot_be_undone_is_refused() {
    for coding in ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "x"] {
        let error = fetch(coding, &gzip(b"text"), 1 << 20).await.unwrap_err();
        assert!(
            matches!(error, EgressError::ContentCoding { .. }),
            "{coding}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_its_header_says_is_refused() {
    let text = b"0123456789".repeat(50);
    // Each with what stands behind its content: a sum, and with gzip a length.
    for (coding, whole, end_bytes) in [("gzip", gzip(&text), 8), ("deflate", deflate(&text), 4)] {
        let mut wrong_sum = whole.clone();
        wrong_sum[whole.len() - end_bytes + 2] ^= 1;
        let short_by = |bytes: usize| whole[..whole.len() - bytes].to_vec();
        let followed_by = |more: &[u8]| [whole.as_slice(), more].concat();
        for (what, body) in [
            ("plain text", b"plain text".to_vec()),
            ("cut in its content", short_by(end_bytes + 1)),
            ("cut in half", short_by(whole.len() / 2)),
            ("cut to one byte", short_by(whole.len() - 1)),
            ("without its end", short_by(end_bytes)),
            ("cut in its end", short_by(1)),
            ("with trailing bytes", followed_by(b"trailing garbage")),
            ("with one byte more", followed_by(b"x")),
            ("with a wrong sum", wrong_sum),
        ] {
            let error = fetch(coding, &body, 1 << 20).await.expect_err(what);
            assert!(
                matches!(error, EgressError::ContentCoding { .. }),
                "{coding} {what}: {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_bomb_ends_at_the_limit_of_expansion() {
    let bomb = gzip(&vec![0; 10 << 20]);
    let error = fetch("gzip", &bomb, 64 << 20).await.unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::TooLarge {
                limit: Limit::ReplyExpansion,
                max: 100,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_short_text_may_repeat_as_it_likes_and_with_one_byte_more_the_ratio_holds() {
    let free = usize::try_from(RESPONSE_EXPANSION_FREE_BYTES).unwrap();
    let packed = |bytes: usize| gzip(&vec![0; bytes]);
    assert!(packed(free).len() * 100 < free, "the ratio would refuse it");
    let text = fetch("gzip", &packed(free), 1 << 20).await.unwrap();
    assert_eq!(text.len(), free);
    let error = fetch("gzip", &packed(free + 1), 1 << 20).await.unwrap_err();
    let EgressError::TooLarge { limit, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(limit, Limit::ReplyExpansion);
}

#[tokio::test]
async fn decoded_bytes_count_against_the_limit_of_the_body() {
    let text = b"abcdefghijklmnopqrstuvwxyz0123456789".repeat(100);
    assert_eq!(
        fetch("gzip", &gzip(&text), 3_600).await.unwrap().len(),
        3_600
    );
    let error = fetch("gzip", &gzip(&text), 3_599).await.unwrap_err();
    assert!(matches!(
        error,
        EgressError::TooLarge {
            limit: Limit::ReplyBodyBytes,
            ..
        }
    ));
}

#[tokio::test]
async fn a_bomb_in_any_wrapping_ends_at_the_limit_of_expansion() {
    let zeros = vec![0; 10 << 20];
    let many_members = gzip(&vec![0; 60 << 10]).repeat(200);
    let twice = gzip(&gzip(&zeros));
    for (coding, body) in [("deflate", deflate(&zeros)), ("gzip", many_members)] {
        let error = fetch(coding, &body, 64 << 20).await.unwrap_err();
        let EgressError::TooLarge { limit, .. } = error else {
            panic!("{coding}: {error:?}")
        };
        assert_eq!(limit, Limit::ReplyExpansion, "{coding}");
    }
    // One layer is undone and no more: what is inside stays as it is.
    let inner = fetch("gzip", &twice, 64 << 20).await.unwrap();
    assert_eq!(inner, gzip(&zeros));
    let error = fetch("gzip, gzip", &twice, 64 << 20).await.unwrap_err();
    assert!(
        matches!(error, EgressError::ContentCoding { .. }),
        "{error:?}"
    );
}

/// Bytes of memory that this process has had at most since the mark was set
/// back.
fn memory_peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}

#[tokio::test]
async fn decoding_holds_less_than_twice_the_limit_in_memory() {
    const MAX: u64 = 4 << 20;
    // Compresses by about 20: under the limit of expansion, over that of the body.
    let mut state = 1_u32;
    let runs = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        [state.to_be_bytes()[0]; 40]
    });
    let body = gzip(&runs.take(1 << 18).flatten().collect::<Vec<u8>>());
    let upstream = Upstream::answering(reply("content-encoding: gzip\r\n", &body)).await;
    drop(body);
    let bench = Bench::builder()
        .allow("127.0.0.1", upstream.port)
        .with(|config| config.limits.reply_body_bytes_max = MAX)
        .build();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory_peak_bytes();
    let error = read(bench.get(&upstream.url("/")).await.unwrap())
        .await
        .unwrap_err();
    let EgressError::TooLarge { limit, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(limit, Limit::ReplyBodyBytes);
    let grown = memory_peak_bytes().saturating_sub(before);
    assert!(grown < 2 * MAX, "{grown} bytes");
}

#[tokio::test]
async fn members_that_hold_nothing_count_although_they_decode_to_nothing() {
    const ALLOWED: u64 = 1 << 20;
    let empty = gzip(b"");
    let text = gzip(b"text");
    let few = [empty.repeat(1_000), text.clone()].concat();
    assert_eq!(fetch("gzip", &few, ALLOWED).await.unwrap(), b"text");
    let many = [empty.repeat(1_100), text].concat();
    assert!((many.len() as u64) < ALLOWED / 30);
    let error = fetch("gzip", &many, ALLOWED).await.unwrap_err();
    let EgressError::TooLarge { limit, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(limit, Limit::ReplyBodyBytes);
}
