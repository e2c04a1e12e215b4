//! A connector with one action and a check of the connection.

use keyway_sdk::{Actions, Connector, Context, Failure, info};
use serde::{Deserialize, Serialize};

struct MyConnector;

impl Connector for MyConnector {
    fn actions() -> Actions {
        // The name is the one in `connector.toml`.
        Actions::new().action("account", account)
    }

    fn check(context: &Context) -> Result<String, Failure> {
        Ok(read(context)?.name)
    }
}

keyway_sdk::export!(MyConnector);

#[derive(Deserialize)]
struct Input {
    greeting: Option<String>,
}

#[derive(Serialize)]
struct Output {
    name: String,
    text: String,
}

fn account(context: &Context, input: Input) -> Result<Output, Failure> {
    let Account { name } = read(context)?;
    info!(context, "the account was read");
    let greeting = input.greeting.as_deref().unwrap_or("Hello");
    Ok(Output { text: format!("{greeting}, {name}!"), name })
}

/// What `GET /account` answers; members that are not named here are ignored.
#[derive(Deserialize)]
struct Account {
    name: String,
}

fn read(context: &Context) -> Result<Account, Failure> {
    let url = format!("{}/account", context.origin()?);
    context.http().get(url).send()?.error_for_status()?.json()
}
