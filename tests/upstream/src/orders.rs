//! The pages of the order system that a connector is written against.

use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::answer::{Asked, query};
use crate::book::{Accepted, Book, Order};
use crate::reply::{self, Reply};

/// Orders on a page when the caller does not say, and at most.
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 500;

/// The part of an order that is checked. Customer and everything else is kept as it came.
#[derive(Deserialize)]
struct NewOrder {
    reference: String,
    total_cents: i64,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    quantity: i64,
    unit_cents: i64,
}

/// The answer to an accepted order.
#[derive(Serialize)]
struct Receipt<'a> {
    id: String,
    reference: &'a str,
    status: &'static str,
    total_cents: i64,
}

/// An order as it is listed: the receipt's fields, and what the client sent.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    receipt: Receipt<'a>,
    order: &'a RawValue,
}

/// `POST /orders`: one effect per `Idempotency-Key`.
pub(crate) fn create(book: &Mutex<Book>, asked: &Asked) -> Reply {
    let order = match checked(asked.body()) {
        Ok(order) => order,
        Err((status, reason)) => return reply::refusal(status, &reason),
    };
    let key = asked
        .headers()
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok());
    let body = asked.body().clone();
    let accepted = book
        .lock()
        .accept(key, &order.reference, order.total_cents, body);
    created(&accepted)
}

/// `POST /control/orders`: as if by another client.
pub(crate) fn add(book: &Mutex<Book>, asked: &Asked) -> Reply {
    match checked(asked.body()) {
        Ok(order) => created(&book.lock().add(
            &order.reference,
            order.total_cents,
            asked.body().clone(),
        )),
        Err((status, reason)) => reply::refusal(status, &reason),
    }
}

/// `GET /orders/{id}`.
pub(crate) fn show(book: &Mutex<Book>, id: &str) -> Reply {
    match sequence(id).and_then(|sequence| book.lock().order(sequence)) {
        Some(order) => listed(&order, |listed| reply::json(StatusCode::OK, listed)),
        None => reply::refusal(StatusCode::NOT_FOUND, "there is no such order"),
    }
}

/// `GET /orders?after=CURSOR&limit=N`: oldest first; `next` is the cursor to go on with, also when nothing came.
pub(crate) fn list(book: &Mutex<Book>, asked: &Asked) -> Reply {
    let after = query(asked, "after").unwrap_or_default();
    let Some(after) = (if after.is_empty() {
        Some(0)
    } else {
        sequence(&after)
    }) else {
        return reply::refusal(
            StatusCode::BAD_REQUEST,
            "`after` is not a cursor of this list",
        );
    };
    let limit = match query(asked, "limit").map(|limit| limit.parse::<usize>()) {
        None => PAGE_DEFAULT,
        Some(Ok(limit)) if (1..=PAGE_MAX).contains(&limit) => limit,
        Some(_) => {
            return reply::refusal(StatusCode::BAD_REQUEST, "`limit` is a number from 1 to 500");
        }
    };
    let (page, more) = book.lock().after(after, limit);
    let next = id_of(page.last().map_or(after, |order| order.sequence));
    let orders: Vec<serde_json::Value> = page
        .iter()
        .map(|order| listed(order, |listed| serde_json::json!(listed)))
        .collect();
    reply::json(
        StatusCode::OK,
        &serde_json::json!({ "orders": orders, "next": next, "more": more }),
    )
}

fn checked(body: &Bytes) -> Result<NewOrder, (StatusCode, String)> {
    let order: NewOrder = serde_json::from_slice(body)
        .map_err(|fault| (StatusCode::BAD_REQUEST, format!("not an order: {fault}")))?;
    let sum = order.items.iter().try_fold(0_i64, |sum, item| {
        sum.checked_add(item.quantity.checked_mul(item.unit_cents)?)
    });
    if !order.items.is_empty() && sum != Some(order.total_cents) {
        let reason = format!(
            "total_cents is {}, but the items do not add up to it",
            order.total_cents
        );
        return Err((StatusCode::UNPROCESSABLE_ENTITY, reason));
    }
    Ok(order)
}

fn created(accepted: &Accepted) -> Reply {
    reply::json(
        StatusCode::CREATED,
        &receipt(accepted.sequence, &accepted.reference, accepted.total_cents),
    )
}

fn receipt(sequence: u64, reference: &str, total_cents: i64) -> Receipt<'_> {
    Receipt {
        id: id_of(sequence),
        reference,
        status: "accepted",
        total_cents,
    }
}

/// Hands the listed form of an order to `with`; the body was JSON when it was accepted.
fn listed<R>(order: &Order, with: impl FnOnce(&Listed<'_>) -> R) -> R {
    let body = serde_json::from_slice(&order.body).unwrap_or(RawValue::NULL);
    let receipt = receipt(order.sequence, &order.reference, order.total_cents);
    with(&Listed {
        receipt,
        order: body,
    })
}

fn id_of(sequence: u64) -> String {
    format!("ord-{sequence:08}")
}

fn sequence(id: &str) -> Option<u64> {
    id.strip_prefix("ord-")?.parse().ok()
}
