//! Bodies of events, and of calls of the API, that come late, or not at all.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use keyway_model::limit::{
    API_BODY_MS_MAX, ARTIFACT_BODIES_PER_CALLER_MAX, WEBHOOK_BODIES_MAX,
    WEBHOOK_BODIES_PER_RECIPE_MAX, WEBHOOK_BODY_MS_MAX,
};
use serde_json::json;

use crate::harness::{INTAKE, PATIENCE, Stage, order, split};
use crate::routes::Api;

/// An event whose body of so many bytes is held back.
fn begun(address: SocketAddr, path: &str, body_bytes: usize) -> TcpStream {
    begun_with(address, path, body_bytes, "")
}

/// The same, with more lines in its head.
#[expect(clippy::disallowed_methods, reason = "the tests are the callers")]
fn begun_with(address: SocketAddr, path: &str, body_bytes: usize, more: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\n{more}expect: 100-continue\r\ncontent-length: {body_bytes}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Waits until its body is read: the server says so when it begins.
fn is_read(event: &mut TcpStream) {
    let mut told = [0; 25];
    event.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
}

/// Nothing has been said of its body yet.
fn is_not_read(event: &mut TcpStream) {
    event.set_nonblocking(true).unwrap();
    let read = event.read(&mut [0; 64]).map_err(|error| error.kind());
    assert_eq!(read, Err(std::io::ErrorKind::WouldBlock));
    event.set_nonblocking(false).unwrap();
}

/// Sends the body that was held back; the line of its status, cut off behind that.
fn ended(mut event: TcpStream, body: &[u8]) -> String {
    event.write_all(body).unwrap();
    let mut status = [0; 12];
    event.read_exact(&mut status).unwrap();
    String::from_utf8_lossy(&status).into_owned()
}

#[test]
fn a_recipe_that_is_stopped_before_the_body_has_come_takes_no_event() {
    let stage = Stage::with_shop();
    let hook = stage.apply("intake", INTAKE).unwrap();
    let (address, path) = split(&hook);
    let body = order(1).to_string();
    let held = || {
        let mut event = begun(address, &path, body.len());
        is_read(&mut event);
        event
    };
    let event = held();
    stage.ok("recipe stop intake");
    assert_eq!(ended(event, body.as_bytes()), "HTTP/1.1 404");
    assert_eq!(stage.json("job list"), json!([]));
    assert_eq!(stage.upstream.effects()["requests"], 0);
    stage.ok("recipe start intake");
    // One that has another version by then takes it with that.
    let event = held();
    stage.apply("intake", INTAKE).unwrap();
    assert_eq!(ended(event, body.as_bytes()), "HTTP/1.1 200");
    assert_eq!(stage.last_job()["recipe_version"], 2);
}

#[test]
fn a_body_is_held_to_the_limit_of_the_version_that_is_in_force_when_it_has_come() {
    let stage = Stage::with_shop();
    let body = order(1).to_string();
    let with_limit = |bytes: usize| {
        let webhook = format!("webhook:\n    body_bytes_max: {bytes}\n");
        INTAKE.replace("webhook:\n", &webhook)
    };
    for (limit, status) in [
        (body.len() - 1, "HTTP/1.1 413"),
        (body.len(), "HTTP/1.1 200"),
    ] {
        let hook = stage.apply("intake", INTAKE).unwrap();
        let (address, path) = split(&hook);
        let mut event = begun(address, &path, body.len());
        is_read(&mut event);
        stage.apply("intake", &with_limit(limit)).unwrap();
        assert_eq!(ended(event, body.as_bytes()), status);
        let is_refused = status.ends_with("413");
        assert!(stage.denial("limit"), "it is recorded");
        assert_eq!(stage.json("job list") == json!([]), is_refused);
    }
}

#[test]
fn bodies_of_one_recipe_that_do_not_arrive_take_their_places_and_no_others() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    let [slow, other] = ["slow", "other"].map(|name| {
        let text = format!(
            "recipe: {name}\ntrigger: {{ webhook: {{}} }}\nsteps:\n  - respond: {{ status: 200, body: {{ it: came }} }}\n"
        );
        stage.apply(name, &text).unwrap()
    });
    let (address, path) = split(&slow);
    let begin = || begun(address, &path, 2);
    let mut held: Vec<_> = (0..WEBHOOK_BODIES_PER_RECIPE_MAX)
        .map(|_| {
            let mut stream = begin();
            is_read(&mut stream);
            stream
        })
        .collect();
    let mut next = begin();
    assert_eq!(stage.post(&other, &json!({})).0, 200);
    is_not_read(&mut next);
    drop(held.pop());
    is_read(&mut next);
    assert_eq!(ended(next, b"{}"), "HTTP/1.1 200");
}

