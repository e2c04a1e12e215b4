//! Stands where the expression engine stands.

wit_bindgen::generate!({ path: "../../../wit", world: "keyway:guest/expression-engine", generate_all });

use exports::keyway::guest::{expressions, logic};

struct Engine;

impl logic::Guest for Engine {
    fn run(input: String) -> Result<String, String> {
        Ok(format!("ran {input}"))
    }
}

impl expressions::Guest for Engine {
    fn check(request: String) -> Result<String, String> {
        Ok(format!("checked {request}"))
    }
}

export!(Engine);
