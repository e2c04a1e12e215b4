//! The order system over real sockets: what a connector, an attacker's connector and a test may rely on.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod client;

use client::{Shop, Transport};
use serde_json::{Value, json};

fn order(reference: &str) -> Value {
    json!({
        "reference": reference,
        "customer": { "name": "Ada", "email": "ada@example.org", "card": "4111" },
        "items": [{ "sku": "LAMP", "quantity": 2, "unit_cents": 150 }],
        "total_cents": 300,
    })
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_one_effect() {
    for transport in [Transport::Clear, Transport::Tls, Transport::TlsHttp2] {
        let shop = Shop::open(transport).await;
        let first = shop
            .post("/orders", &order("A-1"), &[("idempotency-key", "k1")])
            .await;
        let again = shop
            .post("/orders", &order("A-1"), &[("idempotency-key", "k1")])
            .await;
        let other = shop
            .post("/orders", &order("A-1"), &[("idempotency-key", "k2")])
            .await;
        assert_eq!(
            (first.status, first.json()["status"].as_str()),
            (201, Some("accepted"))
        );
        assert_eq!(first.json(), again.json());
        assert_ne!(first.json()["id"], other.json()["id"]);

        let counters = shop.counters().await;
        assert_eq!(
            (counters["effects"].as_u64(), counters["repeats"].as_u64()),
            (Some(2), Some(1))
        );
        assert_eq!(counters["by_key"], json!({ "k1": 2, "k2": 1 }));
        assert_eq!(counters["by_path"], json!({ "/orders": 3 }));
    }
}

#[tokio::test]
async fn a_request_without_the_credential_is_refused_and_counted() {
    let shop = Shop::open(Transport::Tls).await.with_token("wrong");
    let refused = shop.post("/orders", &order("A-1"), &[]).await;
    assert_eq!(refused.status, 401);
    let counters = shop.counters().await;
    assert_eq!(
        (counters["effects"].as_u64(), counters["refused"].as_u64()),
        (Some(0), Some(1))
    );
}

#[tokio::test]
async fn an_order_whose_items_do_not_add_up_is_refused() {
    let shop = Shop::open(Transport::Clear).await;
    let mut wrong = order("A-1");
    wrong["total_cents"] = json!(299);
    assert_eq!(shop.post("/orders", &wrong, &[]).await.status, 422);
    assert_eq!(
        shop.post("/orders", &json!({ "reference": 1 }), &[])
            .await
            .status,
        400
    );
    assert_eq!(shop.counters().await["effects"], 0);
}

#[tokio::test]
async fn a_cursor_walks_over_every_order_once_and_finds_later_ones() {
    let shop = Shop::open(Transport::Clear).await;
    for at in 0..5 {
        assert_eq!(
            shop.post("/control/orders", &order(&format!("A-{at}")), &[])
                .await
                .status,
            201
        );
    }
    let mut references = Vec::new();
    let mut after = String::new();
    loop {
        let page = shop
            .get(&format!("/orders?after={after}&limit=2"))
            .await
            .json();
        for listed in page["orders"].as_array().unwrap() {
            references.push(listed["reference"].as_str().unwrap().to_owned());
            assert_eq!(listed["order"]["customer"]["name"], "Ada");
        }
        after = page["next"].as_str().unwrap().to_owned();
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(references, ["A-0", "A-1", "A-2", "A-3", "A-4"]);
    assert_eq!(
        shop.get(&format!("/orders?after={after}")).await.json()["orders"],
        json!([])
    );
    assert_eq!(
        shop.get(&format!("/orders/{after}")).await.json()["reference"],
        "A-4"
    );
    shop.post("/control/orders", &order("A-5"), &[]).await;
    let later = shop.get(&format!("/orders?after={after}")).await.json();
    assert_eq!(later["orders"][0]["reference"], "A-5");
    assert_eq!(shop.counters().await["effects"], 0);
}

#[tokio::test]
async fn the_reflecting_page_returns_the_credential_in_every_encoding() {
    use base64::Engine as _;
    let shop = Shop::open(Transport::TlsHttp2).await;
    let raw = shop.get("/reflect").await.text();
    assert!(raw.contains(&format!("authorization: Bearer {}\n", shop.token())));
    let pieces = shop.get("/reflect?chunks=3").await.text();
    assert!(pieces.contains(shop.token()));

    let hidden = shop.get("/reflect?encoding=base64&shift=1").await.text();
    let plain = base64::engine::general_purpose::STANDARD
        .decode(&hidden)
        .unwrap();
    assert!(String::from_utf8(plain).unwrap().contains(shop.token()));
    let hidden = shop.get("/reflect?encoding=hex").await.text();
    assert!(hidden.contains(&hex::encode(shop.token())));
    let hidden = shop.get("/reflect?encoding=json").await;
    assert!(!hidden.text().contains(shop.token()));
    assert!(
        hidden.json()["headers"]
            .as_str()
            .unwrap()
            .contains(shop.token())
    );
    assert_eq!(shop.get("/reflect?encoding=rot13").await.status, 400);
    let echoed = shop.get("/reflect?header=x-echo").await;
    assert_eq!(
        echoed.header("x-echo"),
        Some(format!("Bearer {}", shop.token()))
    );
}

#[tokio::test]
async fn a_redirect_goes_wherever_the_caller_says() {
    let shop = Shop::open(Transport::Clear).await;
    let reply = shop.get("/redirect?to=http%3A%2F%2F10.0.0.1%2F").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some("http://10.0.0.1/".into()))
    );
}
