//! The work of W1 and W2 itself: an order from a shop, renamed and summed for the order system.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The order that every bench posts: exactly 1 KiB of JSON.
pub const ORDER: &[u8] = include_bytes!("../order.json");

/// The order as the shop sends it; fields that W1 does not pick are skipped.
#[derive(Debug, Deserialize)]
pub struct ShopOrder<'a> {
    #[serde(borrow)]
    order_id: Cow<'a, str>,
    #[serde(borrow)]
    buyer: Buyer<'a>,
    #[serde(borrow)]
    lines: Vec<Line<'a>>,
}

#[derive(Debug, Deserialize)]
struct Buyer<'a> {
    #[serde(borrow)]
    full_name: Cow<'a, str>,
    #[serde(borrow)]
    email: Cow<'a, str>,
    #[serde(borrow)]
    card: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    sku: Cow<'a, str>,
    qty: i64,
    price_cents: i64,
}

/// The order as the order system wants it.
#[derive(Debug, Serialize)]
pub struct NewOrder<'a> {
    /// The shop's own number of the order.
    pub reference: &'a str,
    customer: Customer<'a>,
    items: Vec<Item<'a>>,
    /// What all items cost together.
    pub total_cents: i64,
}

#[derive(Debug, Serialize)]
struct Customer<'a> {
    name: &'a str,
    email: &'a str,
    card: &'a str,
}

#[derive(Debug, Serialize)]
struct Item<'a> {
    sku: &'a str,
    quantity: i64,
    unit_cents: i64,
}

/// The order system's answer.
#[derive(Debug, Deserialize)]
pub struct Receipt<'a> {
    /// The order's id there.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// `accepted`, or the reason why not.
    #[serde(borrow)]
    pub status: Cow<'a, str>,
}

/// What the webhook answers.
#[derive(Debug, Serialize)]
pub struct Respond<'a> {
    /// The order's id at the order system, or the reference where no order was posted.
    pub id: &'a str,
    /// The shop's own number of the order.
    pub reference: &'a str,
    /// What all items cost together.
    pub total_cents: i64,
}

impl ShopOrder<'_> {
    /// The transform step: pick, rename, total. `None` if the total does not fit 64 bits.
    #[must_use]
    pub fn transformed(&self) -> Option<NewOrder<'_>> {
        let total_cents = self.lines.iter().try_fold(0_i64, |sum, line| {
            sum.checked_add(line.qty.checked_mul(line.price_cents)?)
        })?;
        let items = self.lines.iter().map(|line| Item {
            sku: &line.sku,
            quantity: line.qty,
            unit_cents: line.price_cents,
        });
        Some(NewOrder {
            reference: &self.order_id,
            customer: Customer {
                name: &self.buyer.full_name,
                email: &self.buyer.email,
                card: &self.buyer.card,
            },
            items: items.collect(),
            total_cents,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ORDER, ShopOrder};

    #[test]
    fn the_order_is_one_kibibyte_and_sums_up() {
        assert_eq!(ORDER.len(), 1024);
        let order: ShopOrder<'_> = serde_json::from_slice(ORDER).expect("the bench's own order");
        assert_eq!(
            order.transformed().map(|order| order.total_cents),
            Some(14_907)
        );
    }
}
