//! Lists that come page by page: by a cursor in the page, by a `Link` header,
//! or by an offset that is counted here.

use keyway_sdk::{Context, Failure, Reply, Value, json};
use serde::Deserialize;

use crate::exchange::{Target, path_of, with_target};

#[derive(Deserialize)]
pub(crate) struct List {
    #[serde(flatten)]
    target: Target,
    /// JSON pointer to the list inside a page.
    #[serde(default)]
    items: String,
    pagination: Pagination,
    #[serde(default = "pages_max")]
    pages_max: usize,
    #[serde(default = "items_max")]
    items_max: usize,
}

#[derive(Deserialize)]
#[serde(tag = "by", rename_all = "lowercase", deny_unknown_fields)]
enum Pagination {
    /// The page holds the next cursor under `pointer`; it is sent as `query`.
    Cursor { pointer: String, query: String },
    /// The reply's `Link` header has `rel="next"`, on the same origin.
    Link {},
    /// `query` is sent with the number of items so far.
    Offset {
        query: String,
        #[serde(default)]
        start: usize,
    },
}

fn pages_max() -> usize {
    10
}

fn items_max() -> usize {
    1000
}

/// Where the next page is.
enum Next {
    End,
    Query(String, String),
    Url(String),
}

pub(crate) fn list(context: &Context, input: List) -> Result<Value, Failure> {
    let origin = context.origin()?;
    let first = format!("{origin}{}", path_of(&input.target)?);
    let mut items: Vec<Value> = Vec::new();
    let mut pages = 0;
    let mut next = match &input.pagination {
        Pagination::Offset { query, start } => Next::Query(query.clone(), start.to_string()),
        Pagination::Cursor { .. } | Pagination::Link {} => Next::Url(String::new()),
    };
    while pages < input.pages_max && items.len() < input.items_max {
        let request = match &next {
            Next::End => break,
            Next::Url(url) if url.is_empty() => {
                with_target(context.http().get(&first), &input.target)
            }
            // The next link repeats the query by itself.
            Next::Url(url) => context.http().get(url),
            Next::Query(name, value) => {
                with_target(context.http().get(&first), &input.target).query(name, value)
            }
        };
        let reply = request.send()?.error_for_status()?;
        let mut page: Value = reply.json()?;
        let found = taken(&mut page, &input.items)?;
        let empty = found.is_empty();
        items.extend(found);
        pages += 1;
        next = following(&input.pagination, &reply, &page, &origin, items.len())?;
        if empty && matches!(input.pagination, Pagination::Offset { .. }) {
            next = Next::End;
        }
    }
    let complete = matches!(next, Next::End) && items.len() <= input.items_max;
    items.truncate(input.items_max);
    Ok(json!({ "items": items, "pages": pages, "complete": complete }))
}

fn taken(page: &mut Value, pointer: &str) -> Result<Vec<Value>, Failure> {
    match page.pointer_mut(pointer) {
        Some(Value::Array(items)) => Ok(std::mem::take(items)),
        _ => Err(Failure::Permanent(format!(
            "the page has no list under the JSON pointer `{pointer}`; set `items`"
        ))),
    }
}

fn following(
    pagination: &Pagination,
    reply: &Reply,
    page: &Value,
    origin: &str,
    count: usize,
) -> Result<Next, Failure> {
    match pagination {
        Pagination::Cursor { pointer, query } => Ok(match page.pointer(pointer) {
            Some(Value::String(cursor)) if !cursor.is_empty() => {
                Next::Query(query.clone(), cursor.clone())
            }
            Some(Value::Number(cursor)) => Next::Query(query.clone(), cursor.to_string()),
            _ => Next::End,
        }),
        Pagination::Link {} => match reply.header("link").and_then(next_link) {
            Some(link) => same_origin(link, origin).map(Next::Url),
            None => Ok(Next::End),
        },
        Pagination::Offset { query, start } => {
            Ok(Next::Query(query.clone(), (start + count).to_string()))
        }
    }
}

/// The target of `rel="next"` in a `Link` header (RFC 8288).
fn next_link(header: &str) -> Option<&str> {
    header.split('<').skip(1).find_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let (name, value) = parameter.trim().split_once('=').unwrap_or_default();
            name.trim().eq_ignore_ascii_case("rel")
                && value
                    .trim()
                    .trim_matches('"')
                    .split(' ')
                    .any(|rel| rel == "next")
        });
        is_next.then_some(target)
    })
}

fn same_origin(link: &str, origin: &str) -> Result<String, Failure> {
    if link.starts_with('/') && !link.starts_with("//") {
        return Ok(format!("{origin}{link}"));
    }
    match link.strip_prefix(origin) {
        Some(rest) if rest.starts_with(['/', '?']) => Ok(link.to_owned()),
        _ => Err(Failure::Permanent(
            "the next page is on another origin; the list stops rather than follow it".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_among_others() {
        let header = r#"<https://h/p?page=1>; rel="prev", <https://h/p?page=3>; rel="next last""#;
        assert_eq!(next_link(header), Some("https://h/p?page=3"));
        assert_eq!(next_link(r#"<https://h/p>; rel="last""#), None);
    }

    #[test]
    fn a_link_to_another_origin_is_not_followed() {
        assert!(same_origin("https://h/p", "https://h").is_ok());
        assert!(same_origin("/p?x", "https://h").is_ok());
        for link in [
            "https://h.evil/p",
            "https://evil/p",
            "//evil/p",
            "http://h/p",
            "https://h:1/p",
        ] {
            assert!(same_origin(link, "https://h").is_err(), "{link}");
        }
    }
}
