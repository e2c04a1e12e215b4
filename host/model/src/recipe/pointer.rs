//! Where in a JSON value something is: JSON pointers (RFC 6901) in which `*`
//! stands for every element and every field.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One step down into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// The field of this name, or the element of this number.
    Name(String),
    /// Every element of a list and every field of a map.
    Every,
}

/// A place, or several, in a JSON value; the empty pointer is the whole value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Pointer(Vec<Segment>);

/// Text that is not a [`Pointer`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a JSON pointer: write `/` before each name, `*` for every item: `/items/*/price`"
)]
pub struct PointerError(String);

impl Pointer {
    /// The steps down.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

impl FromStr for Pointer {
    type Err = PointerError;
    fn from_str(text: &str) -> Result<Self, PointerError> {
        let wrong = || PointerError(text.chars().take(80).collect());
        if text.is_empty() {
            return Ok(Self::default());
        }
        let names = text.strip_prefix('/').ok_or_else(wrong)?.split('/');
        let segment = |name: &str| {
            let known = name.replace("~0", "").replace("~1", "");
            match name {
                "*" => Ok(Segment::Every),
                _ if known.contains('~') => Err(wrong()),
                _ => Ok(Segment::Name(name.replace("~1", "/").replace("~0", "~"))),
            }
        };
        names.map(segment).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Every => f.write_str("/*"),
            Segment::Name(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
        })
    }
}

impl TryFrom<String> for Pointer {
    type Error = PointerError;
    fn try_from(text: String) -> Result<Self, PointerError> {
        text.parse()
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_reads_back_what_it_prints() {
        for text in ["", "/a", "/items/*/price", "/a~1b/~0", "/0/x"] {
            assert_eq!(
                text.parse::<Pointer>().map(|p| p.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn a_text_that_is_no_pointer_is_refused() {
        for text in ["a", "a/b", "/a~2", "/~"] {
            assert!(text.parse::<Pointer>().is_err(), "{text}");
        }
    }
}
