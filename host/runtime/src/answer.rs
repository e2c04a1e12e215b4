//! What the compiler says to the broker. Hostile input may have taken it over,
//! so an answer is read with bounds on everything in it.

use std::fmt;
use std::marker::PhantomData;

use keyway_model::limit::{CODE_BYTES_MAX, EXPORTS_MAX, IMPORT_NAME_BYTES_MAX, IMPORTS_MAX};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Characters of the compiler's reason why it refuses a component.
const REFUSAL_CHARS_MAX: usize = 2_000;

/// What a worker can load, and what the component imports and exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiled {
    /// Code for workers with the same [`fingerprint`](crate::fingerprint).
    pub code: Vec<u8>,
    /// Names of the imports, with version.
    #[serde(deserialize_with = "names::<_, IMPORTS_MAX>")]
    pub imports: Vec<String>,
    /// Names of the exports, with version.
    #[serde(deserialize_with = "names::<_, EXPORTS_MAX>")]
    pub exports: Vec<String>,
}

/// No compiler of ours says this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an answer of the compiler")]
pub struct NoAnswer;

/// Reads the compiler's answer: what it made, or why it refuses the component.
///
/// # Errors
///
/// [`NoAnswer`], if no compiler of ours says this.
pub fn read_answer(bytes: &[u8]) -> Result<Result<Compiled, String>, NoAnswer> {
    let answer: Result<Compiled, &str> = postcard::from_bytes(bytes).map_err(|_| NoAnswer)?;
    match answer {
        Ok(compiled) if compiled.code.len() as u64 > CODE_BYTES_MAX => Err(NoAnswer),
        Ok(compiled) => Ok(Ok(compiled)),
        Err(refusal) => Ok(Err(readable(refusal))),
    }
}

/// For people: nothing that a terminal would obey, and not for ever.
fn readable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().take(REFUSAL_CHARS_MAX).map(shown).collect()
}

/// Names of imports or exports, at most `MAX`. Read one by one: an empty name
/// is one byte of the answer and far more here.
fn names<'de, D: Deserializer<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    struct Names<const MAX: usize>(PhantomData<[(); MAX]>);

    impl<'de, const MAX: usize> Visitor<'de> for Names<MAX> {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX} names")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut names = Vec::new();
            while let Some(name) = seq.next_element::<&'de str>()? {
                let is_name = !name.is_empty()
                    && name.len() <= IMPORT_NAME_BYTES_MAX
                    && name.bytes().all(|byte| byte.is_ascii_graphic());
                if names.len() == MAX || !is_name {
                    return Err(de::Error::custom("not names of a component"));
                }
                names.push(name.to_owned());
            }
            Ok(names)
        }
    }

    deserializer.deserialize_seq(Names::<MAX>(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(imports: Vec<String>, exports: Vec<String>) -> Result<Compiled, String> {
        Ok(Compiled {
            code: b"code".to_vec(),
            imports,
            exports,
        })
    }

    fn read(
        answer: &Result<Compiled, String>,
    ) -> Result<Result<Compiled, String>, Box<dyn std::error::Error>> {
        Ok(read_answer(&postcard::to_stdvec(answer)?)?)
    }

    fn many(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("a:b/c{n}@0.2.0")).collect()
    }

    #[test]
    fn an_honest_answer_arrives_as_it_was_given() -> Result<(), Box<dyn std::error::Error>> {
        let answer = compiled(many(IMPORTS_MAX), many(EXPORTS_MAX));
        assert_eq!(read(&answer)?, answer);
        let refused = Err("line 1\n\tline 2: ünïcode".to_owned());
        assert_eq!(read(&refused)?, refused);
        Ok(())
    }

    #[test]
    fn more_names_than_a_component_can_have_are_no_answer() {
        for answer in [
            compiled(many(IMPORTS_MAX + 1), Vec::new()),
            compiled(Vec::new(), many(EXPORTS_MAX + 1)),
            compiled(vec!["x".repeat(IMPORT_NAME_BYTES_MAX + 1)], Vec::new()),
            compiled(vec![String::new()], Vec::new()),
            compiled(vec!["wasi:\u{1b}[2J".to_owned()], Vec::new()),
        ] {
            assert!(read(&answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn a_reason_is_cut_and_carries_nothing_that_a_terminal_would_obey()
    -> Result<(), Box<dyn std::error::Error>> {
        let said = read(&Err(format!("\u{1b}[2J{}", "x".repeat(100_000))))?;
        let said = said.err().unwrap_or_default();
        assert_eq!(said.chars().count(), REFUSAL_CHARS_MAX);
        assert!(!said.contains('\u{1b}'));
        Ok(())
    }
}
