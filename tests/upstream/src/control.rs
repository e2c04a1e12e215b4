//! `/control`: how a test looks behind the order system's counter and tells it how to behave. It wants no credential.

use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::answer::Asked;
use crate::book::Book;
use crate::mode::Mode;
use crate::orders;
use crate::reply::{self, Reply};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMode {
    mode: Mode,
}

/// Answers a control request.
pub(crate) fn answer(book: &Mutex<Book>, asked: &Asked) -> Reply {
    match (asked.method(), asked.uri().path()) {
        (&Method::GET, "/control/effects") => reply::json(StatusCode::OK, &book.lock().counters()),
        (&Method::POST, "/control/mode") => set_mode(book, asked),
        (&Method::POST, "/control/orders") => orders::add(book, asked),
        (&Method::POST, "/control/reset") => {
            *book.lock() = Book::default();
            reply::json(StatusCode::OK, &serde_json::json!({}))
        }
        _ => reply::refusal(StatusCode::NOT_FOUND, "there is no such control"),
    }
}

fn set_mode(book: &Mutex<Book>, asked: &Asked) -> Reply {
    match serde_json::from_slice::<SetMode>(asked.body()) {
        Ok(set) => {
            book.lock().mode = set.mode;
            reply::json(StatusCode::OK, &serde_json::json!({ "mode": set.mode }))
        }
        Err(fault) => reply::refusal(StatusCode::BAD_REQUEST, &fault.to_string()),
    }
}