#[test]
fn bodies_of_one_workspace_that_do_not_arrive_leave_as_many_places_to_others() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    let text = |name: &str| {
        format!(
            "recipe: {name}\ntrigger: {{ webhook: {{}} }}\nsteps:\n  - respond: {{ status: 200, body: {{ it: came }} }}\n"
        )
    };
    let [one, two, three] = ["one", "two", "three"].map(|name| {
        let hook = stage.apply(name, &text(name)).unwrap();
        split(&hook)
    });
    stage.ok("workspace create rival");
    stage.write("other.yaml", text("other"));
    stage.ok("--workspace rival recipe apply other.yaml");
    let other = stage.json("--workspace rival recipe show other")["webhook_url"].clone();
    let mut held = Vec::new();
    for (address, path) in [one, two] {
        for _ in 0..WEBHOOK_BODIES_PER_RECIPE_MAX {
            let mut event = begun(address, &path, 2);
            is_read(&mut event);
            held.push(event);
        }
    }
    assert_eq!(held.len(), WEBHOOK_BODIES_MAX / 2);
    let (address, path) = three;
    let mut next = begun(address, &path, 2);
    assert_eq!(stage.post(other.as_str().unwrap(), &json!({})).0, 200);
    is_not_read(&mut next);
    drop(held.pop());
    is_read(&mut next);
    assert_eq!(ended(next, b"{}"), "HTTP/1.1 200");
}

#[test]
fn artifacts_of_one_caller_that_do_not_arrive_take_its_places_and_no_others() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    let [slow, other] = std::array::from_fn(|_| Api::of(&stage, "acme", "admin"));
    let path = "/api/v1/workspaces/acme/development/connectors";
    let begin = |api: &Api| {
        let token = format!("authorization: Bearer {}\r\n", api.token);
        begun_with(api.address, path, 4, &token)
    };
    let mut held: Vec<_> = (0..ARTIFACT_BODIES_PER_CALLER_MAX)
        .map(|_| {
            let mut stream = begin(&slow);
            is_read(&mut stream);
            stream
        })
        .collect();
    let mut next = begin(&slow);
    // What is no artifact has places of its own, and another caller of the workspace has, too.
    let (status, answer) = slow.call("POST", "/tokens", &json!({}));
    assert_eq!(status, 422, "{answer}");
    let mut of_another = begin(&other);
    is_read(&mut of_another);
    assert_eq!(ended(of_another, b"\0asm"), "HTTP/1.1 422");
    is_not_read(&mut next);
    drop(held.pop());
    is_read(&mut next);
    assert_eq!(ended(next, b"\0asm"), "HTTP/1.1 422");
}

#[test]
fn a_body_that_does_not_come_in_time_is_refused_and_recorded() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    let hook = stage.apply("late", "recipe: late\ntrigger: { webhook: {} }\nsteps:\n  - respond: { status: 200, body: { it: came } }\n");
    let api = Api::of(&stage, "acme", "admin");
    let (address, path) = split(&hook.unwrap());
    let begun_at = Instant::now();
    // Both at once: each takes half a minute, which nothing makes shorter.
    let event = begun(address, &path, 2);
    let token = format!("authorization: Bearer {}\r\n", api.token);
    let call = begun_with(api.address, "/api/v1/tokens", 2, &token);
    for (mut late, ms_max) in [(event, WEBHOOK_BODY_MS_MAX), (call, API_BODY_MS_MAX)] {
        is_read(&mut late);
        let mut status = [0; 12];
        late.read_exact(&mut status).unwrap();
        assert_eq!(String::from_utf8_lossy(&status), "HTTP/1.1 408");
        assert!(begun_at.elapsed() >= Duration::from_millis(ms_max));
    }
    assert!(stage.denial("limit"));
}
