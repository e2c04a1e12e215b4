//! Act 3: an approved but malicious connector tries what it was not granted.
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null where it has nothing"
)]

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};

use super::caller;
use super::stage::Stage;
use super::story::{control, text};

/// One attempt: what is tried, with what, and what must come of it.
struct Attempt {
    title: &'static str,
    input: Value,
    ends: End,
    /// What an administrator may do about it, where no denial says so.
    remedy: &'static str,
}

/// How an attempt must end.
enum End {
    /// The gate denies it, for this reason.
    Denied(&'static str),
    /// It leaves the gate and is refused on the way out, with this word.
    Refused(&'static str),
    /// The reply comes, with the credential masked in it.
    Masked,
    /// The guest sees this, and nothing leaves.
    Seen(&'static str),
    /// The host ends the guest at this limit.
    Limit(&'static str),
}

/// Act 3.
pub(super) fn act(stage: &mut Stage) -> Result<()> {
    stage.act("Act 3. The attacker: an approved connector that tries everything else");
    let token = std::fs::read_to_string(stage.dir().join("token.txt"))?;
    imports(stage)?;
    stage.run("connector install hostile.wasm")?;
    let digest = text(&stage.ask("connector show hostile")?["digest"]);
    stage.run(&format!(
        "connector approve hostile --digest {digest} --why 'the attacker fooled the reviewer'"
    ))?;
    stage.run(&format!(
        "connection create target --connector hostile --parameter host=localhost --parameter port={} --credential-file token.txt",
        stage.upstream_port
    ))?;
    stage.run("recipe apply attempt.yaml")?;
    let hook = text(&stage.ask("recipe show attempt")?["webhook_url"]);
    for attempt in attempts(stage.upstream_port) {
        tried(stage, &hook, &attempt, &token)?;
    }
    other_tenant(stage, &hook)
}

/// Files and sockets are not even importable.
fn imports(stage: &mut Stage) -> Result<()> {
    stage.say("A component that could open a socket or a file is refused before it runs.");
    for (file, import) in [
        ("hostile_socket.wasm", "wasi:sockets"),
        ("hostile_file.wasm", "wasi:filesystem"),
    ] {
        let refusal = stage.refused(&format!("connector install {file}"))?;
        stage.check(refusal.contains(import), "the refusal names the import")?;
    }
    Ok(())
}

fn attempts(port: u16) -> Vec<Attempt> {
    let here = |path: &str| format!("https://localhost:{port}{path}");
    let attempt = |title, input, ends, remedy| Attempt {
        title,
        input,
        ends,
        remedy,
    };
    let admin = here(&format!(
        "/redirect?to=https%3A%2F%2Flocalhost%3A{port}%2Fadmin"
    ));
    let never = "nothing makes a credential readable for a connector";
    vec![
        attempt(
            "another host",
            json!({ "what": "other_host" }),
            End::Denied("destination"),
            "",
        ),
        attempt(
            "another method",
            json!({ "what": "other_method" }),
            End::Denied("method"),
            "",
        ),
        attempt(
            "another path",
            json!({ "what": "other_path" }),
            End::Denied("path"),
            "",
        ),
        attempt(
            "a private address, which its manifest declares",
            json!({ "what": "private_address" }),
            End::Refused("cloud metadata"),
            "",
        ),
        attempt(
            "a redirect to another path, followed",
            json!({ "what": "redirect", "url": admin }),
            End::Denied("path"),
            "",
        ),
        attempt(
            "its credential, read back from a page that reflects headers",
            json!({ "what": "reflect_credential", "url": here("/reflect") }),
            End::Masked,
            never,
        ),
        attempt(
            "the same, in base64",
            json!({ "what": "reflect_credential", "url": here("/reflect?encoding=base64") }),
            End::Masked,
            never,
        ),
        attempt(
            "an Authorization header of its own",
            json!({ "what": "own_authorization" }),
            End::Seen("\"outcome\":\"refused\""),
            "the header is the host's to fill: [auth] in the manifest says how",
        ),
        attempt(
            "the environment",
            json!({ "what": "read_environment" }),
            End::Seen("\"variables\":{}"),
            "what a connector may know goes into the connection: --parameter NAME=VALUE",
        ),
        attempt(
            "an endless loop",
            json!({ "what": "endless_loop" }),
            End::Limit("cpu_ms_max"),
            "[limits] cpu_ms_max, or `keyway connector revoke`",
        ),
        attempt(
            "a memory bomb",
            json!({ "what": "memory_bomb" }),
            End::Limit("memory_bytes_max"),
            "[limits] memory_bytes_max, or `keyway connector revoke`",
        ),
    ]
}

fn tried(stage: &mut Stage, hook: &str, attempt: &Attempt, token: &str) -> Result<()> {
    let before = sent(stage)?;
    stage.say(&format!(
        "• {}\n$ curl --json '{}' {hook}",
        attempt.title, attempt.input
    ));
    let (status, seen) = caller::post(hook, &attempt.input)?;
    let seen = seen.to_string();
    stage.reply(&format!("the guest saw:          {status} {}", cut(&seen)));
    let job = text(&stage.ask("job list --limit 1")?[0]["id"]);
    let shown = stage.ask(&format!("job show {job}"))?;
    let step = shown["steps"]
        .as_array()
        .and_then(|steps| steps.first())
        .cloned()
        .unwrap_or_default();
    for line in what_people_see(&step) {
        stage.reply(&format!("the administrator sees: {line}").replace("\n", " "));
    }
    if !attempt.remedy.is_empty() {
        stage.reply(&format!("the remedy:             {}", attempt.remedy));
    }
    stage.check(
        !seen.contains(token),
        &format!("`{}` does not give the credential away", attempt.title),
    )?;
    let (ended, what) = match attempt.ends {
        End::Denied(reason) => (
            any(&step["seen"]["denials"], |denial| {
                denial["reason"] == reason
            }),
            format!("is denied for its {reason}"),
        ),
        End::Refused(word) => (
            any(&step["seen"]["requests"], |request| {
                text(&request["failed"]).contains(word)
            }),
            format!("is refused as {word}"),
        ),
        End::Masked => (
            any(&step["seen"]["requests"], |request| {
                request["masked"].as_u64() > Some(0)
            }),
            "gets a masked reply".to_owned(),
        ),
        End::Seen(word) => (
            seen.contains(word) && sent(stage)? == before,
            format!("sees {word}, and nothing leaves"),
        ),
        End::Limit(name) => (
            text(&step["failure"]).contains(name) && recorded(stage, &job, name)?,
            format!("ends at {name}, and the log says so"),
        ),
    };
    stage.check(ended, &format!("`{}` {what}", attempt.title))
}

/// What the upstream has received, by path.
fn sent(stage: &Stage) -> Result<Value> {
    let effects = control(stage, Method::GET, "/control/effects", &Value::Null)?;
    Ok(effects["by_path"].clone())
}

fn any(list: &Value, is: impl Fn(&Value) -> bool) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(is))
}

/// Whether the log says that the guest of this job was ended at a limit.
fn recorded(stage: &Stage, job: &str, limit: &str) -> Result<bool> {
    let log = stage.ask("audit list --limit 20")?;
    Ok(any(&log, |line| {
        line["record"]["actor"]["job"] == job && text(&line["record"]["ended"]).contains(limit)
    }))
}

/// Denials with their remedy, masked replies, and the step's failure.
fn what_people_see(step: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for denial in step["seen"]["denials"].as_array().into_iter().flatten() {
        lines.push(format!(
            "denied {} ({})",
            text(&denial["asked"]),
            text(&denial["reason"])
        ));
        lines.push(format!("remedy: {}", text(&denial["remedy"])));
    }
    for request in step["seen"]["requests"].as_array().into_iter().flatten() {
        let masked = request["masked"].as_u64().unwrap_or(0);
        if masked > 0 {
            lines.push(format!(
                "{} {} → {}, credential masked {masked} time(s)",
                text(&request["method"]),
                text(&request["url"]),
                request["status"]
            ));
        } else if let Some(failed) = request["failed"].as_str() {
            lines.push(format!(
                "{} {} → {failed}",
                text(&request["method"]),
                text(&request["url"])
            ));
        }
    }
    lines.extend(
        step["failure"]
            .as_str()
            .map(|failure| format!("the step failed: {failure}")),
    );
    if lines.is_empty() {
        lines.push("nothing happened that was not granted".to_owned());
    }
    lines
}

/// State of another workspace under the same names, and its job list.
fn other_tenant(stage: &mut Stage, hook: &str) -> Result<()> {
    stage.say(
        "• another tenant's state and jobs: a rival has the same connector, connection and key",
    );
    stage.run("workspace create rival")?;
    let rival = "--workspace rival";
    stage.run(&format!("{rival} connector install hostile.wasm"))?;
    let digest = text(&stage.ask(&format!("{rival} connector show hostile"))?["digest"]);
    stage.run(&format!(
        "{rival} connector approve hostile --digest {digest} --why 'the rival uses it, too'"
    ))?;
    stage.run(&format!(
        "{rival} connection create target --connector hostile --parameter host=localhost --parameter port={} --credential-file token.txt",
        stage.upstream_port
    ))?;
    stage.run(&format!("{rival} recipe apply attempt.yaml"))?;
    let theirs = text(&stage.ask(&format!("{rival} recipe show attempt"))?["webhook_url"]);
    let input = json!({ "what": "other_tenant_state", "key": "../cursor" });
    // The first try writes the key, and the second one reads it: state of one's own is there.
    caller::post(&theirs, &input)?;
    let (_, own) = caller::post(&theirs, &input)?;
    stage.reply(&format!(
        "the rival saw its own:  {}",
        cut(&own.to_string())
    ));
    stage.check(
        own.to_string().contains("Ok(Some("),
        "the rival reads what it wrote",
    )?;
    stage.say(&format!("$ curl --json '{input}' {hook}"));
    let (_, seen) = caller::post(hook, &input)?;
    stage.reply(&format!(
        "the guest saw:          {}",
        cut(&seen.to_string())
    ));
    stage.reply("the remedy:             none: a name in one workspace means nothing in another");
    stage.check(
        seen.to_string().contains("Ok(None)") && !seen.to_string().contains("Ok(Some("),
        "no state of anybody else is there",
    )?;
    let token = stage.ask("--workspace rival token create --role admin --label 'a rival'")?;
    super::files::secret(
        &stage.dir().join("rival-token.txt"),
        &text(&token["secret"]),
    )?;
    let url = format!("http://127.0.0.1:{}", stage.api_port);
    let refusal = stage.refused(&format!(
        "--url {url} --token-file rival-token.txt --workspace acme job list"
    ))?;
    stage.check(
        refusal.contains("there is no workspace `acme`"),
        "a foreign workspace looks as if it were not there",
    )
}

fn cut(text: &str) -> String {
    let short: String = text.chars().take(300).collect();
    if short.len() < text.len() {
        format!("{short}…")
    } else {
        short
    }
}
