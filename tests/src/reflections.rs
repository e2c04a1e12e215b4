//! Where a credential may come back beside the body of a plain reply.

use serde_json::json;

use crate::attacks::Attacker;

#[test]
fn a_reply_header_that_reflects_the_credential_is_masked() {
    let attacker = Attacker::new();
    let url = attacker.here("/reflect?header=x-reflected");
    let seen = attacker.tries(&json!({ "what": "reflect_credential", "url": url }));
    assert_eq!(seen["outcome"], "answered", "{seen}");
    let text = seen.to_string();
    assert!(!text.contains(&attacker.stage.upstream.token), "{seen}");
    let reflected = seen["headers"]["x-reflected"].as_str().unwrap();
    assert!(reflected.contains("[masked]"), "{seen}");
    let job = attacker.stage.last_job();
    let masked = &job["steps"][0]["seen"]["requests"][0]["masked"];
    assert_eq!(masked, 2, "in the header and in the body: {job}");
}

#[test]
fn an_encoded_reply_is_searched_as_it_is_when_decoded() {
    let attacker = Attacker::new();
    attacker.stage.upstream.mode("gzip");
    let seen =
        attacker.tries(&json!({ "what": "reflect_credential", "url": attacker.here("/reflect") }));
    let text = seen.to_string();
    assert!(!text.contains(&attacker.stage.upstream.token), "{seen}");
    assert!(text.contains("[masked]"), "decoded and searched: {seen}");
    assert!(seen["headers"]["content-encoding"].is_null(), "{seen}");
}
