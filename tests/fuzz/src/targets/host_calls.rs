//! Every function of the host, called in any order with any arguments, by a
//! guest whose program is the input, and answered by a broker out of it.

use std::cell::RefCell;

use keyway_ipc::{CallOutcome, Entrance};

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
    static DRIVER: RefCell<Option<(Vec<u8>, Vec<usize>)>> = const { RefCell::new(None) };
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut answers = Input::new(input.piece(128));
    drop(interpret(&mut answers, input.rest()));
}

fn interpret(answers: &mut Input<'_>, program: &[u8]) -> CallOutcome {
    let letters = |byte: &u8| [letter(byte >> 4), letter(byte & 15)];
    let entrance = Entrance::Action {
        name: "a".to_owned(),
        input: program.iter().flat_map(letters).collect(),
    };
    with_driver(|component, functions| {
        assert!(
            functions.len() > 250,
            "it calls all there is, not {} functions",
            functions.len()
        );
        with(|sandbox| {
            let artifact = sandbox.load(component).expect("the driver is a connector");
            sandbox.call(artifact, entrance, answers)
        })
    })
}

fn with_driver<T>(with: impl FnOnce(&[u8], &[usize]) -> T) -> T {
    DRIVER.with_borrow_mut(|kept| {
        let (component, functions) = kept.get_or_insert_with(|| driver(surface()));
        with(component, functions)
    })
}

/// Calls every function of the host by itself, with texts, with small numbers
/// and with handles that are none; gives how many there are, and how many came
/// back to their caller at least once.
#[cfg(test)]
pub(crate) fn each_by_itself() -> (usize, usize) {
    const TEXT: [u8; 6] = [2, 64, 0, 30, 2, 8];
    const NUMBERS: [u8; 6] = [0, 1, 0, 0, 2, 8];
    const HANDLES: [u8; 6] = [1, 0, 2, 64, 0, 30];
    let arguments = with_driver(|_, functions| functions.to_vec());
    let returns = |(index, count): (usize, &usize)| {
        [TEXT, NUMBERS, HANDLES].iter().any(|pattern| {
            let given = pattern.iter().cycle().take(2 * count).copied();
            let program: Vec<u8> = std::iter::once(index as u8).chain(given).collect();
            let outcome = interpret(&mut Input::new(&[]), &program);
            matches!(outcome, CallOutcome::Value(_))
        })
    };
    let returned = arguments
        .iter()
        .enumerate()
        .filter(|it| returns(*it))
        .count();
    (arguments.len(), returned)
}

fn letter(nibble: u8) -> char {
    char::from(b'a' + nibble)
}
