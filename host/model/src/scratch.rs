//! Names of scratch files, as a guest may choose them.
//!
//! A name is a label and never a path: the host keeps files under numbers of
//! its own, so nothing of a guest's text reaches a file system. It is still
//! parsed as strictly as if it did, so that a connector which would escape
//! elsewhere fails here, and so that the same name means the same everywhere.

use std::fmt;
use std::str::FromStr;

use crate::limit::{SCRATCH_NAME_BYTES_MAX, SCRATCH_NAME_DEPTH_MAX};

/// Names that are devices on some systems, beside numbered ports.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// A relative name: 1 to 8 segments of ASCII letters, digits, `.`, `-` and `_`
/// between slashes, 255 bytes in all. No segment begins or ends with a dot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScratchName(String);

/// Text that is not a [`ScratchName`]. The guest that wrote it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScratchNameError {
    /// Nothing.
    #[error("a scratch name is empty: write 1 to {SCRATCH_NAME_BYTES_MAX} bytes")]
    Empty,
    /// Too much.
    #[error("a scratch name is longer than {SCRATCH_NAME_BYTES_MAX} bytes: shorten it")]
    TooLong,
    /// Too many slashes.
    #[error("a scratch name has more than {SCRATCH_NAME_DEPTH_MAX} segments: use fewer slashes")]
    TooDeep,
    /// A slash at the beginning, at the end, or beside another.
    #[error("a scratch name has an empty segment: write no slash first, last or twice")]
    EmptySegment,
    /// `.`, `..`, `.hidden`, `dot.`.
    #[error(
        "a segment of a scratch name begins or ends with a dot: begin and end with something else"
    )]
    Dot,
    /// A space, a backslash, a NUL, a letter beyond ASCII.
    #[error(
        "a scratch name has another character than ASCII letters, digits, `.`, `-`, `_` and `/`: leave it out"
    )]
    Character,
    /// `CON`, `nul.txt`, `com1`.
    #[error("a segment of a scratch name is the name of a device on some systems: choose another")]
    Device,
}

impl ScratchName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ScratchName {
    type Err = ScratchNameError;

    fn from_str(text: &str) -> Result<Self, ScratchNameError> {
        if text.is_empty() {
            return Err(ScratchNameError::Empty);
        }
        if text.len() > SCRATCH_NAME_BYTES_MAX {
            return Err(ScratchNameError::TooLong);
        }
        if text.split('/').count() > SCRATCH_NAME_DEPTH_MAX {
            return Err(ScratchNameError::TooDeep);
        }
        text.split('/').try_for_each(check_segment)?;
        Ok(Self(text.to_owned()))
    }
}

fn check_segment(segment: &str) -> Result<(), ScratchNameError> {
    if segment.is_empty() {
        return Err(ScratchNameError::EmptySegment);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !segment.bytes().all(is_plain) {
        return Err(ScratchNameError::Character);
    }
    if segment.starts_with('.') || segment.ends_with('.') {
        return Err(ScratchNameError::Dot);
    }
    if is_device(segment) {
        return Err(ScratchNameError::Device);
    }
    Ok(())
}

/// Whether this names a device on some systems: what stands before its first
/// dot counts, in any case.
fn is_device(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default();
    let stem = stem.to_ascii_lowercase();
    let port = ["com", "lpt"]
        .iter()
        .find_map(|port| stem.strip_prefix(port));
    match port {
        Some(rest) => rest.len() == 1 && rest.bytes().all(|digit| digit.is_ascii_digit()),
        None => DEVICES.contains(&stem.as_str()),
    }
}

impl fmt::Display for ScratchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name can be a tenant's content, so it does not print by the way.
impl fmt::Debug for ScratchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScratchName({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_relative_names_are_names() {
        let deep = ["a"; SCRATCH_NAME_DEPTH_MAX].join("/");
        let long = "a".repeat(SCRATCH_NAME_BYTES_MAX);
        for name in [
            "a",
            "A",
            "0",
            "_",
            "-",
            "rows.csv",
            "a..b",
            "pages/1.json",
            "console",
            "com",
            "com10",
            "null",
            "lptx",
            &deep,
            &long,
        ] {
            assert_eq!(name.parse::<ScratchName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn every_trick_with_a_path_is_refused_for_its_reason() {
        use ScratchNameError::*;
        let deep = ["a"; SCRATCH_NAME_DEPTH_MAX + 1].join("/");
        let long = "a".repeat(SCRATCH_NAME_BYTES_MAX + 1);
        for (name, reason) in [
            ("", Empty),
            (long.as_str(), TooLong),
            (&deep, TooDeep),
            ("/", EmptySegment),
            ("/etc/passwd", EmptySegment),
            ("/dev/zero", EmptySegment),
            ("//a", EmptySegment),
            ("a/", EmptySegment),
            ("a//b", EmptySegment),
            (".", Dot),
            ("..", Dot),
            ("../a", Dot),
            ("a/..", Dot),
            ("a/../../b", Dot),
            ("a/./b", Dot),
            ("...", Dot),
            (".hidden", Dot),
            ("a.", Dot),
            ("a b", Character),
            ("a\0", Character),
            ("a\0/../b", Character),
            ("a\n", Character),
            ("a\u{7f}", Character),
            ("..\\a", Character),
            ("C:a", Character),
            ("%2e%2e", Character),
            ("~", Character),
            ("*", Character),
            // Full stops and slashes of other scripts, and what normalizes to dots.
            ("\u{ff0e}\u{ff0e}", Character),
            ("\u{2025}", Character),
            ("a\u{2215}b", Character),
            ("a\u{202e}b", Character),
            ("e\u{301}", Character),
            ("CON", Device),
            ("nul.txt", Device),
            ("a/Com1", Device),
            ("lpt9.a.b", Device),
        ] {
            assert_eq!(name.parse::<ScratchName>(), Err(reason), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_a_name_stays_below_any_directory(text in "[a./\\\\\u{2e}\u{ff0e} -]{0,12}") {
            if let Ok(name) = text.parse::<ScratchName>() {
                let path = std::path::Path::new(name.as_str());
                let is_plain = |part| matches!(part, std::path::Component::Normal(_));
                prop_assert!(path.components().all(is_plain));
                prop_assert_eq!(path.components().count(), name.as_str().split('/').count());
            }
        }
    }
}
