//! Logic that answers its input, or refuses it.

wit_bindgen::generate!({ path: "../../../wit", world: "keyway:guest/code", generate_all });

use exports::keyway::guest::logic::Guest;

struct Logic;

impl Guest for Logic {
    fn run(input: String) -> Result<String, String> {
        if input == "fail" {
            Err("refused".to_owned())
        } else {
            Ok(input)
        }
    }
}

export!(Logic);
