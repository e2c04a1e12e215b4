//! Calls each function of `keyway:host` once.
#![expect(
    clippy::disallowed_methods,
    reason = "that the environment is empty is the test"
)]

use guest_bindings::connector::keyway::guest::types::Failure;
use guest_bindings::connector::keyway::host::log::{self, Level};
use guest_bindings::connector::keyway::host::{connection, scratch, state};

guest_bindings::connector!(act);

fn act(name: &str, input: String) -> Result<String, Failure> {
    Ok(match name {
        "parameter" => format!("{:?}", connection::parameter(&input)),
        "scopes" => connection::scopes().join(" "),
        "state-get" => format!("{:?}", state::get(&input)),
        "state-set" => format!("{:?}", state::set("key", &input)),
        "state-delete" => format!("{:?}", state::delete(&input)),
        "scratch-open" => format!("{:?}", scratch::open(&input)),
        "scratch-read" => format!("{:?}", scratch::read(&input, 3, 4)),
        "scratch-write" => format!("{:?}", scratch::write(&input, 3, b"bytes")),
        "scratch-list" => format!("{:?}", scratch::list()),
        "scratch-remove" => format!("{:?}", scratch::remove(&input)),
        "log" => {
            log::write(Level::Warn, &input);
            String::new()
        }
        "print" => {
            println!("{input}");
            eprint!("an error without a line end");
            String::new()
        }
        "surroundings" => format!("{} {}", std::env::vars().count(), std::env::args().count()),
        other => return Err(Failure::NotFound(other.to_owned())),
    })
}
