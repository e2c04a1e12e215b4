//! Any JSON API over HTTP. Three actions instead of one, so that the effect
//! class is true: `get` and `list` may be repeated after a crash, `send` never.

mod exchange;
mod pages;

use keyway_sdk::{Actions, Connector, Context, Failure};

struct Http;

impl Connector for Http {
    fn actions() -> Actions {
        Actions::new()
            .action("get", exchange::get)
            .action("send", exchange::send)
            .action("list", pages::list)
    }

    fn check(context: &Context) -> Result<String, Failure> {
        let reply = context
            .http()
            .get(format!("{}/", context.origin()?))
            .send()?;
        match reply.status() {
            401 | 403 => reply.error_for_status().map(|_| String::new()),
            status => Ok(format!("the API answers (status {status})")),
        }
    }
}

keyway_sdk::export!(Http);
