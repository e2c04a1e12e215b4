//! The ways in which the order system misbehaves when it is told to.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod client;

use std::time::Duration;

use client::{Shop, Transport};
use serde_json::json;

const ORDER: &str = r#"{"reference":"A-1","total_cents":0}"#;

#[tokio::test]
async fn down_and_broken_answer_without_an_effect() {
    let shop = Shop::open(Transport::Tls).await;
    for (mode, status) in [("down", 503), ("500", 500), ("up", 201)] {
        shop.set_mode(mode).await;
        let reply = shop
            .post("/orders", &serde_json::from_str(ORDER).unwrap(), &[])
            .await;
        assert_eq!(reply.status, status, "{mode}");
    }
    assert_eq!(shop.counters().await["effects"], 1);
}

#[tokio::test]
async fn reset_has_no_effect_and_lost_has_one() {
    for transport in [Transport::Clear, Transport::Tls, Transport::TlsHttp2] {
        let shop = Shop::open(transport).await;
        for (mode, effects) in [("reset", 0), ("lost", 1)] {
            shop.set_mode(mode).await;
            let order = serde_json::from_str(ORDER).unwrap();
            assert!(
                shop.try_post("/orders", &order, &[]).await.is_err(),
                "{mode}"
            );
            assert_eq!(shop.counters().await["effects"], effects, "{mode}");
        }
    }
}

#[tokio::test]
async fn hang_never_answers() {
    let shop = Shop::open(Transport::Clear).await;
    shop.set_mode("hang").await;
    let order = serde_json::from_str(ORDER).unwrap();
    let asked = shop.try_post("/orders", &order, &[]);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), asked)
            .await
            .is_err()
    );
    assert_eq!(shop.counters().await["requests"], 1);
}

#[tokio::test]
async fn an_endless_body_goes_on_past_any_limit() {
    let shop = Shop::open(Transport::TlsHttp2).await;
    shop.set_mode("endless").await;
    assert!(shop.reads_at_least("/account", 4 * 1024 * 1024).await);
}

#[tokio::test]
async fn gzip_is_announced_and_hides_the_credential() {
    let shop = Shop::open(Transport::Clear).await;
    shop.set_mode("gzip").await;
    let reply = shop.get("/reflect").await;
    assert_eq!(reply.header("content-encoding").as_deref(), Some("gzip"));
    let token = shop.token().as_bytes();
    assert!(!reply.body.windows(token.len()).any(|part| part == token));
}

#[tokio::test]
async fn an_unknown_mode_is_refused() {
    let shop = Shop::open(Transport::Clear).await;
    assert_eq!(
        shop.post("/control/mode", &json!({ "mode": "sideways" }), &[])
            .await
            .status,
        400
    );
    assert_eq!(shop.get("/account").await.json()["name"], "Demo Shop");
}
