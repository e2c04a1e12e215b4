//! The orders API: creates orders (keyed, so a retry cannot order twice), finds
//! them, and polls for new ones.

use keyway_sdk::{
    Actions, Batch, Connector, Context, Event, Failure, Triggers, Value, info, segment,
};
use serde::{Deserialize, Serialize};

struct Orders;

impl Connector for Orders {
    fn actions() -> Actions {
        Actions::new().action("create", create).action("find", find)
    }

    fn triggers() -> Triggers {
        Triggers::new().poll("new_orders", new_orders)
    }

    fn check(context: &Context) -> Result<String, Failure> {
        let account: Account = get(context, "/account")?.error_for_status()?.json()?;
        Ok(account.name)
    }
}

keyway_sdk::export!(Orders);

#[derive(Serialize, Deserialize)]
struct NewOrder {
    reference: String,
    customer: Customer,
    items: Vec<Item>,
    total_cents: i64,
}

#[derive(Serialize, Deserialize)]
struct Customer {
    name: String,
    email: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    card: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    sku: String,
    quantity: u32,
    unit_cents: i64,
}

#[derive(Serialize, Deserialize)]
struct Created {
    id: String,
    reference: String,
    status: String,
    total_cents: i64,
}

// The host adds the `Idempotency-Key` header: the manifest says `keyed`.
fn create(context: &Context, order: NewOrder) -> Result<Created, Failure> {
    let url = format!("{}/orders", context.origin()?);
    context
        .http()
        .post(url)
        .json(&order)
        .send()?
        .error_for_status()?
        .json()
}

#[derive(Deserialize)]
struct Find {
    id: String,
}

fn find(context: &Context, input: Find) -> Result<Value, Failure> {
    let path = format!("/orders/{}", segment(&input.id)?);
    get(context, &path)?.error_for_status()?.json()
}

#[derive(Deserialize)]
struct NewOrders {}

#[derive(Deserialize)]
struct Page {
    orders: Vec<Value>,
    next: Option<String>,
    #[serde(default)]
    more: bool,
}

fn new_orders(
    context: &Context,
    _input: NewOrders,
    cursor: Option<String>,
) -> Result<Batch, Failure> {
    let url = format!("{}/orders", context.origin()?);
    let mut request = context.http().get(url).query("limit", "100");
    if let Some(cursor) = &cursor {
        request = request.query("after", cursor);
    }
    let page: Page = request.send()?.error_for_status()?.json()?;
    let events = page
        .orders
        .iter()
        .map(event)
        .collect::<Result<Vec<_>, _>>()?;
    if !events.is_empty() {
        info!(context, "found {} new orders", events.len());
    }
    Ok(Batch {
        events,
        cursor: page.next.or(cursor),
        more: page.more,
    })
}

fn event(order: &Value) -> Result<Event, Failure> {
    let id = order.get("id").and_then(Value::as_str);
    let id = id.ok_or_else(|| Failure::Permanent("an order in the list has no `id`".to_owned()))?;
    Event::new(id, order)
}

#[derive(Deserialize)]
struct Account {
    name: String,
}

fn get(context: &Context, path: &str) -> Result<keyway_sdk::Reply, Failure> {
    context
        .http()
        .get(format!("{}{path}", context.origin()?))
        .send()
}
