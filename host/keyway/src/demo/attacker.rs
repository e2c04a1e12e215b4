//! Act 3: an approved but malicious connector tries what it was not granted.
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null where it has nothing"
)]

use anyhow::Result;
use serde_json::{Value, json};

use super::caller;
use super::stage::Stage;
use super::story::text;

/// One attempt: what is tried, with what, and what the administrator must see.
struct Attempt {
    title: &'static str,
    input: Value,
    /// A word of the reason that the job shows.
    shows: &'static str,
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
    let attempt = |title, input, shows| Attempt {
        title,
        input,
        shows,
    };
    vec![
        attempt(
            "another host",
            json!({ "what": "other_host" }),
            "destination",
        ),
        attempt(
            "another method",
            json!({ "what": "other_method" }),
            "method",
        ),
        attempt("another path", json!({ "what": "other_path" }), "path"),
        attempt(
            "a private address",
            json!({ "what": "private_address" }),
            "destination",
        ),
        attempt(
            "a redirect to another path, followed",
            json!({ "what": "redirect", "url": here(&format!("/redirect?to=https%3A%2F%2Flocalhost%3A{port}%2Fadmin")) }),
            "path",
        ),
        attempt(
            "its credential, read back from a page that reflects headers",
            json!({ "what": "reflect_credential", "url": here("/reflect") }),
            "masked",
        ),
        attempt(
            "the same, in base64",
            json!({ "what": "reflect_credential", "url": here("/reflect?encoding=base64") }),
            "masked",
        ),
        attempt(
            "an Authorization header of its own",
            json!({ "what": "own_authorization" }),
            "\"outcome\":\"refused\"",
        ),
        attempt(
            "the environment",
            json!({ "what": "read_environment" }),
            "\"variables\":{}",
        ),
        attempt(
            "an endless loop",
            json!({ "what": "endless_loop" }),
            "cpu_ms_max",
        ),
        attempt(
            "a memory bomb",
            json!({ "what": "memory_bomb" }),
            "memory_bytes_max",
        ),
    ]
}

fn tried(stage: &mut Stage, hook: &str, attempt: &Attempt, token: &str) -> Result<()> {
    let (status, seen) = caller::post(hook, &attempt.input)?;
    let seen = seen.to_string();
    stage.say(&format!(
        "• {}\n  the guest saw:          {status} {}",
        attempt.title,
        cut(&seen)
    ));
    let job = text(&stage.ask("job list --limit 1")?[0]["id"]);
    let shown = stage.ask(&format!("job show {job}"))?;
    let step = shown["steps"]
        .as_array()
        .and_then(|steps| steps.first())
        .cloned()
        .unwrap_or_default();
    for line in what_people_see(&step) {
        stage.say(&format!("  the administrator sees: {line}").replace("\n", " "));
    }
    let everything = shown.to_string();
    stage.check(
        !seen.contains(token),
        &format!("`{}` does not give the credential away", attempt.title),
    )?;
    stage.check(
        everything.contains(attempt.shows),
        &format!("the job of `{}` shows `{}`", attempt.title, attempt.shows),
    )
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

/// State of another workspace, and its job list.
fn other_tenant(stage: &mut Stage, hook: &str) -> Result<()> {
    stage.say("• another tenant's state and jobs");
    let (_, seen) = caller::post(
        hook,
        &json!({ "what": "other_tenant_state", "key": "cursor" }),
    )?;
    stage.say(&format!(
        "  the guest saw:          {}",
        cut(&seen.to_string())
    ));
    stage.check(
        !seen.to_string().contains("Ok(Some("),
        "no state of anybody else is there",
    )?;
    stage.run("workspace create rival")?;
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
