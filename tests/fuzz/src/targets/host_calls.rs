//! Every function of the host, called in any order with any arguments, by a
//! guest whose program is the input, and answered by a broker out of it.

#[cfg(test)]
pub(crate) mod by_itself;
#[cfg(test)]
mod ways;

use std::cell::RefCell;

use keyway_ipc::Entrance;

use super::Target;
use crate::input::Input;
use crate::sandbox::world::surface;
use crate::sandbox::{driver, with};

pub(super) const TARGET: Target = Target {
    name: "host_calls",
    run,
    tokens: &[
        "\x00",
        "\x01\x00",
        "\x01\x01",
        "\x02\x00",
        "\x02\x40",
        "\x00\x04",
        "\x03\x00\x00\x00\x00",
        "\x03\u{7f}",
        "\x02\x50\x00\x08",
    ],
    input_bytes_max: 2 << 10,
    memory_bytes_max: 32 << 20,
    test_inputs: 400,
};

thread_local! {
    static DRIVER: RefCell<Option<(Vec<u8>, usize)>> = const { RefCell::new(None) };
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut answers = Input::new(input.piece(128));
    let entrance = entrance(input.rest());
    DRIVER.with_borrow_mut(|kept| {
        let (component, functions) = kept.get_or_insert_with(|| driver(surface()));
        assert!(
            *functions > 100,
            "it calls all there is, not {functions} functions"
        );
        with(|sandbox| {
            let artifact = sandbox.load(component).expect("the driver is a connector");
            drop(sandbox.call(artifact, entrance, &mut answers));
        });
    });
}

/// The program as the text that the driver takes.
fn entrance(program: &[u8]) -> Entrance {
    let letters = |byte: &u8| [letter(byte >> 4), letter(byte & 15)];
    Entrance::Action {
        name: "a".to_owned(),
        input: program.iter().flat_map(letters).collect(),
    }
}

fn letter(nibble: u8) -> char {
    char::from(b'a' + nibble)
}
